package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// TestMain makes the test binary the worker and the owner of the tests too.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "worker":
		exit(runWorker())
	case len(os.Args) == 2 && os.Args[1] == "confined":
		exit(runConfined())
	case len(os.Args) == 3 && os.Args[1] == "successor's owner":
		exit(runSuccessorsOwner(os.Args[2]))
	case len(os.Args) == 3 && os.Args[1] == "owner":
		exit(runOwner(os.Args[2]))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// greeter greets with each item's data on the item's listener.
type greeter struct {
	items map[string]*greeting
}

type greeting struct {
	l    net.Listener
	data json.RawMessage
}

func (g *greeter) Put(item Item, files []*os.File) error {
	defer closeAll(files)
	held := g.items[item.Key]
	if held == nil {
		if len(files) != 1 {
			return errors.New("want one listener")
		}
		l, err := net.FileListener(files[0])
		if err != nil {
			return err
		}
		held = &greeting{l: l}
		g.items[item.Key] = held
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s %d", held.data, os.Getuid())
				c.Close()
			}
		}()
	}
	held.data = slices.Clone(item.Data)
	return nil
}

func (g *greeter) Remove(key string) error {
	if held := g.items[key]; held != nil {
		held.l.Close()
		delete(g.items, key)
	}
	return nil
}

