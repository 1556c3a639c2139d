package cloudconfig

import (
	"encoding/base64"
	"errors"
	"strings"
)

// DecodeBase64 reads base64 as leniently as Python does (binascii.a2b_base64):
// characters of no meaning are skipped, text after the padding is ignored;
// missing padding is an error.
func DecodeBase64(text string) ([]byte, error) {
	var digits strings.Builder
	pads := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '=' {
			if n := digits.Len() % 4; n >= 2 {
				if pads++; n+pads >= 4 {
					break
				}
			}
			continue
		}
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' {
			digits.WriteByte(c)
			pads = 0
		}
	}
	if n := digits.Len() % 4; n == 1 || n > 1 && n+pads < 4 {
		return nil, errors.New("incorrect base64 padding")
	}
	return base64.RawStdEncoding.DecodeString(digits.String())
}
