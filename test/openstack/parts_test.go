//go:build openstack

package openstack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"imprint/base/netns"
)

// program is the imprint that is tested.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("IMPRINT")
	if path == "" {
		path = "../../bin/imprint"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts the program as a user, and ends it with the test. A test that
// fails shows its log.
func run(t testing.TB, userName string, args ...string) {
	t.Helper()
	who, err := user.Lookup(userName)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(who.Uid, 10, 32)
	gid, _ := strconv.ParseUint(who.Gid, 10, 32)
	var log bytes.Buffer
	cmd := exec.Command(program(t), args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("imprint %v: %v", args, err)
		}
		if t.Failed() {
			t.Logf("imprint %v:\n%.4000s", args, log.String())
		}
	})
}

// place is a namespace with a metadata proxy.
type place struct {
	kind, id string // router or network
}

// places are the namespaces that the instances' first ports ask in: where
// Neutron runs a haproxy.
func places() ([]place, error) {
	var all []place
	files, err := filepath.Glob(stateDir + "/ns-metadata-proxy/*.conf")
	for _, file := range files {
		p := place{"network", filepath.Base(file[:len(file)-len(".conf")])}
		if _, err := os.Stat(netns.Dir + "/qrouter-" + p.id); err == nil {
			p.kind = "router"
		}
		all = append(all, p)
	}
	if err == nil && len(all) < 2 {
		err = fmt.Errorf("only %v have a proxy", all)
	}
	return all, err
}

func (p place) namespace() string {
	return map[string]string{"router": "qrouter-", "network": "qdhcp-"}[p.kind] + p.id
}

func (p place) port() string { return map[string]string{"router": "9697", "network": "80"}[p.kind] }

// pidFile is the one by which Neutron's agent watches the proxy.
func (p place) pidFile() string { return stateDir + "/external/pids/" + p.id + ".pid.haproxy" }

// end ends whichever proxies run in the namespace, and waits for them.
func (p place) end() error {
	return eventually("end the proxy of "+p.id, func() error {
		out, err := exec.Command("ip", "netns", "pids", p.namespace()).Output()
		if err != nil {
			return err
		}
		var left error
		for _, word := range strings.Fields(string(out)) {
			line, _ := os.ReadFile("/proc/" + word + "/cmdline")
			pid, err := strconv.Atoi(word)
			if err == nil && bytes.Contains(line, []byte(p.id)) && bytes.Contains(line, []byte("proxy")) && !bytes.HasPrefix(line, []byte("dnsmasq")) {
				syscall.Kill(pid, syscall.SIGTERM)
				left = fmt.Errorf("process %d goes on", pid)
			}
		}
		return left
	})
}

// haproxyBack starts Neutron's proxy as Neutron does, unless Neutron was first.
func (p place) haproxyBack() error {
	out, err := exec.Command("ip", "netns", "exec", p.namespace(), "/usr/sbin/haproxy", "-f", stateDir+"/ns-metadata-proxy/"+p.id+".conf").CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("Address already in use")) && !bytes.Contains(out, []byte("cannot bind socket")) {
		return fmt.Errorf("haproxy of %s: %w: %s", p.id, err, out)
	}
	return nil
}

// ours fails unless Imprint's proxy is what Neutron's agent watches.
func (p place) ours() error {
	pid, err := os.ReadFile(p.pidFile())
	if err != nil {
		return err
	}
	line, err := os.ReadFile("/proc/" + string(pid) + "/cmdline")
	if err != nil || !bytes.Contains(line, []byte(p.id)) || !bytes.Contains(line, []byte("proxy")) || bytes.HasPrefix(line, []byte("haproxy")) {
		return fmt.Errorf("%s %s: process %s is %q (%w)", p.kind, p.id, pid, line, err)
	}
	return nil
}

