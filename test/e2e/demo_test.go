package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var wholeStory = regexp.MustCompile(`the whole story +([0-9.]+) s`)

// TestDemo plays the story with our own guest.
func TestDemo(t *testing.T) {
	needRoot(t)
	dir := stateDir(t)
	out, status := imprint(t, 3*time.Minute, "demo", "--state-dir", filepath.Join(dir, "demo"), "--config", configuration(t, "e2e-", 15000, ""))
	t.Log(out)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	took := wholeStory.FindStringSubmatch(out)
	if took == nil {
		t.Fatal("the time of the whole story is not printed")
	}
	if seconds, _ := strconv.ParseFloat(took[1], 64); seconds > 30 {
		t.Errorf("the story took %s s, more than 30", took[1])
	}
}

// TestDemoWithRealCloudInit plays the same story on Debian's root file system
// with Debian's cloud-init: the judge of what instances are told.
func TestDemoWithRealCloudInit(t *testing.T) {
	needRoot(t)
	tree := realTree(t)
	dir := stateDir(t)
	conf := configuration(t, "e2r-", 15010, "compute: {trees: {bookworm: "+tree+"}}\n")
	out, status := imprint(t, 6*time.Minute, "demo", "--state-dir", filepath.Join(dir, "demo"), "--config", conf, "--tree", "bookworm")
	t.Log(out)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
}

// realTree returns the root file system with the real cloud-init.
func realTree(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("../debian-tree")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 2 {
		t.Skip(said.String())
	}
	if err != nil {
		t.Fatalf("debian-tree: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// TestInterruptedDemoLeavesNothing: whoever stops a demo in its middle has no
// cloud left behind.
func TestInterruptedDemoLeavesNothing(t *testing.T) {
	needRoot(t)
	for name, stop := range map[string]func(*exec.Cmd, io.Closer){
		"SIGINT":          func(c *exec.Cmd, _ io.Closer) { c.Process.Signal(os.Interrupt) },
		"SIGTERM":         func(c *exec.Cmd, _ io.Closer) { c.Process.Signal(syscall.SIGTERM) },
		"nobody reads on": func(_ *exec.Cmd, out io.Closer) { out.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(stateDir(t), "demo")
			cmd := exec.Command(filepath.Join(programs, "imprint"), "demo", "--state-dir", dir, "--config", configuration(t, "e2i-", 15060, ""))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "server c1") {
			}
			stop(cmd, out)
			io.Copy(io.Discard, out)
			cmd.Wait()
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the state directory is still there: %v", err)
			}
			left, _ := filepath.Glob("/run/netns/e2i-*")
			groups, _ := filepath.Glob("/sys/fs/cgroup/*/e2i-imprint")
			sockets, _ := filepath.Glob("/run/e2i-*")
			if all := append(append(left, groups...), sockets...); len(all) > 0 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
}
