package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"imprint/host/configdrive"
)

// TestConfigDriveScripts plays the scripts of testdata with the program itself.
func TestConfigDriveScripts(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/configdrive",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", dir+":/usr/sbin:"+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": exitStatus},
		Condition: func(name string) (bool, error) {
			_, err := exec.LookPath(filepath.Join("/usr/sbin", name))
			if err != nil && os.Getenv("CI") == "true" {
				return false, err
			}
			return err == nil, nil
		},
	})
}

// exitStatus runs a program that is to end with a status: status 2 imprint ...
func exitStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// TestDocumentedInstance: the description in the documentation is one.
func TestDocumentedInstance(t *testing.T) {
	text, err := os.ReadFile("../../docs/configdrive.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json\n")
	example, _, found := strings.Cut(rest, "```")
	name := filepath.Join(t.TempDir(), "instance.json")
	if err := os.WriteFile(name, []byte(example), 0o600); err != nil || !found {
		t.Fatal(found, err)
	}
	i, err := readInstance(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(i.UserData) != "#cloud-config\n" || len(i.Files) != 1 || i.Ports[0].Subnets[0].Addrs[0].String() != "18.18.18.5" {
		t.Errorf("%+v", i)
	}
	if _, err := (configdrive.Volume{}).Instance(i); err != nil {
		t.Error(err)
	}
}
