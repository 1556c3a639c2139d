package cloudconfig

import (
	"strings"
	"unicode/utf8"
)

func (d *dumper) write(s string) {
	d.out.WriteString(s)
	d.column += utf8.RuneCountInString(s)
}

// line ends the line, if anything is on it or an empty one is wanted.
func (d *dumper) line() {
	d.out.WriteByte('\n')
	d.column, d.blank, d.opening = 0, true, true
}

// newLine goes to the block's column on a line where only openers stand.
func (d *dumper) newLine() {
	indent := max(d.indent, 0)
	if !d.opening || d.column > indent || d.column == indent && !d.blank {
		d.line()
	}
	if d.column < indent {
		d.blank = true
		d.write(strings.Repeat(" ", indent-d.column))
	}
}

// indicator writes a mark, with a blank before where one is needed.
func (d *dumper) indicator(mark string, spaced bool) {
	if spaced && !d.blank {
		mark = " " + mark
	}
	d.write(mark)
	d.blank, d.opening = false, false
}

// opener writes "-", "?" or a ":" at the beginning of a line.
func (d *dumper) opener(mark string) {
	opening := d.opening
	d.indicator(mark, true)
	d.opening = opening
}
