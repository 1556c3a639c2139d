package store

import (
	"bufio"
	"os"
	"testing"

	"imprint/host/cloud"
)

// TestKilledWhileWriting: what was acknowledged is there after kill -9, and
// records and claims still fit together.
func TestKilledWhileWriting(t *testing.T) {
	const rounds, acks = 3, 200
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for range rounds {
		killAfter(t, dir, acks, acknowledged)
	}
	s := openDisk(t, dir)
	claims := claimsIn(t, s.engine)
	s.View(func(m *cloud.Model) {
		for id := range acknowledged {
			if m.Projects[cloud.ProjectID(id)] == nil {
				t.Errorf("%s was acknowledged and is lost", id)
			}
		}
		for id := range m.Projects {
			if claims["claim/project-name/"+string(id)] != "project/"+string(id) {
				t.Errorf("%s has no claim", id)
			}
		}
		if len(claims) != len(m.Projects) || len(m.Projects) < rounds*acks {
			t.Errorf("%d claims, %d projects", len(claims), len(m.Projects))
		}
	})
}

// killAfter notes everything that the helper said before it was killed.
func killAfter(t *testing.T, dir string, lines int, acknowledged map[string]bool) {
	t.Helper()
	cmd := helperCommand("write", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		acknowledged[scanner.Text()] = true
		if n == lines {
			cmd.Process.Kill()
		}
	}
}
