package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// INI is what OpenStack's configuration files say, as oslo.config reads them
// (oslo_config/iniparser.py and cfg.py, 9.0.0). It does not change.
type INI struct {
	// files has the values of each file in the order of reading; names of groups
	// are as groupName has them.
	files []map[INIOption][]string
	// order lists the options as they came, each once.
	order []INIOption
}

// INIOption is the place of an option.
type INIOption struct{ Group, Name string }

func (o INIOption) String() string { return "[" + o.Group + "] " + o.Name }

// defaultGroup is the one group whose name is not case-insensitive.
const defaultGroup = "DEFAULT"

// LoadINI reads files; of options that several have the last one's counts.
// Errors name the file and the line.
func LoadINI(paths ...string) (*INI, error) {
	f := &INI{}
	for _, path := range paths {
		if err := f.load(path); err != nil {
			return nil, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	return f, nil
}

// INIFiles returns the files of a directory that --config-dir stands for:
// *.conf in the order of their names, hidden ones left out. A missing directory
// is an error. oslo_config/cfg.py, _ConfigDirOpt.
func INIFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("configuration directory: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".conf") && name[0] != '.' {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

func (f *INI) load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return err
	}
	if len(text) > maxFile {
		return fmt.Errorf("larger than %d bytes", maxFile)
	}
	return f.parse(string(text))
}

// ParseINI reads the text of one file. Errors name the line.
func ParseINI(text string) (*INI, error) {
	f := &INI{}
	return f, f.parse(text)
}

// lineEnds are those of Python's text files.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// isSpace is Python's str.isspace: Unicode's white space and four separators.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func strip(s string) string { return strings.TrimFunc(s, isSpace) }

// parse: a line that begins with a space or a tab goes on with the value of the
// line before; a blank line or a comment ends it.
func (f *INI) parse(text string) error {
	f.files = append(f.files, map[INIOption][]string{})
	group, name := "", ""
	var value []string
	flush := func() {
		if name != "" {
			f.add(INIOption{group, name}, strings.Join(value, "\n"))
		}
		name = ""
	}
	n := 0
	for line := range strings.Lines(lineEnds.Replace(text)) {
		n++
		if !utf8.ValidString(line) {
			return fmt.Errorf("line %d: not UTF-8", n)
		}
		line = strings.TrimRightFunc(line, isSpace)
		if line == "" {
			flush()
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if name == "" {
				return fmt.Errorf("line %d: unexpected continuation line", n)
			}
			value = append(value, strings.TrimLeftFunc(line, isSpace))
			continue
		}
		flush()
		switch line[0] {
		case '#', ';':
		case '[':
			if len(line) <= 2 || !strings.HasSuffix(line, "]") {
				return fmt.Errorf("line %d: not the name of a section", n)
			}
			group = groupName(line[1 : len(line)-1])
		default:
			key, first, err := assignment(line)
			if err == nil && group == "" {
				err = fmt.Errorf("no section has begun")
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			name, value = key, []string{first}
		}
	}
	flush()
	return nil
}

// assignment splits a line at the first = or :, and takes off one pair of
// quotes around the value.
func assignment(line string) (name, value string, err error) {
	at := strings.IndexAny(line, "=:")
	if at < 0 {
		return "", "", fmt.Errorf("neither : nor = is there")
	}
	name, value = strip(line[:at]), strip(line[at+1:])
	if name == "" {
		return "", "", fmt.Errorf("the name of the option is missing")
	}
	if n := len(value); n > 0 && (value[0] == '"' || value[0] == '\'') && value[0] == value[n-1] {
		value = value[1:max(1, n-1)]
	}
	return name, value, nil
}

func groupName(name string) string {
	if name == defaultGroup {
		return name
	}
	return strings.ToLower(name)
}

func (f *INI) add(o INIOption, value string) {
	if len(f.All(o)) == 0 {
		f.order = append(f.order, o)
	}
	last := f.files[len(f.files)-1]
	last[o] = append(last[o], value)
}

// Options lists all options of the files, in their order.
func (f *INI) Options() []INIOption { return f.order }

// Raw returns the value of an option as it is written; of a repeated one the
// last.
func (f *INI) Raw(o INIOption) (string, bool) {
	return f.last(INIOption{groupName(o.Group), o.Name})
}

// last finds the value that counts of an option with several names: that of the
// last file that has one of them, and there of the first name.
func (f *INI) last(names ...INIOption) (string, bool) {
	for _, file := range slices.Backward(f.files) {
		for _, o := range names {
			if values := file[o]; len(values) > 0 {
				return values[len(values)-1], true
			}
		}
	}
	return "", false
}

// All returns every value of an option that may be given several times.
func (f *INI) All(o INIOption) []string {
	o.Group = groupName(o.Group)
	var all []string
	for _, file := range f.files {
		all = append(all, file[o]...)
	}
	return all
}
