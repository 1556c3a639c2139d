package dhcp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// next waits for an event of one kind, and tells what came before it.
func next(t *testing.T, events <-chan Event, want EventKind) (before []EventKind) {
	t.Helper()
	for {
		select {
		case e := <-events:
			if e.Kind == want {
				return before
			}
			before = append(before, e.Kind)
		case <-time.After(15 * time.Second):
			t.Fatalf("%s does not happen, but %q", want, before)
		}
	}
}

// TestLifeOfALease: udhcpc gets a lease, renews it by unicast, gives it back,
// and declines an address that somebody uses.
func TestLifeOfALease(t *testing.T) {
	path, err := exec.LookPath("udhcpc")
	if err != nil {
		t.Skip("udhcpc is not installed")
	}
	w := newWire(t)
	events := serve(t, w, testNetwork())
	script := filepath.Join(t.TempDir(), "script")
	text := "#!/bin/sh\ncase $1 in bound|renew) ip addr replace $ip/$mask dev eth0;; deconfig) ip addr flush dev eth0;; esac\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, append([]string{"-f", "-i", "eth0", "-s", script}, args...)...)
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		if err := w.client.Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	client := run()
	next(t, events, Acked)
	shows(t, w, "ip addr show eth0", "17.17.17.5/24")
	client.Process.Signal(syscall.SIGUSR1)
	if before := next(t, events, Acked); slices.Contains(before, Offered) {
		t.Errorf("a renewal was preceded by %q", before)
	}
	client.Process.Signal(syscall.SIGUSR2)
	next(t, events, Released)
	client.Process.Kill()

	ip(t, w.server, "addr add 17.17.17.5/32 dev serv")
	run("-a", "-n", "-t", "3", "-T", "1")
	next(t, events, Declined)
}

// TestReboot: dhclient asks for the address of its lease file at once, and is
// told when that is not its own.
func TestReboot(t *testing.T) {
	for addr, want := range map[string][]EventKind{"17.17.17.5": nil, "17.17.17.77": {Refused, Offered}} {
		t.Run(addr, func(t *testing.T) {
			w := newWire(t)
			events := serve(t, w, testNetwork())
			leases := filepath.Join(t.TempDir(), "leases")
			text := fmt.Sprintf("lease {\n  interface \"eth0\";\n  fixed-address %s;\n  option subnet-mask 255.255.255.0;\n  option dhcp-server-identifier 17.17.17.2;\n"+
				"  option dhcp-lease-time 86400;\n  renew 5 2037/01/02 00:00:00;\n  rebind 5 2037/01/02 00:00:00;\n  expire 5 2037/01/02 00:00:00;\n}\n", addr)
			if err := os.WriteFile(leases, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			start(t, w.client, "dhclient", "-4", "-1", "-d", "-sf", "/bin/true", "-cf", "/etc/dhcp/dhclient.conf", "-lf", leases, "-pf", leases+".pid", "eth0")
			if before := slices.Compact(next(t, events, Acked)); !slices.Equal(before, want) {
				t.Errorf("before the ACK came %q, want %q", before, want)
			}
		})
	}
}
