package rootfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel's own RESOLVE_IN_ROOT is the oracle: in random forests of links
// every name must lead both of us to the same file, or both to an error.
func TestResolvesAsTheKernel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "b", "c", "..", "./d", "d"}
	name := func(n int) string {
		var out []string
		for range 1 + rnd.IntN(n) {
			out = append(out, parts[rnd.IntN(len(parts))])
		}
		return strings.Join(out, "/")
	}
	found := 0
	for range 60 {
		r, in, _ := tree(t)
		// Made through os.Root: a link among the parents leads nowhere outside.
		forest, err := os.OpenRoot(in)
		if err != nil {
			t.Fatal(err)
		}
		defer forest.Close()
		for range 25 {
			at := filepath.Join(".", filepath.Join("/", name(3)))
			target := name(4)
			if rnd.IntN(3) == 0 {
				target = "/" + target
			}
			switch rnd.IntN(4) {
			case 0, 1:
				forest.Mkdir(at, 0o755)
			case 2:
				forest.Symlink(target, at)
			case 3:
				forest.WriteFile(at, nil, 0o644)
			}
		}
		for range 100 {
			n := "/" + name(6)
			want, err := kernel(r, n)
			if err == unix.ENOSYS || err == unix.EPERM {
				t.Skip("no openat2 here")
			}
			got := ""
			if fi, err := r.Stat(n); err == nil {
				got = inode(fi.Sys())
				found++
			}
			if got != want {
				t.Errorf("%s in %s: inode %q, the kernel's %q", n, in, got, want)
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d names led anywhere", found)
	}
}

func kernel(r *Root, name string) (string, error) {
	fd, err := unix.Openat2(r.fd, name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	return inode(fi.Sys()), nil
}

func inode(sys any) string { return fmt.Sprint(sys.(*syscall.Stat_t).Ino) }
