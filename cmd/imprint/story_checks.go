package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-crypt/x/yescrypt"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"imprint/host/cloud"
	"imprint/host/container"
)

// instance is a booted server and the way to look into it.
type instance struct {
	inside
	id    string
	name  string
	fixed netip.Addr
}

// address returns the IPv4 address that the instance's NIC really has.
func (i instance) address(ctx context.Context) (netip.Addr, error) {
	text, err := i.run(ctx, "/usr/sbin/ip", "-j", "-4", "addr", "show", "dev", "eth0")
	if err != nil {
		return netip.Addr{}, err
	}
	var links []struct {
		AddrInfo []struct{ Local string } `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(text), &links); err != nil {
		return netip.Addr{}, fmt.Errorf("read ip's answer: %w", err)
	}
	for _, l := range links {
		for _, a := range l.AddrInfo {
			return netip.ParseAddr(a.Local)
		}
	}
	return netip.Addr{}, errors.New("eth0 has no address")
}

// seen is what a check prints: what came out, or why nothing did.
func seen(what string, err error) string {
	if err != nil && strings.TrimSpace(what) == "" {
		return err.Error()
	}
	return what
}

// poll calls done until it reports true, an error, or the limit has passed.
func (s *story) poll(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		s.wait(what)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, bootLimit)
		case <-tick.C:
		}
	}
}

// booted waits until a server is ACTIVE and its boot number n has ended.
func (s *story) booted(ctx context.Context, id, name string, n int) (instance, error) {
	found := instance{id: id, name: name}
	err := s.poll(ctx, name+" boots", func() (bool, error) {
		server, err := servers.Get(ctx, s.compute, id).Extract()
		if err != nil {
			return false, fmt.Errorf("show server %s: %w", name, err)
		}
		if server.Status == "ERROR" {
			return false, fmt.Errorf("server %s: %s", name, server.Fault.Message)
		}
		boot, err := s.machines.State(cloud.ServerID(id))
		if err != nil || server.Status != "ACTIVE" || boot.Boots < n || boot.Phase != container.Running {
			return false, err
		}
		found.fixed = fixedAddress(server)
		found.pid, err = s.machines.PID(cloud.ServerID(id))
		return err == nil, err
	})
	return found, err
}

// fixedAddress returns the first address in a server's addresses.
func fixedAddress(server *servers.Server) netip.Addr {
	text, _ := json.Marshal(server.Addresses)
	var nets map[string][]struct{ Addr string }
	if json.Unmarshal(text, &nets) != nil {
		return netip.Addr{}
	}
	for _, addrs := range nets {
		for _, a := range addrs {
			if addr, err := netip.ParseAddr(a.Addr); err == nil && addr.Is4() {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// serverID finds a server by its name.
func (s *story) serverID(ctx context.Context, name string) (string, error) {
	pages, err := servers.List(s.compute, servers.ListOpts{Name: "^" + name + "$"}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list servers: %w", err)
	}
	found, err := servers.ExtractServers(pages)
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d servers are called %s: %w", len(found), name, err)
	}
	return found[0].ID, nil
}

// listening waits until something listens on a TCP port of a namespace.
func (s *story) listening(ctx context.Context, netns string, port int) error {
	return s.poll(ctx, fmt.Sprintf("%s listens on %d", netns, port), func() (bool, error) {
		return s.listens(ctx, netns, port), nil
	})
}

// silent waits until nothing does.
func (s *story) silent(ctx context.Context, netns string, port int) error {
	return s.poll(ctx, fmt.Sprintf("%s no longer listens on %d", netns, port), func() (bool, error) {
		return !s.listens(ctx, netns, port), nil
	})
}

// listens looks for a listener in the kernel's tables of a namespace.
func (s *story) listens(ctx context.Context, netns string, port int) bool {
	out, err := inNamespace(ctx, s.netns(netns), "cat", "/proc/net/tcp", "/proc/net/tcp6")
	if err != nil {
		return false
	}
	for line := range strings.Lines(out) {
		// The second field is the local address, the fourth the state: 0A listens.
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == "0A" {
			return true
		}
	}
	return false
}

// netns is the name that a namespace has in this Imprint.
func (s *story) netns(name string) string { return s.conf.Network.Prefix + name }

// checkPassword compares the password that chpasswd was to set with the hash.
func (s *story) checkPassword(ctx context.Context, i instance) {
	shadow, err := i.file(ctx, "/etc/shadow")
	var hash string
	for line := range strings.Lines(shadow) {
		if f := strings.Split(line, ":"); f[0] == s.loginAs && len(f) > 1 {
			hash = f[1]
		}
	}
	held := strings.HasPrefix(hash, "$y$")
	if held {
		want, hashErr := yescrypt.Hash([]byte(storyPassword), []byte(hash))
		held, err = hashErr == nil && string(want) == hash, errors.Join(err, hashErr)
	}
	s.check("chpasswd set the password of "+s.loginAs, held, seen("", err))
	config, err := i.run(ctx, "/usr/bin/grep", "-rhiE", "^PasswordAuthentication +yes", "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d")
	s.check("ssh_pwauth allows passwords", strings.TrimSpace(config) != "", seen(config, err))
}

// checkSSH logs in over the network with the private key.
func (s *story) checkSSH(ctx context.Context, i instance) {
	const statement = "ssh with the private key gets in"
	if _, err := i.run(ctx, "/usr/bin/test", "-x", "/usr/sbin/sshd"); err != nil {
		s.skip(statement, "openssh-server is not installed")
		return
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		s.skip(statement, "the ssh client is not installed")
		return
	}
	who, err := inNamespace(ctx, s.netns("qrouter-"+s.router), "ssh", "-i", s.key, "-F", "none",
		"-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR",
		s.loginAs+"@"+i.fixed.String(), "id -un; hostname")
	s.check(statement, err == nil && strings.Join(strings.Fields(who), " ") == s.loginAs+" my1", seen(who, err))
}

// hops looks at the redirect's counter and follows one request by its trace id.
func (s *story) hops(ctx context.Context) error {
	s.asked("the rules of qrouter-%s and the log", s.router)
	s.checkCounter(ctx)
	trace, err := s.trace()
	s.check("one trace id in the proxy's, the agent's and the service's log", err == nil, seen(trace, err))
	return nil
}

func (s *story) checkCounter(ctx context.Context) {
	const statement = "the redirect to 9697 counted packets"
	if _, err := exec.LookPath("nft"); err != nil {
		s.skip(statement, "nftables is not installed")
		return
	}
	rules, err := inNamespace(ctx, s.netns("qrouter-"+s.router), "nft", "list", "ruleset")
	for line := range strings.Lines(rules) {
		if strings.Contains(line, "redirect to :9697") && strings.Contains(line, "169.254.169.254") {
			s.check(statement, strings.Contains(line, "counter packets ") && !strings.Contains(line, "counter packets 0 "), line)
			return
		}
	}
	s.check(statement, false, seen("no such rule", err))
}

// trace finds a request in the log that passed all three programs.
func (s *story) trace() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.stateDir, logName))
	if err != nil {
		return "", err
	}
	hops := map[string]map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var entry struct {
			Trace string `json:"trace_id"`
			Part  string `json:"part"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Trace == "" {
			continue
		}
		if hops[entry.Trace] == nil {
			hops[entry.Trace] = map[string]bool{}
		}
		hops[entry.Trace][entry.Part] = true
	}
	for id, parts := range hops {
		if parts["proxy"] && parts["metadata-agent"] && parts["metadata"] {
			return id, nil
		}
	}
	return "", fmt.Errorf("none of %d trace ids passed all three", len(hops))
}

// jsonAt returns the JSON text at a path of keys, "" when there is none.
func jsonAt(text string, path ...string) string {
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &object) != nil {
			return ""
		}
		text = string(object[key])
	}
	return text
}
