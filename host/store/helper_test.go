package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"imprint/host/cloud"
)

// This binary runs itself as a helper for what a test process cannot do to
// itself: to be killed, and to see a small disk.
const (
	helperEnv = "STORE_TEST_ROLE"
	dirEnv    = "STORE_TEST_DIR"
)

func helper(role string) int {
	dir := os.Getenv(dirEnv)
	roles := map[string]func(string) error{
		"write":       writeForever,
		"full":        onFullDisk,
		"small":       onSmallDisk,
		"serve full":  serveOnFullDisk,
		"serve wreck": serveUntilWrecked,
		"read-only":   onReadOnlyDisk,
		"overrun":     overrun,
		"open":        openAndList,
		"grow":        growToThree,
		"serve":       serveForever,
		"serve stock": serveStock,
	}
	if err := roles[role](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func helperCommand(role, dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + role, dirEnv + "=" + dir}
	return cmd
}

func diskOptions(dir string) Options {
	return Options{Dir: filepath.Join(dir, "store"), Key: filepath.Join(dir, "key")}
}

// writeForever prints a line for every commit that was acknowledged.
func writeForever(dir string) error {
	s, err := Open(context.Background(), diskOptions(dir))
	if err != nil {
		return err
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := s.Commit(context.Background(), cloud.Txn{Put: []cloud.Record{project(id, id)}}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(id)
			}
		})
	}
	writers.Wait()
	return nil
}

func mountSmall(dir, size string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size)
}

func inOwnMounts(t *testing.T, role string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := helperCommand(role, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestFullDisk(t *testing.T)     { inOwnMounts(t, "full") }
func TestSmallDisk(t *testing.T)    { inOwnMounts(t, "small") }
func TestReadOnlyDisk(t *testing.T) { inOwnMounts(t, "read-only") }

func wantError(what string, err error, kind cloud.Kind, text string) error {
	if err == nil || cloud.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("%s: error %v, want kind %d and %q", what, err, kind, text)
	}
	return nil
}

func onSmallDisk(dir string) error {
	if err := mountSmall(dir, "100m"); err != nil {
		return err
	}
	_, err := Open(context.Background(), diskOptions(dir))
	return wantError("open on a small disk", err, cloud.Unavailable, "disk is full")
}

func onReadOnlyDisk(dir string) error {
	if err := mountSmall(dir, "100m"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	_, err := Open(context.Background(), diskOptions(dir))
	return wantError("open on a read-only disk", err, cloud.Internal, "read-only file system")
}

func onFullDisk(dir string) error {
	ctx := context.Background()
	if err := mountSmall(dir, "320m"); err != nil {
		return err
	}
	s, err := Open(ctx, diskOptions(dir))
	if err != nil {
		return err
	}
	put := func(id string) error { return s.Commit(ctx, cloud.Txn{Put: []cloud.Record{project(id, id)}}) }
	filler := filepath.Join(dir, "filler")
	err = errors.Join(put("before"), fill(filler), wantError("commit", put("full"), cloud.Unavailable, "disk is full"),
		os.Remove(filler), put("after"), s.Close(), child("overrun", dir), os.Remove(filler))
	if err != nil {
		return err
	}
	return child("open", dir)
}

func child(role, dir string) error {
	if out, err := helperCommand(role, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %v\n%s", role, err, out)
	}
	return nil
}

func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, zeros{})
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk was not filled: %v", err)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// overrun writes past the store's own check until etcd fails: the process
// lives on, readers are served, and writers are told.
func overrun(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, diskOptions(dir))
	if err != nil {
		return err
	}
	e := s.engine.(*Etcd)
	if err := wreck(ctx, e, filepath.Join(dir, "filler")); err != nil {
		return err
	}
	_, _, err = e.List(ctx, root)
	err = errors.Join(
		wantError("list of a failed engine", err, cloud.Unavailable, "no space left"),
		wantError("number of a failed engine", second(s.NextNumber(ctx, "n")), cloud.Unavailable, "no space left"))
	s.View(func(m *cloud.Model) {
		if m.Projects["after"] == nil {
			err = errors.Join(err, errors.New("the model is gone"))
		}
	})
	began := time.Now()
	s.Close()
	if d := time.Since(began); d > 2*failedTimeout {
		err = errors.Join(err, fmt.Errorf("close took %v", d))
	}
	return err
}

// wreck fills the disk and writes until etcd has failed.
func wreck(ctx context.Context, e *Etcd, filler string) error {
	if err := fill(filler); err != nil {
		return err
	}
	big := strings.Repeat("x", 1<<20)
	for i := 0; e.failure.err() == nil; i++ {
		call, cancel := context.WithTimeout(ctx, time.Second)
		e.client.Put(call, fmt.Sprint("/other/", i), big, clientv3.WithPrevKV())
		cancel()
		if i == 1000 {
			return errors.New("etcd never ran out of space")
		}
	}
	return nil
}

func second(_ int64, err error) error { return err }

// openAndList prints the projects of the store.
func openAndList(dir string) error {
	s, err := Open(context.Background(), diskOptions(dir))
	if err != nil {
		return err
	}
	s.View(func(m *cloud.Model) {
		for id := range m.Projects {
			fmt.Println(id)
		}
	})
	return s.Close()
}