func (g *greeter) List() []Item {
	var items []Item
	for key, held := range g.items {
		items = append(items, Item{Key: key, Data: held.data})
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	return items
}

// Give makes greeter a [Giver].
func (g *greeter) Give(key string) ([]*os.File, error) {
	f, err := g.items[key].l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

func runWorker() error {
	l, err := EnterWorker()
	if err != nil {
		return err
	}
	log := NewLogger(os.Stderr, slog.LevelInfo, false)
	return Run(context.Background(), log, time.Second, Task{"handover", func(ctx context.Context) error {
		return ServeHandover(ctx, l, log, &greeter{items: map[string]*greeting{}}, 0)
	}})
}

// runOwner starts the worker, hands it a listener, prints its address, and
// waits to be killed.
func runOwner(control string) error {
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	there := make(chan struct{}, 1)
	go Supervise(ctx, nil, control, Command{Args: []string{"worker"}, UID: nobody, GID: nobody}, func() { there <- struct{}{} })
	<-there
	h, err := DialHandover(ctx, control)
	if err != nil {
		return err
	}
	if err := h.Put(ctx, Item{Key: "router/1", Data: json.RawMessage(`"one"`)}, f); err != nil {
		return err
	}
	fmt.Println(l.Addr())
	select {}
}

func greetingOf(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestWorkerSurvivesItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	control := filepath.Join(t.TempDir(), "control")
	owner := exec.Command("/proc/self/exe", "owner", control)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { NewHandover(control).Stop(context.Background()) })
	addr, err := bufio.NewReader(out).ReadString('\n')
	addr = strings.TrimSpace(addr)
	if err != nil {
		t.Fatalf("owner said %q, %v", addr, err)
	}
	if got := greetingOf(t, addr); got != `"one" 65534` {
		t.Errorf("with the owner: %q", got)
	}
	owner.Process.Signal(unix.SIGKILL)
	owner.Wait()
	if got := greetingOf(t, addr); got != `"one" 65534` {
		t.Errorf("after the owner was killed: %q", got)
	}

	h, err := DialHandover(t.Context(), control)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	items, err := h.List(t.Context())
	if err != nil || len(items) != 1 || items[0].Key != "router/1" || string(items[0].Data) != `"one"` {
		t.Fatalf("List = %v, %v", items, err)
	}
	if err := h.Put(t.Context(), Item{Key: "router/1", Data: json.RawMessage(`"two"`)}); err != nil {
		t.Fatal(err)
	}
	if got := greetingOf(t, addr); got != `"two" 65534` {
		t.Errorf("after new data: %q", got)
	}
	takeOver(t, control, addr)
}

// takeOver lets a second Supervise adopt the worker and stop it.
func takeOver(t *testing.T, control, addr string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found, ended := make(chan struct{}, 1), make(chan error)
	go func() {
		ended <- Supervise(ctx, nil, control, Command{Args: []string{"worker"}, UID: nobody, GID: nobody, Grace: 10 * time.Second}, func() { found <- struct{}{} })
	}()
	<-found
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := greetingOf(t, addr); !strings.Contains(got, "refused") {
		t.Errorf("after the worker was stopped: %q", got)
	}
}

// A worker that was found and is not what would be started now is replaced, and
// its successor has its sockets.
func TestWorkerOfAnotherUserIsReplaced(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	control := filepath.Join(t.TempDir(), "control")
	t.Cleanup(func() { NewHandover(control).Stop(context.Background()) })
	uidOf := func(pid int) string {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, rest, _ := strings.Cut(string(status), "\nUid:\t")
		uid, _, _ := strings.Cut(rest, "\t")
		return uid
	}
	addr := ""
	first := 0
	superviseAs := func(uid uint32) (int, string, string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		there, ended := make(chan struct{}, 1), make(chan error, 1)
		command := Command{Args: []string{"worker"}, UID: uid, GID: uid, Grace: 10 * time.Second}
		go func() { ended <- Supervise(ctx, nil, control, command, func() { there <- struct{}{} }) }()
		<-there
		h, err := DialHandover(ctx, control)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		pid, err := h.PID(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := waitForExit(ctx, first); err != nil { // until then both accept
			t.Fatal(err)
		}
		has, greeting := uidOf(pid), greetingOf(t, addr)
		cancel()
		<-ended
		return pid, has, greeting
	}
	owner := exec.Command("/proc/self/exe", "owner", control)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if addr, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	owner.Process.Kill()
	owner.Wait()
	first, err = NewHandover(control).PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orphan := startOrphan(t, control)
	const other = nobody - 1
	if second, uid, greeting := superviseAs(other); second == first || uid != fmt.Sprint(other) || greeting != fmt.Sprintf(`"one" %d`, other) {
		t.Errorf("process %d of user %s serves, the first was %d; want another, of user %d; it says %q", second, uid, first, other, greeting)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := waitForExit(ctx, orphan); err != nil {
		t.Errorf("the orphan is left: %v", err)
	}
}

// startOrphan starts a successor whose owner dies before it is used, and returns
// its process id.
func startOrphan(t *testing.T, control string) int {
	t.Helper()
	owner := exec.Command("/proc/self/exe", "successor's owner", filepath.Join(filepath.Dir(control), ".control.next"))
	out, err := owner.Output() // it kills itself
	pid, scanErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err == nil || scanErr != nil {
		t.Fatalf("%v, %v: %q", err, scanErr, out)
	}
	return pid
}

// runSuccessorsOwner starts a worker behind the socket next, prints its process
// id and dies.
func runSuccessorsOwner(next string) error {
	l, err := listenFile(next)
	if err != nil {
		return err
	}
	go Spawn(context.Background(), Command{Args: []string{"worker"}, UID: nobody, GID: nobody, Files: []*os.File{l}})
	pid, err := NewHandover(next).PID(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(pid)
	return unix.Kill(os.Getpid(), unix.SIGKILL)
}

func TestHandoverRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	l, err := ListenUnix(path, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- ServeHandover(ctx, l, nil, &greeter{items: map[string]*greeting{}}, uint32(os.Getuid()))
	}()
	h := NewHandover(path)
	defer h.Close()
	tests := map[string]struct {
		item Item
		want string
	}{
		"no files":  {Item{Key: "a"}, "want one listener"},
		"no key":    {Item{}, "key of 0 bytes"},
		"long key":  {Item{Key: strings.Repeat("k", 257)}, "key of 257 bytes"},
		"large":     {Item{Key: "a", Data: make([]byte, MaxData+1)}, "bytes of data"},
		"not JSON":  {Item{Key: "a", Data: json.RawMessage("{")}, "unexpected end"},
		"many file": {Item{Key: "a"}, "too large"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var files []*os.File
			if name == "many file" {
				files = slices.Repeat([]*os.File{os.Stdin}, MaxFiles+1)
			}
			err := h.Put(t.Context(), tc.item, files...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Put = %v, want %q", err, tc.want)
			}
		})
	}
	if items, err := h.List(t.Context()); err != nil || len(items) != 0 {
		t.Errorf("List = %v, %v; want nothing", items, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("ServeHandover = %v", err)
	}
}

func TestServeHandoverSurvivesGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	l, err := ListenUnix(path, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() {
		served <- ServeHandover(t.Context(), l, nil, &greeter{items: map[string]*greeting{}}, uint32(os.Getuid()))
	}()
	for _, garbage := range []string{"", "x", "\xff\xff\xff\xff", "\x00\x00\x00\x01{", "\x00\x00\x00\x02{}"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, garbage)
		c.(*net.UnixConn).CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	}
	h := NewHandover(path)
	defer h.Close()
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, ErrStop) {
		t.Errorf("ServeHandover = %v, want ErrStop", err)
	}
}

func TestSpawnRefusesRoot(t *testing.T) {
	if err := Spawn(t.Context(), Command{Args: []string{"worker"}}); err == nil || !strings.Contains(err.Error(), "uid 0") {
		t.Errorf("Spawn as root = %v", err)
	}
}

// The thread that gave its privileges up for a child is not used again.
func TestSpawnKeepsOwnPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	err := Spawn(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "grep -q 'CapBnd:.*0000000000000000' /proc/self/status && exit 7"}, UID: nobody, GID: nobody})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Fatalf("Spawn = %v, want exit status 7", err)
	}
	deadline := time.After(10 * time.Second)
	for bound := true; bound; {
		bound = false
		threads, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil || len(threads) == 0 {
			t.Fatalf("own threads: %v, %v", threads, err)
		}
		for _, name := range threads {
			status, _ := os.ReadFile(name)
			bound = bound || strings.Contains(string(status), "NoNewPrivs:\t1")
		}
		select {
		case <-deadline:
			t.Fatal("a thread without privileges is left")
		case <-time.After(time.Millisecond):
		}
	}
}

// A worker that is kept goes on without its owner and is taken over by the next.
func TestKeptWorkerGoesOn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	control := filepath.Join(t.TempDir(), "control")
	t.Cleanup(func() { NewHandover(control).Stop(context.Background()) })
	supervise := func(keep bool) (int, error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		there, ended := make(chan struct{}, 1), make(chan error, 1)
		command := Command{Args: []string{"worker"}, UID: nobody, GID: nobody, Grace: 10 * time.Second, Keep: func() bool { return keep }}
		go func() { ended <- Supervise(ctx, nil, control, command, func() { there <- struct{}{} }) }()
		<-there
		pid, err := NewHandover(control).PID(ctx)
		cancel()
		return pid, errors.Join(err, <-ended)
	}
	first, err := supervise(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		if pid, err := supervise(keep); pid != first || err != nil {
			t.Errorf("worker %d is process %d now: %v", first, pid, err)
		}
	}
	if pid, err := NewHandover(control).PID(t.Context()); err == nil {
		t.Errorf("worker %d was not stopped", pid)
	}
}
