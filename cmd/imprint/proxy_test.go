package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
	"imprint/base/netns"
)

// TestMain makes the test binary `imprint proxy` and its worker too.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == aloneWorker:
		os.Exit(worker("proxy", os.Args[2:], runAlone))
	case len(os.Args) > 1 && os.Args[1] == "proxy":
		c := proxyCommand()
		c.SetArgs(os.Args[2:])
		if c.ExecuteContext(context.Background()) != nil {
			os.Exit(exitFailed)
		}
		os.Exit(exitOK)
	}
	os.Exit(m.Run())
}

const (
	someNetwork = "aaaaaaaa-0000-4000-8000-000000000001"
	someRouter  = "dddddddd-0000-4000-8000-000000000004"
	nobodyID    = 65534
)

// echoAgent answers with what the proxy says of a request, as nobody's.
func echoAgent(t *testing.T, socket string) {
	t.Helper()
	l, err := daemon.ListenUnix(socket, 0o600, nobodyID, nobodyID)
	if err != nil {
		t.Fatal(err)
	}
	agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		fmt.Fprint(w, h.Get("X-Neutron-Network-ID"), h.Get("X-Neutron-Router-ID"), " ", h.Get("X-Forwarded-For"))
	})}
	go agent.Serve(l)
	t.Cleanup(func() { agent.Close() })
}

// dhcpNamespace has the metadata addresses, of which the second is still
// tentative for a second.
func dhcpNamespace(t *testing.T) *netns.NS {
	t.Helper()
	name := fmt.Sprintf("proxy-alone-%d", os.Getpid())
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close(); netns.Delete(name) })
	err = ns.Do(func() error {
		out, err := exec.Command("sh", "-ec", "ip link set lo up; ip link add ns-x type veth peer y; ip link set ns-x up; ip link set y up; "+
			"ip addr add 169.254.169.254/32 dev ns-x; ip addr add fe80::a9fe:a9fe/64 dev ns-x").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// proxyIn runs `imprint proxy` in the namespace until it says that it serves.
func proxyIn(t *testing.T, ns *netns.NS, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"proxy"}, args...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	return out.String(), err
}

func askIn(t *testing.T, ns *netns.NS, address string) string {
	t.Helper()
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", address, 10*time.Second)
		return err
	})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// TestProxyAlone: the drop-in goes into the background as another user, its
// pid file is its own, and it ends when it is told to.
func TestProxyAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "proxy-alone")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	echoAgent(t, filepath.Join(dir, "metadata_proxy"))
	ns := dhcpNamespace(t)
	pidFile := filepath.Join(dir, "pid")
	network := []string{
		"--network_id=" + someNetwork, "--metadata_port=80", "--state_path=" + dir, "--pid_file=" + pidFile,
		"--metadata_proxy_user=nobody", "--metadata-proxy-group=65534", "--log-file=log", "--log-dir=" + dir, "--nometadata_proxy_watch_log", "--verbose",
	}
	if out, err := proxyIn(t, ns, network...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid := pidOf(t, pidFile)
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	awaitAddresses(t, ns)
	for address, want := range map[string]string{
		"169.254.169.254:80": someNetwork + " 169.254.169.254", "[fe80::a9fe:a9fe%ns-x]:80": someNetwork + " fe80::a9fe:a9fe",
	} {
		if got := askIn(t, ns, address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := askIn(t, ns, "127.0.0.1:80"); !strings.Contains(got, "refused") {
		t.Errorf("another address: %q", got)
	}
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if !strings.Contains(string(cmdline), someNetwork) || !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d", nobodyID)) || !strings.Contains(string(status), "\nSeccomp:\t2") {
		t.Errorf("process %d: %q\n%s", pid, cmdline, status)
	}
	if out, err := proxyIn(t, ns, network...); err == nil || !strings.Contains(out, "running already") {
		t.Errorf("a second one: %v, %s", err, out)
	}
	theirs := filepath.Join(dir, "haproxy.pid") // of who serves the address
	os.WriteFile(theirs, []byte("1\n"), 0o644)
	if out, err := proxyIn(t, ns, append(slices.Clone(network), "--pid_file="+theirs)...); err == nil || !strings.Contains(out, "in use") {
		t.Errorf("an address that is served: %v, %s", err, out)
	}
	if text, _ := os.ReadFile(theirs); string(text) != "1\n" {
		t.Errorf("the pid file of another: %q", text)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || !strings.Contains(string(log), "metadata request taken") {
		t.Errorf("log: %v %s", err, log)
	}
	end(t, pid)
	if got := askIn(t, ns, "169.254.169.254:80"); !strings.Contains(got, "refused") {
		t.Errorf("after its end: %q", got)
	}
	if out, err := proxyIn(t, ns, "--router_id", someRouter, "--metadata_proxy_socket", filepath.Join(dir, "metadata_proxy"), "--pid_file", pidFile, "--metadata_proxy_user", "nobody"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid = pidOf(t, pidFile)
	for _, address := range []string{"127.0.0.1:9697", "[::1]:9697"} {
		if got := askIn(t, ns, address); !strings.HasPrefix(got, someRouter+" ") {
			t.Errorf("%s: %q", address, got)
		}
	}
	end(t, pid)
}

// awaitAddresses waits until the kernel has checked the namespace's addresses.
func awaitAddresses(t *testing.T, ns *netns.NS) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var out []byte
		err := ns.Do(func() (err error) {
			out, err = exec.Command("ip", "-6", "addr", "show", "tentative").CombinedOutput()
			return err
		})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%v: %s", err, out)
		}
		if len(out) == 0 {
			return
		}
	}
}

func pidOf(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// end asks a process to end, and waits.
func end(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 {
		t.Errorf("process %d goes on: %v", pid, err)
	}
}

func TestProxyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no id":     {nil, "router_id or network_id is needed"},
		"both":      {[]string{"--router_id", someRouter, "--network_id", someNetwork}, "both"},
		"not an id": {[]string{"--router_id", "../x"}, "is not an id"},
		"root":      {[]string{"--router_id", someRouter, "--metadata_proxy_user", "0"}, "others than root"},
		"nobody's":  {[]string{"--router_id", someRouter, "--metadata_proxy_user", "no-such-user"}, "unknown user"},
		"a group":   {[]string{"--router_id", someRouter, "--metadata_proxy_group", "no-such-group"}, "unknown group"},
		"root's":    {[]string{"--router_id", someRouter, "--metadata_proxy_user", "65534", "--metadata_proxy_group", "0"}, "others than root"},
	} {
		command := proxyCommand()
		command.SetArgs(c.args)
		command.SilenceErrors, command.SilenceUsage = true, true
		if err := command.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
