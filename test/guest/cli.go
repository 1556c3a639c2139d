package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// said is a command of the captured command line, or of ours.
type said struct {
	Cmd    string
	RC     int
	Stdout string
	Stderr string
}

// session is a captured file of commands, and the machine that they ran on.
type session struct {
	name   string
	args   []string // of run-container, @ is the peers' samples
	stages int      // how many stages ran before
}

func sessions() []session {
	seed := []string{"--seed", "nocloud:@/nocloud"}
	return []session{
		{"after-run", seed, 5},
		{"before-run", []string{"--net", "none"}, 0},
		{"disabled-cmdline", append(slices.Clone(seed), "--cmdline", "cloud-init=disabled"), 1},
		{"disabled-file", append(slices.Clone(seed), "--pre", "touch /etc/cloud/cloud-init.disabled"), 1},
		{"no-datasource", []string{"--net", "none"}, 1},
		{"mid-run", seed, 3},
	}
}

// commands plays a session's commands to the agent and returns what differs
// from what cloud-init said: status, output and errors of each.
func (s *suite) commands(c session) ([]difference, error) {
	dir := filepath.Join(s.golden, "cloud-init-22.4", "cli")
	want, err := readSaid(filepath.Join(dir, c.name+".jsonl"))
	if err != nil {
		return nil, err
	}
	files, err := s.commandFiles(dir)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(s.dir, "cli-"+c.name)
	args := append(s.bare(), files...)
	for _, a := range c.args {
		args = append(args, strings.ReplaceAll(a, "@", filepath.Join(s.peers, "guest", "samples")))
	}
	args = append(args, stages("/usr/bin/cloud-init generator")[:2*c.stages]...)
	for i, w := range want {
		cmd := strings.ReplaceAll(w.Cmd, "cloud-id", "cloud-init cloud-id")
		cmd = strings.ReplaceAll(cmd, "cloud-init cloud-init", "cloud-init")
		args = append(args, "--stage", fmt.Sprintf("c%03d={ %s; } 2>/dev/shm/err; rc=$?; echo; echo @@@@ $rc; cat /dev/shm/err", i, cmd))
	}
	if said, err := exec.Command(filepath.Join(s.peers, "guest", "run-container"), append([]string{"--quiet", "--out", out}, args...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("did not run: %w: %s", err, said)
	}
	var all []difference
	for i, w := range want {
		data, err := os.ReadFile(filepath.Join(out, fmt.Sprintf("stage-1-c%03d.out", i)))
		if err != nil {
			return nil, err
		}
		all = append(all, compareSaid(w, parseSaid(w.Cmd, string(data)))...)
	}
	return all, nil
}

// bare are the arguments for a machine with the agent and without Python.
func (s *suite) bare() []string {
	return []string{"--image", "bare", "--inject", s.agent + ":/usr/bin/cloud-init:755", "--inject", s.config + ":/etc/cloud/cloud.cfg:644"}
}

// commandFiles are the files that the commands read.
func (s *suite) commandFiles(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "files.json"))
	if err != nil {
		return nil, err
	}
	var files map[string]string
	if err := json.Unmarshal(data, &files); err != nil {
		return nil, err
	}
	var args []string
	for name, text := range files {
		file := filepath.Join(s.dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		args = append(args, "--inject", file+":/opt/"+name)
	}
	return args, nil
}

func readSaid(file string) ([]said, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []said
	for line := range strings.Lines(string(data)) {
		var one said
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func parseSaid(cmd, text string) said {
	i := strings.LastIndex(text, "\n@@@@ ")
	if i < 0 {
		return said{Cmd: cmd, RC: -1, Stdout: text}
	}
	got := said{Cmd: cmd, Stdout: text[:i]}
	rest := text[i+len("\n@@@@ "):]
	fmt.Sscan(rest, &got.RC)
	_, got.Stderr, _ = strings.Cut(rest, "\n")
	return got
}

// volatile is what is of the run and not of the program.
var volatile = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000`), "<TIME>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d+`), "<TIME>"},
	{regexp.MustCompile(`Up \d+\.\d+ seconds`), "Up <N> seconds"},
	{regexp.MustCompile(`\d+\.\d{5}s?`), "<SECONDS>"},
	{regexp.MustCompile(`1\d{9}\.\d+`), "<EPOCH>"},
	{regexp.MustCompile(`===============\d+==`), "<BOUNDARY>"},
	{regexp.MustCompile(`22\.4\.2-imprint`), "22.4.2"},
	{regexp.MustCompile(`Linux-\S+-x86_64(-with-glibc\S+)?"`), `<PLATFORM>"`},
	{regexp.MustCompile(`(release": ")[^"]+"`), `$1<KERNEL>"`},
	{regexp.MustCompile(`.*"python(_version)?": .*\n`), ""},
	{regexp.MustCompile(`(?m)^python_version\n`), ""},
	{regexp.MustCompile(`(?m)^extended_status: .*\n|recoverable_errors:\n(WARNING:\n(\t- .*\n)*)?`), ""},
}

func settle(text string) string {
	for _, v := range volatile {
		text = v.re.ReplaceAllString(text, v.with)
	}
	return strings.TrimRight(text, "\n")
}

// compareSaid compares by lines.
func compareSaid(want, got said) []difference {
	d := difference{kind: "cli", path: want.Cmd}
	if want.RC != got.RC {
		d.lines = append(d.lines, fmt.Sprintf("-status %d", want.RC), fmt.Sprintf("+status %d", got.RC))
	}
	d.lines = append(d.lines, diffLines("", settle(want.Stdout), settle(got.Stdout))...)
	d.lines = append(d.lines, diffLines("stderr: ", settle(want.Stderr), settle(got.Stderr))...)
	if len(d.lines) == 0 {
		return nil
	}
	d.text = "    " + strings.Join(d.lines, "\n    ") + "\n"
	return []difference{d}
}

// diffLines are the lines that only one of two texts has, and, where both have
// the same lines, that their order differs.
func diffLines(what, a, b string) []string {
	if a == b {
		return nil
	}
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []string
	for _, l := range x {
		if !slices.Contains(y, l) {
			out = append(out, "-"+what+l)
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) {
			out = append(out, "+"+what+l)
		}
	}
	if len(out) == 0 {
		out = []string{"+" + what + "(other order or number of lines)"}
	}
	return out
}
