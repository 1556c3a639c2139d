// Package e2e runs both programs as a user does.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programs is the directory with imprint and imprint-guest, built anew.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "imprint-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for the users of the roles
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/...")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	programs = dir
	return m.Run()
}

// needRoot skips a test that makes namespaces.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// imprint runs the program to its end; what is left of it when the test is
// over is killed.
func imprint(t *testing.T, limit time.Duration, args ...string) (output string, status int) {
	t.Helper()
	return imprintIn(t, programs, limit, args...)
}

// imprintIn is imprint with the programs of a directory.
func imprintIn(t *testing.T, programs string, limit time.Duration, args ...string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "imprint"), args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("imprint %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// stateDir returns a directory on the machine's own disk: an overlay's upper
// layer and idmapped mounts need one.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "imprint-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// configuration writes a configuration file of a cloud with ports and names of
// its own, so that the tests meet nothing else on the machine.
func configuration(t *testing.T, prefix string, firstPort int, more string) string {
	t.Helper()
	text := fmt.Sprintf("api: {identity_port: %d, compute_port: %d, image_port: %d, network_port: %d}\n"+
		"metadata: {port: %d}\nnetwork: {name_prefix: %s}\n%s",
		firstPort, firstPort+1, firstPort+2, firstPort+3, firstPort+4, prefix, more)
	path := filepath.Join(t.TempDir(), "imprint.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