// useProxies puts Imprint's proxies where Neutron's haproxies are, under the
// eyes of Neutron's agents: with the same pid files. start starts one.
func useProxies(t testing.TB, start func(testing.TB, place) error) {
	t.Helper()
	all, err := places()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		t.Cleanup(func() {
			if err := errors.Join(p.end(), p.haproxyBack()); err != nil {
				t.Error(err)
			}
		})
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		err := start(t, p)
		if err == nil {
			err = p.ours()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// byHand starts a proxy with a log that is shown when the test fails.
func byHand(t testing.TB, p place) error {
	log := filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		if b, _ := os.ReadFile(log); t.Failed() {
			t.Logf("proxy of %s %s:\n%.4000s", p.kind, p.id, b)
		}
	})
	out, err := exec.Command("ip", "netns", "exec", p.namespace(), program(t), "proxy", "--"+p.kind+"_id", p.id,
		"--metadata_proxy_socket", agentSocket, "--metadata_port", p.port(), "--pid_file", p.pidFile(),
		"--metadata_proxy_user", neutronUser, "--metadata_proxy_group", neutronUser, "--log-file", log).CombinedOutput()
	if err != nil {
		return fmt.Errorf("proxy of %s %s: %w: %s", p.kind, p.id, err, out)
	}
	return nil
}

// byNeutron waits until Neutron's agent has started the proxy.
func byNeutron(_ testing.TB, p place) error { return eventually("Neutron's agents", p.ours) }

// asHaproxy makes the program what Neutron's root helper finds under haproxy's
// name. The mount is this machine's only.
func asHaproxy(t testing.TB) {
	t.Helper()
	const first = "/usr/local/sbin"
	if err := unix.Mount("tmpfs", first, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(first, unix.MNT_DETACH) })
	script, err := filepath.Abs("haproxy")
	if err = errors.Join(err, os.Symlink(script, first+"/haproxy"), os.Symlink(program(t), first+"/imprint")); err != nil {
		t.Fatal(err)
	}
}

// useAgent puts Imprint's agent in the place of Neutron's, with Neutron's own
// configuration; what that lacks is where Neutron itself is. more are settings
// of Imprint's, and any after them.
func useAgent(t testing.TB, more string) {
	t.Helper()
	own := filepath.Join(t.TempDir(), "imprint.ini")
	text := "[neutron]\nauth_url = http://127.0.0.1:5000/v3\nusername = neutron\npassword = " + password +
		"\nproject_name = service\nregion_name = RegionOne\n[imprint]\n" + more
	if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	readable(own)
	mustShell(t, "stop neutron-metadata-agent")
	t.Cleanup(func() { theirAgent(t, "") })
	run(t, neutronUser, "agent", "metadata", "--config-file", neutronConf, "--config-file", agentConf, "--config-file", own)
	if err := eventually("imprint's agent", func() error { return accepts("unix", agentSocket) }); err != nil {
		t.Fatal(err)
	}
}

// readable lets other users come to a file of the test's.
func readable(file string) {
	for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
}

// theirAgent starts Neutron's agent again; settings are variables of the
// control plane's restart.
func theirAgent(t testing.TB, settings string) {
	t.Helper()
	mustShell(t, `"$HERE/restart" neutron-metadata-agent `+settings)
	if err := eventually("neutron-metadata-agent", func() error { return accepts("unix", agentSocket) }); err != nil {
		t.Fatal(err)
	}
}

// ourService is where Imprint's metadata service listens.
const ourService = "127.0.0.1:18775"

// useService puts Imprint's metadata service, with Nova's configuration and
// the same instances, behind Neutron's agent.
func useService(t testing.TB, all []*instance) {
	t.Helper()
	startService(t, all)
	t.Cleanup(func() { theirAgent(t, "") })
	theirAgent(t, "OSP_NOVA_METADATA_HOST=127.0.0.1 OSP_NOVA_METADATA_PORT=18775")
}

// startService runs Imprint's metadata service beside Nova's.
func startService(t testing.TB, all []*instance) {
	t.Helper()
	dir := t.TempDir()
	if err := writeFixture(dir, all); err != nil {
		t.Fatal(err)
	}
	run(t, "root", "serve", "metadata", "--fixture", dir, "--config-file", novaConf, "--listen", ourService)
	if err := eventually("imprint's metadata service", func() error { return accepts("tcp", ourService) }); err != nil {
		t.Fatal(err)
	}
}
