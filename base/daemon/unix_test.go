package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := ListenUnix(path, 0o640, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("socket is %v, %v; want mode 0640", info, err)
	}
	if _, err := ListenUnix(path, 0o640, -1, -1); !errors.Is(err, ErrInUse) {
		t.Errorf("second listener: %v, want ErrInUse", err)
	}
	l.Close()
	l, err = ListenUnix(path, 0o600, -1, -1)
	if err != nil {
		t.Fatalf("stale socket is not replaced: %v", err)
	}
	l.Close()
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestListenUnixKeepsFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(path, 0o600, -1, -1); err == nil {
		t.Error("a plain file was replaced")
	}
	if got, _ := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("file holds %q", got)
	}
}

func TestAdmitUIDs(t *testing.T) {
	me := uint32(os.Getuid())
	for name, tc := range map[string]struct {
		uids []uint32
		want string
	}{
		"me":      {[]uint32{me + 1, me}, "hello"},
		"another": {[]uint32{me + 1}, ""},
		"nobody":  {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := ListenUnix(path, 0o600, -1, -1)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := AdmitUIDs(l, nil, tc.uids...).Accept()
				if err == nil {
					c.Write([]byte("hello"))
					c.Close()
				}
			}()
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			buf := make([]byte, 16)
			n, _ := c.Read(buf)
			if string(buf[:n]) != tc.want {
				t.Errorf("read %q, want %q", buf[:n], tc.want)
			}
			l.Close()
			<-served
		})
	}
}

func TestSignals(t *testing.T) {
	ctx, reload, stop := Signals(t.Context())
	defer stop()
	if err := unix.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-reload
	if ctx.Err() != nil {
		t.Fatal("SIGHUP cancelled the context")
	}
	if err := unix.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error(ctx.Err())
	}
}

func TestNotify(t *testing.T) {
	if err := Notify("", "READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Notify(path, "READY=1", "STATUS=up"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := l.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1\nSTATUS=up" {
		t.Errorf("manager got %q, %v", buf[:n], err)
	}
}
