package main

import (
	"fmt"
	"slices"
	"strings"
)

// The command line is read, and wrong usage is answered, as by Python's
// argparse, which is what cloud-init has: an option may be shortened while it
// is unambiguous, take its value after a blank or "=", and stand anywhere; a
// wrong one gives the usage of the command and status 2.

// option is one option of a command. One of flag, count, value and values gets
// what was given.
type option struct {
	names   []string // "-l", "--local"; the first is in the usage
	meta    string   // name of the value
	choices []string
	help    string
	needed  bool

	flag   *bool
	count  *int
	value  *string
	values *[]string
}

func (o option) takesValue() bool { return o.value != nil || o.values != nil }

// label is the option with its value, as it stands in the usage.
func (o option) label(name string) string {
	switch {
	case !o.takesValue():
		return name
	case len(o.choices) > 0:
		return name + " {" + strings.Join(o.choices, ",") + "}"
	}
	return name + " " + o.meta
}

// positional is an argument that is no option.
type positional struct {
	name     string
	help     string
	optional bool
	value    *string
	values   *[]string // all that are left
}

// command is a command with its options, or one that has commands.
type command struct {
	name    string
	summary string // one line, for the list
	about   string // more, for its own help
	options []option
	args    []positional
	subs    []*command
	run     func() int

	parent *command
}

// path is the command with those above it.
func (c *command) path() string {
	if c.parent == nil {
		return c.name
	}
	return c.parent.path() + " " + c.name
}

// usageError is a wrong command line.
type usageError struct {
	in   *command
	text string
}

func (e *usageError) Error() string { return e.text }

// Error texts are argparse's.
func (c *command) wrong(format string, args ...any) error {
	return &usageError{c, fmt.Sprintf(format, args...)}
}

// parse takes the arguments in and returns the command that is to run; help
// tells that its help was asked for.
func (c *command) parse(args []string) (run *command, help bool, err error) {
	var extra []string
	run, help, err = c.take(args, &extra)
	if err == nil && !help && len(extra) > 0 {
		err = c.wrong("unrecognized arguments: %s", strings.Join(extra, " "))
	}
	return run, help, err
}

func (c *command) take(args []string, extra *[]string) (*command, bool, error) {
	given := map[string]bool{}
	free := slices.Clone(c.args)
	plain := false // behind "--" nothing is an option
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--" && !plain:
			plain = true
		case !plain && (word == "-h" || word == "--help"):
			return c, true, nil
		case !plain && len(word) > 1 && word[0] == '-':
			rest, err := c.option(word, args, given, extra)
			if err != nil {
				return c, false, err
			}
			args = rest
		case len(c.subs) > 0:
			sub, err := c.sub(word)
			if err != nil {
				return c, false, err
			}
			return sub.take(args, extra)
		case len(free) == 0:
			*extra = append(*extra, word)
		case free[0].values != nil:
			*free[0].values = append(*free[0].values, word)
		default:
			*free[0].value = word
			free = free[1:]
		}
	}
	return c, false, c.complete(given, free)
}

// complete finds what must be given and was not.
func (c *command) complete(given map[string]bool, free []positional) error {
	var lacking []string
	for _, o := range c.options {
		if o.needed && !given[o.names[0]] {
			lacking = append(lacking, strings.Join(o.names, "/"))
		}
	}
	for _, p := range free {
		if !p.optional && p.values == nil {
			lacking = append(lacking, p.name)
		}
	}
	if len(c.subs) > 0 {
		lacking = append(lacking, "subcommand")
	}
	if len(lacking) > 0 {
		return c.wrong("the following arguments are required: %s", strings.Join(lacking, ", "))
	}
	return nil
}

func (c *command) sub(name string) (*command, error) {
	var names []string
	for _, s := range c.subs {
		if s.name == name {
			return s, nil
		}
		if s.summary != "" {
			names = append(names, "'"+s.name+"'")
		}
	}
	return nil, c.wrong("argument subcommand: invalid choice: '%s' (choose from %s)", name, strings.Join(names, ", "))
}

// option takes one word that begins with a hyphen, and its value from the
// words behind it, which it returns without it.
func (c *command) option(word string, rest []string, given map[string]bool, extra *[]string) ([]string, error) {
	name, value, hasValue := strings.Cut(word, "=")
	o, err := c.lookUp(name)
	if err != nil {
		return nil, err
	}
	if o == nil && word[1] != '-' && len(word) > 2 { // -lX: a value, or more flags
		if o, _ = c.lookUp(word[:2]); o != nil {
			if value, hasValue = strings.TrimPrefix(word[2:], "="), true; !o.takesValue() {
				rest, hasValue = append([]string{"-" + word[2:]}, rest...), false
			}
		}
	}
	if o == nil {
		*extra = append(*extra, word)
		return rest, nil
	}
	given[o.names[0]] = true
	if !o.takesValue() {
		if hasValue {
			return nil, c.wrong("argument %s: ignored explicit argument '%s'", strings.Join(o.names, "/"), value)
		}
		if o.flag != nil {
			*o.flag = true
		} else {
			*o.count++
		}
		return rest, nil
	}
	if !hasValue {
		if len(rest) == 0 || len(rest[0]) > 1 && rest[0][0] == '-' {
			return nil, c.wrong("argument %s: expected one argument", strings.Join(o.names, "/"))
		}
		value, rest = rest[0], rest[1:]
	}
	if len(o.choices) > 0 && !slices.Contains(o.choices, value) {
		return nil, c.wrong("argument %s: invalid choice: '%s' (choose from '%s')", strings.Join(o.names, "/"), value, strings.Join(o.choices, "', '"))
	}
	if o.values != nil {
		*o.values = append(*o.values, value)
	} else {
		*o.value = value
	}
	return rest, nil
}

// lookUp finds an option by its name or the unambiguous beginning of a long
// one.
func (c *command) lookUp(name string) (*option, error) {
	var found []string
	var match *option
	for i := range c.options {
		for _, n := range c.options[i].names {
			if n == name {
				return &c.options[i], nil
			}
			if strings.HasPrefix(name, "--") && strings.HasPrefix(n, name) {
				found, match = append(found, n), &c.options[i]
			}
		}
	}
	if len(found) > 1 {
		return nil, c.wrong("ambiguous option: %s could match %s", name, strings.Join(found, ", "))
	}
	return match, nil
}
