package userdata

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
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
func (m message) decode() ([]byte, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(m.headers.get("Content-Transfer-Encoding"))); encoding {
	case "base64":
		if data, err := cloudconfig.DecodeBase64(string(m.body) + "=="); err == nil {
			return data, nil
		}
		return m.body, nil
	case "quoted-printable":
		return unquotePrintable(m.body), nil
	case "x-uuencode", "uuencode", "uue", "x-uue":
		return nil, fmt.Errorf("transfer encoding %s is not supported", encoding)
	}
	return m.body, nil
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
