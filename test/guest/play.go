package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// stages of the two agents: the same, but for the generator's place.
func stages(generator string) []string {
	const dirs = " /run/systemd/generator /run/systemd/generator.early /run/systemd/generator.late"
	var args []string
	for _, s := range []string{
		"generator=" + generator + dirs,
		"local=cloud-init init --local", "network=cloud-init init",
		"config=cloud-init modules --mode=config", "final=cloud-init modules --mode=final",
		"status=cloud-init status --long",
	} {
		args = append(args, "--stage", s)
	}
	return args
}

const realGenerator = "/lib/systemd/system-generators/cloud-init-generator"

// play runs one case and returns what differs.
func (s *suite) play(c listed) ([]difference, error) {
	name := c.name
	seed, err := s.seed(name)
	if err != nil {
		return nil, err
	}
	ours := filepath.Join(s.dir, name)
	args := append(s.bare(), stages("/usr/bin/cloud-init generator")...)
	if c.python {
		args[1] = "full"
	}
	if err := s.container(ours, append(args, seed...)); err != nil {
		return nil, err
	}
	theirs, status := filepath.Join(s.source(name), "out"), "status.txt"
	if s.live {
		theirs = filepath.Join(s.dir, name+".real")
		if err := s.container(theirs, append(stages(realGenerator), seed...)); err != nil {
			return nil, err
		}
		status = ""
	}
	if err := degraded(ours); err != nil {
		return nil, err
	}
	all, err := s.compare(theirs, ours)
	if err != nil {
		return nil, err
	}
	return append(all, compareStatus(statusOf(theirs, status), statusOf(ours, ""))...), nil
}

// seed are run-container's arguments for a case.
func (s *suite) seed(name string) ([]string, error) {
	dir, err := filepath.Abs(s.source(name))
	if err != nil {
		return nil, err
	}
	var args []string
	for _, part := range []string{"user-data", "meta-data", "vendor-data", "network-config"} {
		if file := filepath.Join(dir, "in", part); exists(file) {
			args = append(args, "--"+part, file)
		}
	}
	more, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, word := range quoted.FindAllString(string(more), -1) {
		word = strings.ReplaceAll(word, "'", "")
		args = append(args, strings.ReplaceAll(word, "@/", filepath.Join(dir, "in")+"/"))
	}
	return args, nil
}

// quoted is a word of a command line with single quotes.
var quoted = regexp.MustCompile(`(?:'[^']*'|[^'\s])+`)

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// container provisions a machine; what its stages say is part of the result. A
// machine that could not be set up is tried once more: run-container has few names
// for its links, and others may use it at the same time.
func (s *suite) container(out string, args []string) error {
	args = append([]string{"--quiet", "--gate", "/run/cloud-init/enabled", "--out", out}, args...)
	var said []byte
	var err error
	for range 2 {
		said, err = exec.Command(filepath.Join(s.peers, "guest", "run-container"), args...).CombinedOutput()
		if exists(filepath.Join(out, "changes.jsonl")) {
			return nil
		}
	}
	return fmt.Errorf("did not run: %v: %s", err, said)
}

// systemConfig writes the configuration that the captured machines had, without
// what a data source adds: our package's own would be another one.
func (s *suite) systemConfig() error {
	data, err := os.ReadFile(filepath.Join(s.source("empty"), "out", "run.jsonl"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		var file struct{ Path, Content string }
		if err := json.Unmarshal([]byte(line), &file); err != nil {
			return err
		}
		if filepath.Base(file.Path) != "instance-data-sensitive.json" {
			continue
		}
		var instance struct {
			Merged map[string]any `json:"merged_cfg"`
		}
		if err := json.Unmarshal([]byte(file.Content), &instance); err != nil {
			return err
		}
		delete(instance.Merged, "_doc")
		delete(instance.Merged, "datasource_list")
		text, err := json.Marshal(instance.Merged)
		if err != nil {
			return err
		}
		s.config = filepath.Join(s.dir, "cloud.cfg")
		return os.WriteFile(s.config, text, 0o644)
	}
	return errors.New("the capture has no instance data")
}

// compare asks diff-runs. Its first line of each difference stands at the
// margin, the rest is indented.
func (s *suite) compare(theirs, ours string) ([]difference, error) {
	cmd := exec.Command(filepath.Join(s.peers, "guest", "diff-runs"), "--lenient", theirs, ours,
		"--ignore", "/usr/bin/cloud-init", "--ignore", "/usr/bin/imprint-guest", "--ignore", "/etc/cloud/*")
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	return parseDifferences(string(out)), nil
}

// statusOf is what status --long said at the end of the last boot.
func statusOf(dir, file string) string {
	if file == "" {
		all, _ := filepath.Glob(filepath.Join(dir, "stage-*-status.out"))
		if len(all) == 0 {
			return ""
		}
		file = filepath.Base(all[len(all)-1])
	}
	data, _ := os.ReadFile(filepath.Join(dir, file))
	text := updated.ReplaceAllString(string(data), "last_update: <TIME>\n")
	return extended.ReplaceAllString(text, "")
}

var (
	updated  = regexp.MustCompile(`last_update: .*\n`)
	extended = regexp.MustCompile(`(?s)extended_status: [^\n]*\n|recoverable_errors:\n.*$`)
)

func compareStatus(theirs, ours string) []difference {
	if theirs == ours {
		return nil
	}
	lines := diffLines("", strings.TrimSpace(theirs), strings.TrimSpace(ours))
	d := difference{kind: "status", path: "status", lines: lines, text: "    " + strings.Join(lines, "\n    ") + "\n"}
	return []difference{d}
}

// degraded takes out of our result what cloud-init says since 23.4 only: that
// something was ignored, and what.
func degraded(dir string) error {
	file := filepath.Join(dir, "changes.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return err
		}
		if text, ok := entry["content"].(string); ok && entry["path"] == "/var/lib/cloud/data/status.json" {
			var status struct {
				V1 map[string]any `json:"v1"`
			}
			if err := json.Unmarshal([]byte(text), &status); err != nil {
				return err
			}
			for _, v := range status.V1 {
				if stage, ok := v.(map[string]any); ok {
					delete(stage, "recoverable_errors")
				}
			}
			text, err := json.Marshal(map[string]any{"v1": status.V1})
			if err != nil {
				return err
			}
			entry["content"] = string(text)
		}
		text, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		out.Write(append(text, '\n'))
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}
