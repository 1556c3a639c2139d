package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tree makes a root with an outside world beside it: outside/secret must
// never be read or changed through the root at in/.
func tree(t *testing.T) (r *Root, in, outside string) {
	t.Helper()
	base := t.TempDir()
	in, outside = filepath.Join(base, "in"), filepath.Join(base, "outside")
	for _, d := range []string{in, outside, filepath.Join(in, "etc")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, in, outside
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// files lists a tree: path, mode, link target or content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			out[rel] = "-> " + target
		case fi.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[rel] = fi.Mode().String() + " " + string(data)
		default:
			out[rel] = fi.Mode().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWriteThroughHostileLinks(t *testing.T) {
	tests := map[string]struct {
		links map[string]string // name in the root -> target; OUT is the outside
		name  string
		want  string // where the data must be, in the root; "" when refused
		err   error
	}{
		"plain":                   {name: "/etc/x", want: "etc/x"},
		"missing parents":         {name: "/a/b/c", want: "a/b/c"},
		"dot dot":                 {name: "/../../../x", want: "x"},
		"dot dot in the middle":   {name: "/etc/../../../outside/x", want: "outside/x"},
		"absolute link":           {links: map[string]string{"etc/x": "/var/x"}, name: "/etc/x", want: "var/x"},
		"absolute link outside":   {links: map[string]string{"etc/x": "OUT/secret"}, name: "/etc/x", want: "OUT/secret"},
		"dot dot chain":           {links: map[string]string{"etc/x": "../../../../outside/secret"}, name: "/etc/x", want: "outside/secret"},
		"dangling link":           {links: map[string]string{"etc/x": "y"}, name: "/etc/x", want: "etc/y"},
		"link in a parent":        {links: map[string]string{"lib": "/usr/lib"}, name: "/lib/x", want: "usr/lib/x"},
		"parent link outside":     {links: map[string]string{"lib": "../../outside"}, name: "/lib/secret", want: "outside/secret"},
		"parent link to root":     {links: map[string]string{"lib": "/"}, name: "/lib/etc/x", want: "etc/x"},
		"link to link":            {links: map[string]string{"a": "/b", "b": "etc/../c"}, name: "/a/x", want: "c/x"},
		"dot dot after a link":    {links: map[string]string{"a": "/usr/lib"}, name: "/a/../x", want: "usr/x"},
		"loop":                    {links: map[string]string{"a": "b", "b": "a"}, name: "/a", err: unix.ELOOP},
		"loop in a parent":        {links: map[string]string{"a": "a/a"}, name: "/a/x", err: unix.ELOOP},
		"directory at the target": {name: "/etc", err: unix.EISDIR},
		"the root":                {name: "/", err: unix.EISDIR},
		"file as parent":          {links: map[string]string{}, name: "/file/x", err: unix.ENOTDIR},
		"relative name":           {name: "etc/x", err: fs.ErrInvalid},
		"empty name":              {name: "", err: fs.ErrInvalid},
		"NUL":                     {name: "/etc/x\x00y", err: fs.ErrInvalid},
		"too long":                {name: "/" + strings.Repeat("x", 256), err: unix.ENAMETOOLONG},
		"longest":                 {name: "/" + strings.Repeat("x", 255), want: strings.Repeat("x", 255)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, in, outside := tree(t)
			if err := os.WriteFile(filepath.Join(in, "file"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			for from, to := range tt.links {
				link(t, strings.ReplaceAll(to, "OUT", outside), filepath.Join(in, from))
			}
			before, beyond := files(t, in), files(t, outside)
			err := r.WriteFile(tt.name, []byte("data"), 0o640)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(beyond, files(t, outside)); diff != "" {
				t.Errorf("changed outside the root:\n%s", diff)
			}
			if tt.err != nil {
				if diff := cmp.Diff(before, files(t, in)); diff != "" {
					t.Errorf("left behind:\n%s", diff)
				}
				return
			}
			want := filepath.Join(in, strings.ReplaceAll(tt.want, "OUT", outside))
			if got, err := os.ReadFile(want); err != nil || string(got) != "data" {
				t.Errorf("%s: %q, %v", want, got, err)
			}
			if got, err := r.ReadFile(tt.name); err != nil || string(got) != "data" {
				t.Errorf("read back: %q, %v", got, err)
			}
			if got, err := r.Path(tt.name); err != nil || got != want {
				t.Errorf("Path = %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestWriteReplaces(t *testing.T) {
	r, in, _ := tree(t)
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(in, "etc/x")
	if err := r.WriteFile("/etc/x", []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := r.WriteFile("/etc/x", []byte("two"), fs.ModeSetuid|0o755); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := old.Read(got); err != nil || string(got) != "one" {
		t.Errorf("an open reader sees %q, %v", got, err)
	}
	want := map[string]string{"etc": "drwxr-xr-x", "etc/x": "urwxr-xr-x two"}
	if diff := cmp.Diff(want, files(t, in)); diff != "" {
		t.Error(diff)
	}
}

func TestWriteAs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	r, in, _ := tree(t)
	if err := r.WriteFileAs("/etc/x", nil, fs.ModeSetuid|0o755, 12, 34); err != nil {
		t.Fatal(err)
	}
	if err := r.Chown("/etc/x", -1, 56); err != nil {
		t.Fatal(err)
	}
	if err := r.Chmod("/etc/x", fs.ModeSetgid|0o700); err != nil {
		t.Fatal(err)
	}
	fi, err := r.Stat("/etc/x")
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	if st.Uid != 12 || st.Gid != 56 || fi.Mode() != fs.ModeSetgid|0o700 || fi.Name() != "x" {
		t.Errorf("%s: uid %d gid %d mode %s", fi.Name(), st.Uid, st.Gid, fi.Mode())
	}
	link(t, "/outside-of-chroot", filepath.Join(in, "l"))
	if err := r.Chown("/l", 1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("chown of a dangling link: %v", err)
	}
}

func TestRefusesDevices(t *testing.T) {
	r, in, _ := tree(t)
	if err := unix.Mkfifo(filepath.Join(in, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteFile("/pipe", nil, 0o600); !errors.Is(err, errNotRegular) {
		t.Errorf("write: %v", err)
	}
	if err := r.Append("/pipe", nil, 0o600); !errors.Is(err, errNotRegular) {
		t.Errorf("append: %v", err)
	}
	if err := r.Chmod("/pipe", 0o600); !errors.Is(err, errNotRegular) {
		t.Errorf("chmod: %v", err)
	}
	if _, err := r.ReadFile("/pipe"); !errors.Is(err, errNotRegular) {
		t.Errorf("read: %v", err)
	}
}

func TestAppend(t *testing.T) {
	r, in, _ := tree(t)
	for _, s := range []string{"a\n", "b\n"} {
		if err := r.Append("/var/log/x", []byte(s), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"etc": "drwxr-xr-x", "var": "drwxr-xr-x", "var/log": "drwxr-xr-x", "var/log/x": "-rw-r----- a\nb\n"}
	if diff := cmp.Diff(want, files(t, in)); diff != "" {
		t.Error(diff)
	}
}

func TestFullDiskLeavesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	_, in, _ := tree(t)
	if err := unix.Mount("tmpfs", in, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no tmpfs: ", err)
	}
	t.Cleanup(func() { unix.Unmount(in, unix.MNT_DETACH) })
	r, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Append("/x", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 1<<20)
	if err := r.WriteFile("/x", big, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	if err := r.Append("/x", big, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("append: %v", err)
	}
	if err := r.Append("/y", big, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("append: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"x": "-rw------- old"}, files(t, in)); diff != "" {
		t.Error(diff)
	}
}

func TestSymlink(t *testing.T) {
	r, in, outside := tree(t)
	for _, target := range []string{"/usr/share/zoneinfo/UTC", filepath.Join(outside, "secret")} {
		if err := r.Symlink(target, "/etc/localtime"); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Readlink("/etc/localtime"); err != nil || got != target {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := r.Symlink("x", "/etc"); err == nil {
		t.Error("replaced a directory")
	}
	if _, err := r.ReadFile("/etc/localtime"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read through a link to the outside: %v", err)
	}
	if fi, err := r.Lstat("/etc/localtime"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%v, %v", fi, err)
	}
	want := map[string]string{"etc": "drwxr-xr-x", "etc/localtime": "-> " + filepath.Join(outside, "secret")}
	if diff := cmp.Diff(want, files(t, in)); diff != "" {
		t.Error(diff)
	}
}

func TestMkdirAndRemove(t *testing.T) {
	r, in, outside := tree(t)
	defer syscall.Umask(syscall.Umask(0o077))
	if err := r.MkdirAll("/home/u/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.MkdirAll("/home/u", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.MkdirAll("/", 0o700); err != nil {
		t.Fatal(err)
	}
	link(t, outside, filepath.Join(in, "home/u/out"))
	link(t, "..", filepath.Join(in, "home/u/up"))
	want := map[string]string{
		"etc": "drwxr-xr-x", "home": "drwxr-xr-x", "home/u": "drwxr-xr-x", "home/u/.ssh": "drwx------",
		"home/u/out": "-> " + outside, "home/u/up": "-> ..",
	}
	if diff := cmp.Diff(want, files(t, in)); diff != "" {
		t.Error(diff)
	}
	entries, err := r.ReadDir("/home/u")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+" "+e.Type().String())
	}
	if diff := cmp.Diff([]string{".ssh d---------", "out L---------", "up L---------"}, names); diff != "" {
		t.Error(diff)
	}
	if err := r.Remove("/home"); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("remove of a full directory: %v", err)
	}
	for _, name := range []string{"/", "/home/.."} {
		if err := r.RemoveAll(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("RemoveAll(%q): %v", name, err)
		}
	}
	for _, name := range []string{"/home", "/home", "/no/such"} {
		if err := r.RemoveAll(name); err != nil {
			t.Errorf("RemoveAll(%q): %v", name, err)
		}
	}
	if err := r.Remove("/home"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove of nothing: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"etc": "drwxr-xr-x"}, files(t, in)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"secret": "-rw------- secret"}, files(t, outside)); diff != "" {
		t.Error(diff)
	}
}

func TestPathOfMissing(t *testing.T) {
	r, in, _ := tree(t)
	link(t, "/run/resolv", filepath.Join(in, "etc/l"))
	for name, want := range map[string]string{
		"/":           "",
		"/etc/..":     "",
		"/no/such/x":  "no/such/x",
		"/etc/l/deep": "run/resolv/deep",
	} {
		if got, err := r.Path(name); err != nil || got != filepath.Join(in, want) {
			t.Errorf("Path(%q) = %q, %v", name, got, err)
		}
	}
	if got, err := r.Path("/no/../../x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestConcurrentWriters(t *testing.T) {
	r, in, _ := tree(t)
	content := func(i int) string { return strings.Repeat(string(rune('a'+i)), 1<<14) }
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := r.WriteFile("/a/b/x", []byte(content(i)), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := r.ReadFile("/a/b/x")
	if err != nil || string(got) != content(int(got[0]-'a')) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := len(files(t, in)); n != 4 {
		t.Errorf("%d files", n)
	}
}
