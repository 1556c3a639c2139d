package configdrive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullEnv makes this binary the helper of TestFullDisk.
const fullEnv = "CONFIGDRIVE_TEST_FULL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := driveOnFullDisk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestFullDisk runs a helper with a mount namespace of its own, so that the
// small disk goes with it.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{fullEnv + "=" + t.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func driveOnFullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		return err
	}
	name := filepath.Join(dir, "disk.config")
	for _, format := range []Format{ISO9660, VFAT} {
		err := Volume{Format: format}.WriteFile(name, example())
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), name) {
			return fmt.Errorf("%s on a full disk: %v", format, err)
		}
		if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
			return fmt.Errorf("%s: left behind: %v, %v", format, left, err)
		}
	}
	return appendOnFullDisk(dir)
}

// appendOnFullDisk lets an image grow that cannot, and one be filled that is
// mostly holes: both are as they were.
func appendOnFullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=700"); err != nil {
		return err
	}
	for _, size := range []int{3 << 20, 80 << 20} {
		if err := appendFails(filepath.Join(dir, "disk.img"), size); err != nil {
			return fmt.Errorf("image of %d bytes: %w", size, err)
		}
	}
	return nil
}

func appendFails(name string, size int) error {
	before := make([]byte, 2<<20, size)
	copy(before[446:], []byte{0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8}) // 1 MiB at 1 MiB
	copy(before[510:], "\x55\xaa")
	if err := os.WriteFile(name, before, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(name, int64(size)); err != nil {
		return err
	}
	before = before[:size]
	d, err := OpenDisk(name)
	if err != nil {
		return err
	}
	defer d.Close()
	m, err := Volume{Format: VFAT}.Instance(example())
	if err != nil {
		return err
	}
	if _, err := d.Append(m, Placing{Grow: true}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), name) {
		return fmt.Errorf("append on a full disk: %v", err)
	}
	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) || d.Size() != int64(len(before)) {
		return fmt.Errorf("the image is another: %d bytes, %v", len(after), err)
	}
	st, err := d.Stat()
	if err != nil {
		return err
	}
	if room := st.Sys().(*syscall.Stat_t).Blocks * 512; room > 2<<20 {
		return fmt.Errorf("the image takes %d bytes", room)
	}
	return nil
}
