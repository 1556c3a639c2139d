package blob

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"imprint/host/cloud"
)

// fullEnv makes this binary the helper of TestFullDisk.
const fullEnv = "BLOB_TEST_FULL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := putOnFullDisk(dir); err != nil {
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

func putOnFullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, _, err := s.Put(ctx, endless{}, 2<<20); cloud.KindOf(err) != cloud.Unavailable {
		return fmt.Errorf("put on a full disk: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, tmpDir)); len(left) != 0 || err != nil {
		return fmt.Errorf("left behind: %v, %v", left, err)
	}
	_, err = s.PutBytes(ctx, []byte("small"))
	return err
}
