package main

import (
	"fmt"
	"strings"
)

// width is that of argparse on a terminal of 80 columns.
const width = 78

// usage is the command's usage in argparse's form.
func (c *command) usage() string {
	var options, args []string
	options = append(options, "[-h]")
	for _, o := range c.options {
		if o.help == "" {
			continue
		}
		label := o.label(o.names[0])
		if !o.needed {
			label = "[" + label + "]"
		}
		options = append(options, label)
	}
	for _, p := range c.args {
		switch {
		case p.values != nil:
			args = append(args, "["+p.name+" ...]")
		case p.optional:
			args = append(args, "["+p.name+"]")
		default:
			args = append(args, p.name)
		}
	}
	if len(c.subs) > 0 {
		args = append(args, "{"+strings.Join(c.subNames(), ",")+"}", "...")
	}
	prefix := "usage: " + c.path() + " "
	if line := prefix + strings.Join(append(append([]string{}, options...), args...), " "); len(line) <= width {
		return line + "\n"
	}
	indent := strings.Repeat(" ", len(prefix))
	if len(prefix) > width*3/4 { // argparse then breaks after the program's name
		indent = strings.Repeat(" ", len("usage: "))
		return strings.TrimRight(prefix, " ") + "\n" + wrap(indent, options, indent) + wrap(indent, args, indent)
	}
	return wrap(prefix, options, indent) + wrap(indent, args, indent)
}

// wrap lays words out in lines that begin with first, then with indent.
func wrap(first string, words []string, indent string) string {
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	line := first
	for i, w := range words {
		if i > 0 && len(line)+len(w) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += w + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}

// subNames are the commands that are shown.
func (c *command) subNames() []string {
	var names []string
	for _, s := range c.subs {
		if s.summary != "" {
			names = append(names, s.name)
		}
	}
	return names
}

// help is everything that there is to say of a command.
func (c *command) help() string {
	var b strings.Builder
	b.WriteString(c.usage())
	if c.about != "" {
		b.WriteString("\n" + c.about + "\n")
	}
	if len(c.args) > 0 {
		b.WriteString("\npositional arguments:\n")
		for _, p := range c.args {
			b.WriteString(item(p.name, p.help))
		}
	}
	b.WriteString("\noptions:\n" + item("-h, --help", "show this help message and exit"))
	for _, o := range c.options {
		if o.help == "" {
			continue
		}
		var labels []string
		for _, n := range o.names {
			labels = append(labels, o.label(n))
		}
		b.WriteString(item(strings.Join(labels, ", "), o.help))
	}
	if len(c.subs) > 0 {
		b.WriteString("\nSubcommands:\n")
		for _, s := range c.subs {
			if s.summary != "" {
				b.WriteString(item(s.name, s.summary))
			}
		}
	}
	return b.String()
}

// item is a line of a list: what, and what it is.
func item(what, text string) string {
	const column = 24
	if len(what) > column-4 {
		return fmt.Sprintf("  %s\n%s%s\n", what, strings.Repeat(" ", column), text)
	}
	return fmt.Sprintf("  %-*s%s\n", column-2, what, text)
}
