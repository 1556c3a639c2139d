package iso9660

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// peer skips where a program is missing; in continuous integration it fails.
func peer(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", program)
		}
		t.Skip("needs " + program)
	}
}

// run runs a program and returns what it printed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	peer(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, args, err, &out, &problems)
	}
	return out.String()
}

// onDisk writes an image for the peers to read.
func onDisk(t testing.TB, image Image) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "volume.iso")
	if err := os.WriteFile(name, build(t, image), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// opened opens a volume that a peer wrote.
func opened(t testing.TB, name string) *FS {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return reopen(t, b)
}

func TestIsoinfo(t *testing.T) {
	image := sample()
	iso := onDisk(t, image)
	want := expected(t, image)
	t.Run("descriptor", func(t *testing.T) {
		got := run(t, "isoinfo", "-d", "-i", iso)
		for _, line := range []string{"Volume id: config-2", "System id: LINUX", "Publisher id: Imprint 1.0", "Data preparer id: p",
			"Application id: IMPRINT", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%q is missing in\n%s", line, got)
			}
		}
	})
	t.Run("Rock Ridge", func(t *testing.T) {
		got := isoinfoFacts(run(t, "isoinfo", "-R", "-l", "-i", iso))
		if d := cmp.Diff(isoinfoLines(want, true), got); d != "" {
			t.Error(d)
		}
	})
	t.Run("Joliet", func(t *testing.T) {
		// isoinfo shows Latin-1, nothing for other characters, and pairs as two.
		mask := func(all map[string]string) map[string]string {
			masked := map[string]string{}
			for name, line := range all {
				masked[notASCII.ReplaceAllString(strings.ReplaceAll(name, "🐎", "__"), "_")] = line
			}
			return masked
		}
		got := isoinfoFacts(run(t, "isoinfo", "-J", "-l", "-i", iso))
		if d := cmp.Diff(mask(isoinfoLines(want, false)), mask(got)); d != "" {
			t.Error(d)
		}
	})
	t.Run("content", func(t *testing.T) {
		for _, name := range []string{"openstack/latest/META_DATA.JSON", "openstack/content/0000", "names/" + strings.Repeat("ž", 103)} {
			if got := run(t, "isoinfo", "-R", "-i", iso, "-x", "/"+name); got != want[name].Content {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
	t.Run("path table", func(t *testing.T) {
		listed := strings.Count(run(t, "isoinfo", "-p", "-i", iso), "\n") - 1
		directories := 0
		for _, x := range want {
			if x.Mode.IsDir() {
				directories++
			}
		}
		if listed != directories {
			t.Errorf("%d directories of %d", listed, directories)
		}
	})
}

var notASCII = regexp.MustCompile(`[^\x20-\x7e]`)

// isoinfoLines is what isoinfo -l shows: permissions, owner in octal, size of files.
func isoinfoLines(all map[string]fact, rockRidge bool) map[string]string {
	lines := map[string]string{}
	for name, x := range all {
		kind, size := "-", strconv.Itoa(len(x.Content))
		if x.Mode.IsDir() {
			kind, size = "d", "-"
		}
		if !rockRidge {
			x.Mode, x.UID, x.GID = 0, 0, 0
		}
		lines[name] = fmt.Sprintf("%s%s %o %o %s", kind, x.Mode.Perm().String()[1:], x.UID, x.GID, size)
	}
	return lines
}

var isoinfoLine = regexp.MustCompile(`^(\S{10}) +\d+ +(\d+) +(\d+) +(\d+) .{11} \[ *\d+ \d\d\]  (.*) $`)

// isoinfoFacts reads isoinfo -l.
func isoinfoFacts(text string) map[string]string {
	found := map[string]string{}
	dir := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "Directory listing of /"); ok {
			dir = name
			continue
		}
		m := isoinfoLine.FindStringSubmatch(line)
		switch {
		case m == nil || m[5] == ".." || m[5] == "." && dir != "":
			continue
		case m[1][0] == 'd':
			m[4] = "-"
		}
		found[dir+m[5]] = strings.Join([]string{m[1], m[2], m[3], m[4]}, " ")
	}
	return found
}

func TestXorriso(t *testing.T) {
	image := sample()
	iso, dir := onDisk(t, image), filepath.Join(t.TempDir(), "tree")
	run(t, "xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", dir)
	compareTree(t, dir, expected(t, image))
	if got := run(t, "xorriso", "-indev", iso, "-toc"); !strings.Contains(got, "config-2") {
		t.Error(got)
	}
}

func TestBsdtar(t *testing.T) {
	image := sample()
	iso := onDisk(t, image)
	want := expected(t, image)
	for tree, option := range map[Tree]string{RockRidge: "iso9660:rockridge", Joliet: "iso9660:!rockridge"} {
		t.Run(string(tree), func(t *testing.T) {
			dir := t.TempDir()
			run(t, "bsdtar", "-xpf", iso, "--options", option, "-C", dir)
			if tree == Joliet {
				compareContents(t, dir, want)
			} else {
				compareTree(t, dir, want)
			}
		})
	}
}

func Test7z(t *testing.T) {
	image := sample()
	iso, dir := onDisk(t, image), t.TempDir()
	if got := run(t, "7z", "x", "-y", "-o"+dir, iso); !strings.Contains(got, "Everything is Ok") || strings.Contains(got, "Warnings") {
		t.Error(got)
	}
	// As Windows does, it drops a dot at the end.
	want := expected(t, image)
	want["trailing dot"] = want["trailing dot."]
	delete(want, "trailing dot.")
	compareContents(t, dir, want)
}

func TestBlkidAndFile(t *testing.T) {
	for _, label := range []string{"config-2", "cidata", "OpenStack", "a label of 32 bytes: 89abcdef..."} {
		image := sample()
		image.Label = label
		iso := onDisk(t, image)
		got := run(t, "blkid", "-p", "-o", "export", iso)
		want := []string{"TYPE=iso9660", "LABEL=" + strings.ReplaceAll(label, " ", `\ `), "UUID=2026-11-21-03-40-20-12",
			`PUBLISHER_ID=Imprint\ 1.0`, "SYSTEM_ID=LINUX", "APPLICATION_ID=IMPRINT"}
		for _, line := range want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%q is missing in\n%s", line, got)
			}
		}
		if got := run(t, "file", "-b", iso); got != "ISO 9660 CD-ROM filesystem data '"+label+"'\n" {
			t.Error(got)
		}
		if got := opened(t, iso).Label(); got != label {
			t.Errorf("our own: %q", got)
		}
	}
}

// compareTree compares what was extracted, with modes, owners and times.
func compareTree(t *testing.T, dir string, want map[string]fact) {
	t.Helper()
	got := facts(t, os.DirFS(dir))
	for name, x := range got {
		x.UID, x.GID = owner(t, filepath.Join(dir, name))
		got[name] = x
	}
	delete(got, ".") // the directory that was extracted into
	rest := expectedOwners(want)
	delete(rest, ".")
	if d := cmp.Diff(rest, got); d != "" {
		t.Error(d)
	}
}

// compareContents compares names and contents.
func compareContents(t *testing.T, dir string, want map[string]fact) {
	t.Helper()
	if d := cmp.Diff(contents(want), contents(facts(t, os.DirFS(dir)))); d != "" {
		t.Error(d)
	}
}

func contents(all map[string]fact) map[string]fact {
	less := map[string]fact{}
	for name, x := range all {
		less[name] = fact{Mode: x.Mode.Type(), Content: x.Content}
	}
	return less
}
