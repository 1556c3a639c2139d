package cloudconfig

import (
	"fmt"
	"slices"
	"strings"
)

// analysis is what decides how a text may be written.
type analysis struct {
	length        int  // in characters
	breaks        bool // has line breaks
	plain, single bool // may be written plain, in single quotes
}

// analyze follows what PyYAML's emitter allows (yaml/emitter.py
// analyze_scalar, 6.0): a text that would be read differently plain is quoted,
// one with characters beyond printable ASCII or with a blank before a line
// break goes into double quotes.
func analyze(text string) analysis {
	runes := []rune(text)
	a := analysis{length: len(runes), plain: true, single: true}
	if len(runes) == 0 {
		a.plain = false
		return a
	}
	if strings.HasPrefix(text, "---") || strings.HasPrefix(text, "...") || edge(runes[0]) || edge(runes[len(runes)-1]) {
		a.plain = false
	}
	for i, r := range runes {
		before := i == 0 || gap(runes[i-1])
		after := i+1 == len(runes) || gap(runes[i+1])
		switch {
		case i == 0 && strings.ContainsRune("#,[]{}&*!|>'\"%@`", r),
			i == 0 && strings.ContainsRune("?:-", r) && after,
			r == ':' && after, r == '#' && before:
			a.plain = false
		}
		if r != '\n' && (r < ' ' || r > '~') {
			a.plain, a.single = false, false
		}
		a.breaks = a.breaks || lineBreak(r)
		if i > 0 && r == ' ' && lineBreak(runes[i-1]) || i > 0 && lineBreak(r) && runes[i-1] == ' ' {
			a.single = false
		}
	}
	a.plain = a.plain && !a.breaks && a.single
	return a
}

func edge(r rune) bool { return r == ' ' || lineBreak(r) }

func gap(r rune) bool { return r == 0 || r == '\t' || r == '\r' || edge(r) }

func lineBreak(r rune) bool { return r == '\n' || r == 0x85 || r == 0x2028 || r == 0x2029 }

func (d *dumper) scalar(n *Node, c context) {
	text, tag := n.scalarText()
	a := analyze(text)
	switch {
	case tag == "!!binary":
		d.indicator("!!binary", true)
		if text != "" && !c.key {
			d.literal(text)
			return
		}
		d.double(text, !c.key)
	case a.plain && implicitTag(text) == tag:
		d.plain(text, !c.key)
	case a.single && !(c.key && a.breaks):
		d.single(text, !c.key)
	default:
		d.double(text, !c.key)
	}
}

// plain writes words, folded at single blanks.
func (d *dumper) plain(text string, fold bool) {
	if !d.blank {
		d.write(" ")
	}
	d.blank, d.opening = false, false
	for i, run := range runs([]rune(text), func(r rune) int { return btoi(r == ' ') }) {
		if i > 0 && run[0] == ' ' && len(run) == 1 && fold && d.column > dumpWidth {
			d.newLine()
			d.blank, d.opening = false, false
			continue
		}
		d.write(string(run))
	}
}

// single writes a single-quoted text, folded at single blanks; a line break
// is written as an empty line.
func (d *dumper) single(text string, fold bool) {
	d.indicator("'", true)
	all := runs([]rune(text), func(r rune) int { return btoi(r == ' ') + 2*btoi(r == '\n') })
	for i, run := range all {
		switch {
		case run[0] == ' ' && len(run) == 1 && fold && d.column > dumpWidth && i > 0 && i+1 < len(all):
			d.newLine()
		case run[0] == '\n':
			d.line()
			for range run {
				d.line()
			}
			d.newLine()
		default:
			d.blank, d.opening = false, false
			d.write(strings.ReplaceAll(string(run), "'", "''"))
		}
	}
	d.indicator("'", false)
}

// runs cuts text where class changes.
func runs(text []rune, class func(rune) int) [][]rune {
	var out [][]rune
	for len(text) > 0 {
		n := slices.IndexFunc(text, func(r rune) bool { return class(r) != class(text[0]) })
		if n < 0 {
			n = len(text)
		}
		out = append(out, text[:n])
		text = text[n:]
	}
	return out
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// double writes a double-quoted text, with escapes, folded anywhere.
func (d *dumper) double(text string, fold bool) {
	d.indicator(`"`, true)
	runes := []rune(text)
	start := 0
	for end := 0; end <= len(runes); end++ {
		if end == len(runes) || runes[end] < ' ' || runes[end] > '~' || runes[end] == '"' || runes[end] == '\\' {
			d.write(string(runes[start:end]))
			start = end
			if end < len(runes) {
				d.write(escape(runes[end]))
				start = end + 1
			}
		}
		inside := 0 < end && end < len(runes)-1
		if !inside || !fold || runes[end] != ' ' && start < end || d.column+(end-start) <= dumpWidth {
			continue
		}
		if start < end {
			d.write(string(runes[start:end]))
			start = end
		}
		d.write(`\`)
		d.newLine()
		if runes[start] == ' ' {
			d.write(`\`)
		}
	}
	d.blank, d.opening = false, false
	d.indicator(`"`, false)
}

// escape is how a character is written between double quotes.
func escape(r rune) string {
	named := map[rune]string{
		0: "0", 7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "e", '"': `"`, '\\': `\`,
		0x85: "N", 0xa0: "_", 0x2028: "L", 0x2029: "P",
	}
	switch s, ok := named[r]; {
	case ok:
		return `\` + s
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

// literal writes lines, each ended, as a block.
func (d *dumper) literal(text string) {
	d.indicator("|", true)
	d.line()
	for line := range strings.Lines(text) {
		d.newLine()
		d.write(strings.TrimSuffix(line, "\n"))
		d.blank, d.opening = false, false
		d.line()
	}
}
