package vfat

import "strings"

// cp437 has the characters from 0x80 on of code page 437, which Linux assumes
// too where nothing is said: short names do not name their code page.
var cp437 = [128]rune([]rune("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»" +
	"░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
	"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"))

// decodeOEM gives the text of a padded field of a short name.
func decodeOEM(field []byte) string {
	var b strings.Builder
	for _, c := range field {
		if c < 0x80 {
			b.WriteByte(c)
			continue
		}
		b.WriteRune(cp437[c-0x80])
	}
	return strings.TrimRight(b.String(), " ")
}

// Bits of DIR_NTRes by which Windows NT and Linux say that a short name is
// shown in lower case; FAT 1.03 leaves them reserved.
const (
	lowerBase = 0x08
	lowerExt  = 0x10
)

// String is the short name as it is shown, such as "META_D~1.JSO".
func (s shortName) String() string { return s.text(0) }

// text is the short name in the case that flags say. 0x05 at the start stands
// for 0xe5, which there means a free entry (FAT 1.03 "FAT Directory
// Structure", DIR_Name[0]).
func (s shortName) text(flags byte) string {
	if s[0] == 0x05 {
		s[0] = 0xe5
	}
	base, ext := decodeOEM(s[:8]), decodeOEM(s[8:])
	if flags&lowerBase != 0 {
		base = strings.ToLower(base)
	}
	if flags&lowerExt != 0 {
		ext = strings.ToLower(ext)
	}
	return joinShort(base, ext)
}

// label is the short name read as a volume's label: eleven characters without
// a period.
func (s shortName) label() string {
	if s[0] == 0x05 {
		s[0] = 0xe5
	}
	return decodeOEM(s[:])
}
