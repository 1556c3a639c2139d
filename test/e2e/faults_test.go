//go:build faults

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestFaults: each process is killed in the middle of each step of the story,
// which goes on with all that was acknowledged.
func TestFaults(t *testing.T) {
	needRoot(t)
	const steps = 7
	port := 16000
	for _, form := range []struct {
		args      []string
		processes []string
	}{
		{nil, []string{"up"}},
		{[]string{"--apart"}, []string{"store", "api", "metadata-1", "agent-metadata", "agent-network", "agent-compute"}},
	} {
		for _, process := range form.processes {
			for step := range steps {
				fault, first := fmt.Sprintf("%s@%d", process, step+1), port
				port += 20
				t.Run(fault, func(t *testing.T) {
					t.Parallel()
					conf := configuration(t, fmt.Sprintf("f%d-", first), first, apartPorts(first))
					args := append([]string{"demo", "--kill", fault, "--state-dir", openDir(t), "--config", conf}, form.args...)
					if out, status := imprintIn(t, ownPrograms(t), 5*time.Minute, args...); status != 0 {
						t.Errorf("exit status %d\n%s", status, out)
					}
				})
			}
		}
	}
}

// ownPrograms copies the programs: a demo takes every process of its program
// for its own.
func ownPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("cp", filepath.Join(programs, "imprint"), filepath.Join(programs, "imprint-guest"), dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the programs: %v: %s", err, out)
	}
	return dir
}
