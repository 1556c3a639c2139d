//go:build openstack

package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Places and names of the control plane; its README lists them.
const (
	stateDir    = "/var/lib/ospeer/neutron"
	agentSocket = stateDir + "/metadata_proxy"
	neutronConf = "/etc/ospeer/neutron/neutron.conf"
	agentConf   = "/etc/ospeer/neutron/metadata.ini"
	novaConf    = "/etc/ospeer/nova/nova.conf"
	novaService = "127.0.0.1:8775"
	secret      = "peer-shared-secret"
	password    = "peerpw"
	neutronUser = "neutron" // whom Neutron's agents and proxies run as
)

// peerDir has the scripts of the control plane; ./machine says where.
func peerDir() string { return filepath.Join(os.Getenv("IMPRINT_PEERS"), "openstack") }

// startLimit bounds what is started or stopped, on a busy machine.
const startLimit = 3 * time.Minute

// shell runs a script with the control plane's helpers loaded.
func shell(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", `. "$0/lib.sh"; osenv; `+script, peerDir())
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func mustShell(t testing.TB, script string) string {
	t.Helper()
	out, err := shell(script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// query reads one JSON value out of the control plane's database.
func query(to any, sql string) error {
	cmd := exec.Command("mariadb", "-S", "/run/ospeer/mysql.sock", "-u", "root", "--default-character-set=utf8", "-N", "-B", "--raw", "-e", "set group_concat_max_len=1000000; "+sql)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", sql, err, problem.Bytes())
	}
	return json.Unmarshal(out, to)
}

// eventually waits until f holds: what it looks at is another program's.
func eventually(what string, f func() error) error {
	end := time.Now().Add(startLimit)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func accepts(network, address string) error {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}
