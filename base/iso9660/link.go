package iso9660

import "strings"

// Flags of a component of a symbolic link (RRIP 4.1.3.1).
const (
	componentContinues = 0x01
	componentCurrent   = 0x02
	componentParent    = 0x04
	componentRoot      = 0x08
)

// link is a symbolic link's target while its entries are read.
type link struct {
	target string
	open   bool // the last component goes on
}

// take adds the components of an SL entry (RRIP 4.1.3).
func (l *link) take(e []byte) string {
	if len(e) < 5 {
		return "too short"
	}
	for e = e[5:]; len(e) >= 2; {
		flags, n := e[0], 2+int(e[1])
		if n > len(e) {
			return "component is too long"
		}
		text := string(e[2:n])
		e = e[n:]
		if l.target != "" && !l.open && !strings.HasSuffix(l.target, "/") {
			l.target += "/"
		}
		switch {
		case flags&componentCurrent != 0:
			text = "."
		case flags&componentParent != 0:
			text = ".."
		case flags&componentRoot != 0:
			text = "/"
		}
		l.target += text
		l.open = flags&componentContinues != 0
		if len(l.target) > maxPath {
			return "target is too long"
		}
	}
	return ""
}
