package jinja

import (
	"slices"
	"strings"
	"unicode"
)

// wordwrap breaks every line of a text as Python's textwrap.wrap does.
func wordwrap(s *state, v []any) any {
	width := s.intArg(v[1], 79)
	if width <= 0 {
		s.fail("invalid width %d (must be > 0)", width)
	}
	long := v[2] == missing || s.truth(v[2])
	hyphens := v[4] == missing || s.truth(v[4])
	with := "\n"
	if none(v[3]) != nil {
		with = s.strArg(v[3])
	}
	var out []string
	for _, line := range splitLines(s.strArg(v[0]), false) {
		s.charge(len(line)/8 + 1)
		w := &wrapper{width: width, long: long, chunks: chunks([]rune(line), hyphens)}
		out = append(out, strings.Join(w.lines(), with))
	}
	s.afford(len(out), len(with))
	return s.likeText(v[0], strings.Join(out, with))
}

// wrapper fills lines with chunks: words and the blanks between them
// (textwrap.py TextWrapper, Python 3.11).
type wrapper struct {
	width  int
	long   bool // break words that are longer than a line
	chunks [][]rune
}

func (w *wrapper) lines() []string {
	var out []string
	for len(w.chunks) > 0 {
		if blankChunk(w.chunks[0]) && len(out) > 0 {
			w.chunks = w.chunks[1:]
			continue
		}
		line := w.line()
		if len(line) > 0 && blankChunk(line[len(line)-1]) {
			line = line[:len(line)-1]
		}
		if len(line) > 0 {
			text := ""
			for _, c := range line {
				text += string(c)
			}
			out = append(out, text)
		}
	}
	return out
}

// line takes the chunks of one line.
func (w *wrapper) line() [][]rune {
	var line [][]rune
	n := 0
	for len(w.chunks) > 0 && n+len(w.chunks[0]) <= w.width {
		n += len(w.chunks[0])
		line = append(line, w.chunks[0])
		w.chunks = w.chunks[1:]
	}
	if len(w.chunks) == 0 || len(w.chunks[0]) <= w.width {
		return line
	}
	if word := w.chunks[0]; w.long {
		cut := w.width - n
		if i := lastHyphen(word[:min(cut, len(word))]); i > 0 {
			cut = i + 1
		}
		line, w.chunks[0] = append(line, word[:cut]), word[cut:]
	} else if len(line) == 0 {
		line, w.chunks = append(line, word), w.chunks[1:]
	}
	return line
}

// lastHyphen is where a word too long for a line breaks instead.
func lastHyphen(word []rune) int {
	first := slices.IndexFunc(word, func(r rune) bool { return r != '-' })
	for i := len(word) - 1; first >= 0 && i > first; i-- {
		if word[i] == '-' {
			return i
		}
	}
	return -1
}

func blankChunk(c []rune) bool { return strings.TrimFunc(string(c), isSpace) == "" }

// asciiBlank is what textwrap breaks at.
func asciiBlank(r rune) bool { return strings.ContainsRune("\t\n\x0b\x0c\r ", r) }

// chunks cuts a line into words and blanks, words behind their hyphens too.
func chunks(line []rune, hyphens bool) [][]rune {
	var out [][]rune
	begin := 0
	for i := 1; i <= len(line); i++ {
		if i == len(line) || asciiBlank(line[i]) != asciiBlank(line[i-1]) || hyphens && breaks(line, i) {
			out = append(out, line[begin:i])
			begin = i
		}
	}
	return out
}

// breaks tells whether a word may break before i: behind a hyphen between
// letters.
func breaks(line []rune, i int) bool {
	letter := func(j int) bool {
		return j >= 0 && j < len(line) && (unicode.IsLetter(line[j]) || line[j] == '_')
	}
	return line[i-1] == '-' && letter(i-2) && letter(i-3) && letter(i) &&
		(letter(i+1) || i+1 < len(line) && line[i+1] == '-' && letter(i+2))
}
