package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"imprint/host/cloud"
)

// serveForever serves the store in dir on the address and with the files that
// lie there, until it is killed. It prints a line when it has begun.
func serveForever(dir string) error {
	return serveAfter(dir, func(*Etcd) error { return nil })
}

// serveOnFullDisk does so after the disk of the store has become full.
func serveOnFullDisk(dir string) error {
	filler, err := mountDisk(dir)
	if err != nil {
		return err
	}
	return serveAfter(dir, func(*Etcd) error { return fill(filler) })
}

// serveUntilWrecked does so until etcd itself fails of a full disk.
func serveUntilWrecked(dir string) error {
	filler, err := mountDisk(dir)
	if err != nil {
		return err
	}
	return serveAfter(dir, func(e *Etcd) error {
		go wreck(context.Background(), e, filler)
		return nil
	})
}

// mountDisk returns the path of a file that is to fill the store's disk.
func mountDisk(dir string) (string, error) {
	disk := diskOptions(dir).Dir
	return filepath.Join(disk, "filler"), errors.Join(os.Mkdir(disk, 0o700), mountSmall(disk, "320m"))
}

func serveAfter(dir string, prepare func(*Etcd) error) error {
	addr, err := os.ReadFile(filepath.Join(dir, "addr"))
	if err != nil {
		return err
	}
	conf, err := readServer(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	e, err := OpenEtcd(ctx, EtcdOptions{Dir: diskOptions(dir).Dir})
	if err != nil {
		return err
	}
	if err := prepare(e); err != nil {
		return err
	}
	l, err := net.Listen("tcp", string(addr))
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return e.Serve(ctx, l, conf)
}

// process is a store that runs as a process of its own.
type process struct {
	role, dir, addr string
	ca              *authority
	cmd             *exec.Cmd
}

func newProcess(t *testing.T, role string) *process {
	t.Helper()
	p := &process{role: role, dir: t.TempDir(), addr: freeAddr(t), ca: newAuthority(t, "authority")}
	p.ca.writeServer(t, p.dir)
	if err := os.WriteFile(filepath.Join(p.dir, "addr"), []byte(p.addr), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs the process in mounts of its own if the test may.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.cmd = helperCommand(p.role, p.dir)
	p.cmd.Stderr = os.Stderr
	if os.Getuid() == 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		p.kill()
		t.Fatal("the store did not start")
	}
}

func (p *process) kill() { p.cmd.Process.Kill(); p.cmd.Wait() }

func (p *process) open(t *testing.T, role Role) Engine {
	t.Helper()
	conf := p.ca.client(p.ca.issue(t, string(role), []Role{role}))
	e, err := OpenRemote(t.Context(), Remote{Endpoints: []string{"https://" + p.addr}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestServedFullDisk: a full disk is told to writers elsewhere in the same
// words, and readers are served.
func TestServedFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	p := newProcess(t, "serve full")
	p.start(t)
	defer p.kill()
	e := p.open(t, RoleAPI)
	defer e.Close()
	_, err := e.Txn(t.Context(), EngineTxn{Then: []Op{put("/a", "1")}})
	if err := wantError("write", err, cloud.Unavailable, "the store's disk is full: 0 MiB are free, 96 are needed"); err != nil {
		t.Error(err)
	}
	if _, _, err := e.List(t.Context(), "/"); err != nil {
		t.Error(err)
	}
}

// TestServerKilled: a store that is killed under load and comes back has lost
// nothing that it had acknowledged to another process, and its readers know it.
func TestServerKilled(t *testing.T) {
	const rounds, writers, acks = 3, 4, 200
	p := newProcess(t, "serve")
	p.start(t)
	defer func() { p.kill() }()
	writer := mustOpen(t, Options{Engine: p.open(t, RoleAPI), Key: diskOptions(p.dir).Key})
	reader := mustOpen(t, Options{Engine: p.open(t, RoleMetadata), ReadOnly: true})

	l := &pressure{store: writer, more: make(chan struct{}, 1)}
	for w := range writers {
		l.group.Go(func() { l.write(t, w) })
	}
	for range rounds {
		l.await(acks)
		p.kill()
		p.start(t)
	}
	l.await(acks)
	l.end.Store(true)
	l.group.Wait()

	last := project("last", "last")
	create(t, writer, last)
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Projects["last"] != nil })
	again := mustOpen(t, Options{Engine: p.open(t, RoleAPI), Key: diskOptions(p.dir).Key})
	for name, s := range map[string]*Store{"writer": writer, "reader": reader, "opened again": again} {
		s.View(func(m *cloud.Model) {
			for _, id := range l.acked {
				if m.Projects[cloud.ProjectID(id)] == nil {
					t.Errorf("%s: %s was acknowledged and is lost", name, id)
				}
			}
			if claims := claimsIn(t, again.engine); len(claims) != len(m.Projects) {
				t.Errorf("%s: %d claims, %d projects", name, len(claims), len(m.Projects))
			}
		})
	}
}

// TestServedWrecked: an engine that has failed is not served any longer, so
// that its process can end and start again.
func TestServedWrecked(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	p := newProcess(t, "serve wreck")
	cmd := helperCommand(p.role, p.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "serve store on "+p.addr+": the store is away") || !strings.Contains(string(out), "no space left") {
		t.Errorf("%v\n%s", err, out)
	}
}

// pressure writes and notes what was acknowledged.
type pressure struct {
	store *Store
	group sync.WaitGroup
	end   atomic.Bool
	more  chan struct{}

	mu    sync.Mutex
	acked []string
}

func (l *pressure) write(t *testing.T, w int) {
	for i := 0; !l.end.Load(); i++ {
		id := fmt.Sprintf("%d-%d", w, i)
		err := l.store.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project(id, id)}})
		if err != nil && (cloud.KindOf(err) != cloud.Unavailable || errors.Is(err, ErrRefused)) {
			t.Errorf("commit %s: %v", id, err)
			return
		}
		if err == nil {
			l.note(id)
		}
	}
}

func (l *pressure) note(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, id)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// await returns when n more were acknowledged.
func (l *pressure) await(n int) {
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.acked) }
	for until := count() + n; count() < until; {
		<-l.more
	}
}
