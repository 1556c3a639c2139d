package userdata

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"imprint/base/cloudconfig"
)

var errTooLarge = errors.New("too large when decompressed")

// gunzip decompresses data to at most limit bytes. Several members and zeros
// after them are taken, as Python's gzip module does.
func gunzip(data []byte, limit int) ([]byte, error) {
	in := bufio.NewReader(bytes.NewReader(data))
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for {
		z.Multistream(false)
		if _, err := io.Copy(&out, io.LimitReader(z, int64(limit-out.Len()+1))); err != nil {
			return nil, err
		}
		if out.Len() > limit {
			return nil, errTooLarge
		}
		if err := skipZeros(in); err == io.EOF {
			return out.Bytes(), nil
		} else if err != nil {
			return nil, err
		}
		if err := z.Reset(in); err != nil {
			return nil, err
		}
	}
}

func skipZeros(in *bufio.Reader) error {
	for {
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		if c != 0 {
			return in.UnreadByte()
		}
	}
}

// decode undoes the transfer encoding (RFC 2045 6). Like Python it never
// fails on the encoded text: base64 that is none stays as it is.
func (m message) decode() []byte {
	switch strings.ToLower(m.headers.get("Content-Transfer-Encoding")) {
	case "base64":
		if data, err := cloudconfig.DecodeBase64(string(m.body) + "=="); err == nil {
			return data
		}
		return m.body
	case "quoted-printable":
		return unquotePrintable(m.body)
	case "x-uuencode", "uuencode", "uue", "x-uue":
		return uudecode(m.body)
	}
	return m.body
}

// uudecode undoes uuencoding (POSIX uuencode); what is none stays as it is.
func uudecode(in []byte) []byte {
	var out []byte
	begun := false
	for rest := in; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		text := bytes.Trim(line, " \t\r\n\f")
		switch {
		case !begun:
			begun = uuBegin.Match(text)
		case string(text) == "end":
			return out
		case len(text) > 0:
			out = append(out, uuLine(trimLine(line))...)
		}
	}
	return in
}

var uuBegin = regexp.MustCompile(`^begin [0-7]+ .`)

// uuLine is what one line holds: its length and groups of four characters for
// three bytes.
func uuLine(line []byte) []byte {
	n := int(line[0]-' ') & 63
	var out []byte
	for i := 1; len(out) < n; i += 4 {
		var bits uint32
		for j := i; j < i+4; j++ {
			bits <<= 6
			if j < len(line) {
				bits |= uint32(line[j]-' ') & 63
			}
		}
		out = append(out, byte(bits>>16), byte(bits>>8), byte(bits))
	}
	return out[:n]
}

// unquotePrintable undoes quoted-printable (RFC 2045 6.7); an equals sign that
// begins nothing stands for itself.
func unquotePrintable(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		if in[0] != '=' {
			out, in = append(out, in[0]), in[1:]
			continue
		}
		if line, rest := cutLine(in); len(bytes.Trim(line[1:], " \t\r\n")) == 0 {
			in = rest // a soft line break
			continue
		}
		if len(in) > 2 {
			if c, err := strconv.ParseUint(string(in[1:3]), 16, 8); err == nil {
				out, in = append(out, byte(c)), in[3:]
				continue
			}
		}
		out, in = append(out, '='), in[1:]
	}
	return out
}
