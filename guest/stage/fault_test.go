package stage

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dying ends the goroutine of who writes its last line, as a power loss ends
// a stage: nothing of what would have come is done.
type dying struct {
	io.Writer
	left int
}

func (d *dying) Write(p []byte) (int, error) {
	if d.left--; d.left == 0 {
		runtime.Goexit()
	}
	return d.Writer.Write(p)
}

const faultData = `Content-Type: multipart/mixed; boundary="B"
MIME-Version: 1.0

--B
Content-Type: text/cloud-config

#cloud-config
hostname: faulty
runcmd: [ls]
--B
Content-Type: text/cloud-boothook

#!/bin/sh
true
--B
Content-Type: text/x-shellscript

#!/bin/sh
true
--B--
`

// A boot may end at any line of its log; the next one goes on from there, and
// what is left is what one boot leaves.
func TestFaultPoints(t *testing.T) {
	t.Parallel()
	whole := newMachine(t)
	whole.source.inst = openstack("i-1", "c1", faultData)
	if errs := whole.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	lines := strings.Count(whole.read("/var/log/cloud-init.log"), "\n")
	if lines < 50 {
		t.Fatalf("%d lines", lines)
	}
	want := tree(t, whole.root.Dir())
	for at := 1; at <= lines; at++ {
		m := newMachine(t)
		m.source.inst = openstack("i-1", "c1", faultData)
		m.startUntil(at)
		if errs := m.start(); len(errs) > 0 {
			t.Fatalf("cut off at line %d: next boot: %q", at, errs)
		}
		if diff := cmp.Diff(want, tree(t, m.root.Dir())); diff != "" {
			t.Fatalf("cut off at line %d (-one boot +two):\n%s", at, diff)
		}
		if r := m.report(); r.State != "done" || m.live != "faulty" {
			t.Fatalf("cut off at line %d: %s, host name %q", at, r.State, m.live)
		}
		scripts := 0
		for _, name := range m.ran {
			if name == "part-003" || name == "runcmd" {
				scripts++
			}
		}
		if scripts > 2 || m.counts["once"] == 0 || m.counts["once"] > 2 {
			t.Fatalf("cut off at line %d: scripts ran %v, modules %v", at, m.ran, m.counts)
		}
	}
}

// startUntil boots until so many lines are logged.
func (m *machine) startUntil(lines int) {
	m.t.Helper()
	if err := m.root.RemoveAll("/run/cloud-init"); err != nil {
		m.t.Fatal(err)
	}
	left := lines
	for _, stage := range []string{"local", "network", "config", "final"} {
		done := false
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b, log := m.bootWith(func(w io.Writer) io.Writer { return &dying{w, left} })
			switch stage {
			case "local":
				b.RunLocal(m.t.Context())
			case "network":
				b.RunInit(m.t.Context())
			case "config":
				b.RunConfig(m.t.Context())
			default:
				b.RunFinal(m.t.Context())
			}
			left, done = log.(*dying).left, true
		}()
		<-ended
		if !done {
			return
		}
	}
}

var stamps = regexp.MustCompile(`\d{10}(\.\d+)?`)

// tree is what lasts over boots, without logs and times.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "var/lib/cloud"), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, dir)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			all[rel], err = os.Readlink(name)
		case d.IsDir():
			all[rel] = "directory"
		case strings.Contains(rel, "/sem/"), strings.HasSuffix(rel, "status.json"), strings.HasSuffix(rel, "previous-instance-id"):
			all[rel] = "file"
		default:
			var data []byte
			data, err = os.ReadFile(name)
			all[rel] = stamps.ReplaceAllString(string(data), "<EPOCH>")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
