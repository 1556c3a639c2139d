package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is an imprint up that a test started.
type running struct {
	cmd   *exec.Cmd
	lines chan string // of its log
	ended chan error

	stopped bool
}

// up starts imprint up and waits until it says that it is up.
func up(t *testing.T, args ...string) *running {
	t.Helper()
	return start(t, "imprint is up", append([]string{"up"}, args...)...)
}

// start starts a command that stays and waits until its log has ready.
func start(t *testing.T, ready string, args ...string) *running {
	t.Helper()
	return startAs(t, 0, ready, args...)
}

// startAs is start as another user.
func startAs(t *testing.T, uid uint32, ready string, args ...string) *running {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "imprint"), args...)
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{cmd: cmd, lines: make(chan string, 1024), ended: make(chan error, 1)}
	go func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			select {
			case r.lines <- s.Text():
			default:
			}
		}
		close(r.lines)
		r.ended <- cmd.Wait()
	}()
	t.Cleanup(func() { r.stop(t) })
	r.wait(t, ready)
	return r
}

// wait reads the log until a line contains text.
func (r *running) wait(t *testing.T, text string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case line, more := <-r.lines:
			if !more {
				t.Fatalf("the log ended without %q:\n%s", text, strings.Join(seen, "\n"))
			}
			if seen = append(seen, line); strings.Contains(line, text) {
				return
			}
		case <-limit:
			t.Fatalf("no %q in the log:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

// stop ends it; a second call does nothing.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("imprint up ended with %v", err)
		}
	case <-time.After(60 * time.Second):
		r.cmd.Process.Kill()
		t.Error("imprint up did not end")
	}
}

func TestSecondUpIsRefused(t *testing.T) {
	needRoot(t)
	dir, conf := stateDir(t), configuration(t, "e2s-", 15020, "")
	first := up(t, "--state-dir", dir, "--config", conf)
	out, status := imprint(t, time.Minute, "up", "--state-dir", dir, "--config", conf)
	want := fmt.Sprintf("state directory %s is held by process %d", dir, first.cmd.Process.Pid)
	if status != 1 || !strings.Contains(out, want) {
		t.Errorf("status %d, %q; want 1 and %q", status, out, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: mode %v, %v", info.Mode(), err)
	}
	first.stop(t)
	up(t, "--state-dir", dir, "--config", conf)
}

func TestPortInUseIsNamedBeforeAnythingChanges(t *testing.T) {
	needRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:15034")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(stateDir(t), "state")
	out, status := imprint(t, time.Minute, "up", "--state-dir", dir, "--config", configuration(t, "e2p-", 15030, ""))
	if status != 1 || !strings.Contains(out, "127.0.0.1:15034 is in use") || !strings.Contains(out, "metadata.port") {
		t.Errorf("status %d, %q", status, out)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the state directory was made: %v", err)
	}
}

func TestBadInputIsNamed(t *testing.T) {
	needRoot(t)
	dir := stateDir(t)
	open := stateDir(t)
	if err := os.WriteFile(filepath.Join(open, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"unknown key":     {[]string{"up", "--state-dir", dir, "--config", configuration(t, "e2b-", 15040, "dhcp:\n  lease: 7\n")}, 1, "line 5: unknown key lease"},
		"no such file":    {[]string{"up", "--state-dir", dir, "--config", "/nonexistent.yaml"}, 1, "/nonexistent.yaml"},
		"open directory":  {[]string{"up", "--state-dir", open}, 1, open + " is open to others"},
		"unknown command": {[]string{"upp"}, 2, "upp"},
		"unknown flag":    {[]string{"up", "--statedir", dir}, 2, "--statedir"},
		"extra argument":  {[]string{"up", dir}, 2, dir},
		"nothing to stop": {[]string{"down", "--state-dir", dir}, 1, "no imprint answers on state directory " + dir},
		"demo not empty":  {[]string{"demo", "--state-dir", open}, 1, open + " is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			out, status := imprint(t, time.Minute, test.args...)
			if status != test.status || !strings.Contains(out, test.want) {
				t.Errorf("status %d, %q; want %d and %q", status, out, test.status, test.want)
			}
		})
	}
}

func TestOthersThanRootAreTold(t *testing.T) {
	needRoot(t)
	if err := os.Chmod(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"up", "demo"} {
		cmd := exec.Command(filepath.Join(programs, "imprint"), command)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "imprint "+command+" needs root") {
			t.Errorf("%s: %v, %q", command, err, out)
		}
	}
}

func TestReload(t *testing.T) {
	needRoot(t)
	dir, conf := stateDir(t), configuration(t, "e2l-", 15050, "")
	r := up(t, "--state-dir", dir, "--config", conf)
	good, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text, want string, wantStatus int) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, status := imprint(t, time.Minute, "reload", "--state-dir", dir)
		if status != wantStatus || !strings.Contains(out, want) {
			t.Errorf("status %d, %q; want %d and %q", status, out, wantStatus, want)
		}
	}
	reload(string(good)+"dhcp: {force_metadata: true}\n", "", 0)
	r.wait(t, "configuration reloaded")
	reload(string(good)+"dhcp: {forced: true}\n", "unknown key forced", 1)
	reload(string(good)+"compute: {max_processes: 99}\n", "compute.max_processes: cannot change without a restart", 1)
	r.cmd.Process.Signal(syscall.SIGHUP)
	r.wait(t, "configuration refused")
	reload(string(good), "", 0)
	r.cmd.Process.Signal(syscall.SIGHUP)
	r.wait(t, "configuration reloaded")
}

func TestForeignFabricIsNamed(t *testing.T) {
	needRoot(t)
	const name = "e2f-imprint-fabric"
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer exec.Command("ip", "netns", "delete", name).Run()
	out, status := imprint(t, time.Minute, "up", "--state-dir", stateDir(t), "--config", configuration(t, "e2f-", 15070, ""))
	if status != 1 || !strings.Contains(out, "namespace "+name+": made by someone else") {
		t.Errorf("status %d, %q", status, out)
	}
	if _, err := os.Stat("/run/netns/" + name); err != nil {
		t.Errorf("what others made is gone: %v", err)
	}
}

func TestDownWaits(t *testing.T) {
	needRoot(t)
	dir := stateDir(t)
	r := up(t, "--state-dir", dir, "--config", configuration(t, "e2d-", 15080, ""))
	if out, status := imprint(t, time.Minute, "down", "--state-dir", dir); status != 0 || out != "" {
		t.Errorf("status %d, %q", status, out)
	}
	select {
	case err := <-r.ended:
		r.stopped = true
		if err != nil {
			t.Errorf("imprint up ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("down returned before imprint up had ended")
	}
	if left, _ := filepath.Glob("/run/netns/e2d-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
