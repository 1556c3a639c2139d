package nsproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
)

// load asks without pause until it is stopped: on connections that are kept
// as long as they may be, and on a new one for each request.
type load struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	answered int
	lost     []error
}

func startLoad(t *testing.T, addresses ...string) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop}
	l.changed = sync.NewCond(&l.mu)
	for _, address := range addresses {
		for range 3 {
			l.running.Go(func() { l.ask(ctx, address, "") })
			l.running.Go(func() { l.ask(ctx, address, "Connection: close\r\n") })
		}
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) ask(ctx context.Context, address, header string) {
	for ctx.Err() == nil {
		if err := l.connection(ctx, address, header); err != nil {
			l.count(0, err)
			return
		}
	}
}

// connection asks on one connection until an answer says that it is the last.
func (l *load) connection(ctx context.Context, address, header string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for in := bufio.NewReader(c); ctx.Err() == nil; {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"); err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "ok" {
			return fmt.Errorf("%d %q, %w", res.StatusCode, body, err)
		}
		l.count(1)
		if res.Close {
			return nil
		}
	}
	return nil
}

func (l *load) count(answered int, lost ...error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered += answered
	l.lost = append(l.lost, lost...)
	l.changed.Broadcast()
}

// more waits until so many more requests are answered, or some were lost.
func (l *load) more(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for until := l.answered + n; l.answered < until && len(l.lost) == 0; {
		l.changed.Wait()
	}
}

func (l *load) end() (answered int, lost []error) {
	l.stop()
	l.running.Wait()
	return l.answered, l.lost
}

// TestSuccessionLosesNothing replaces the running proxy by one with other
// arguments under a steady load, several times.
func TestSuccessionLosesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := openDir(t)
	agentSocket, control := filepath.Join(dir, "agent"), filepath.Join(dir, "control")
	l, err := daemon.ListenUnix(agentSocket, 0o666, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	agent := &http.Server{Handler: http.HandlerFunc(ok)}
	go agent.Serve(l)
	defer agent.Close()
	t.Cleanup(func() { daemon.NewHandover(control).Stop(context.Background()) })

	supervise := func(version string) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		there, ended := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			ended <- daemon.Supervise(ctx, nil, control, daemon.Command{
				Args: []string{"worker", agentSocket, version}, UID: nobody, GID: nobody, Log: os.Stderr,
				Grace: 5 * time.Second, Keep: func() bool { return true },
			}, func() { there <- struct{}{} })
		}()
		<-there
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	owner := daemon.NewHandover(control)
	defer owner.Close()
	stop := supervise("0")
	var addresses []string
	for _, key := range []string{routerKey, networkKey} {
		file, address := socketFile(t, "127.0.0.1:0")
		if err := owner.Put(t.Context(), daemon.Item{Key: key}, file); err != nil {
			t.Fatal(err)
		}
		file.Close()
		addresses = append(addresses, address)
	}
	work := startLoad(t, addresses...)
	work.more(200)
	before, err := owner.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for version := range 3 {
		stop()
		stop = supervise(fmt.Sprint(version + 1))
		awaitExit(t, before)
		work.more(200)
		after, err := owner.PID(t.Context())
		if err != nil || after == before {
			t.Fatalf("process %d serves after %d, %v", after, before, err)
		}
		if items, err := owner.List(t.Context()); err != nil || len(items) != len(addresses) {
			t.Errorf("%v, %v", items, err)
		}
		before = after
	}
	if answered, lost := work.end(); len(lost) > 0 {
		t.Errorf("%d requests were answered, lost: %v", answered, errors.Join(lost...))
	}
	stop()
	if err := owner.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// awaitExit waits for the end of a process.
func awaitExit(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000); n != 1 {
		t.Fatalf("process %d goes on: %v", pid, err)
	}
}
