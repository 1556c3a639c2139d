package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// INI is what OpenStack's configuration files say, as oslo.config reads them
// (oslo_config/iniparser.py and cfg.py, 9.0.0). It does not change.
type INI struct {
	groups map[string]map[string][]string
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
	f := &INI{groups: map[string]map[string][]string{}}
	for _, path := range paths {
		if err := f.load(path); err != nil {
			return nil, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	return f, nil
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
	f := &INI{groups: map[string]map[string][]string{}}
	return f, f.parse(text)
}

// parse: a line that begins with a space or a tab goes on with the value of the
// line before; a blank line or a comment ends it.
func (f *INI) parse(text string) error {
	group, name := "", ""
	var value []string
	flush := func() {
		if name != "" {
			f.add(INIOption{group, name}, strings.Join(value, "\n"))
		}
		name = ""
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n\v\f")
		if line == "" {
			flush()
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if name == "" {
				return fmt.Errorf("line %d: unexpected continuation line", n)
			}
			value = append(value, strings.TrimLeft(line, " \t"))
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
	name, value = strings.TrimSpace(line[:at]), strings.TrimSpace(line[at+1:])
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
	if f.groups[o.Group] == nil {
		f.groups[o.Group] = map[string][]string{}
	}
	values := f.groups[o.Group][o.Name]
	if values == nil {
		f.order = append(f.order, o)
	}
	f.groups[o.Group][o.Name] = append(values, value)
}

// Options lists all options of the files, in their order.
func (f *INI) Options() []INIOption { return f.order }

// Raw returns the value of an option as it is written; of a repeated one the
// last.
func (f *INI) Raw(o INIOption) (string, bool) {
	values := f.groups[groupName(o.Group)][o.Name]
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

// All returns every value of an option that may be given several times.
func (f *INI) All(o INIOption) []string { return f.groups[groupName(o.Group)][o.Name] }
