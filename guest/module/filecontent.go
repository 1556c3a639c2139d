package module

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// maxUnpacked bounds what a compressed file may become.
const maxUnpacked = 64 << 20

// decode undoes the encodings of a file's content.
func (e *Env) decode(content []byte, encoding string) ([]byte, error) {
	word := strings.ToLower(strings.TrimSpace(encoding))
	b64, packed := false, false
	switch word {
	case "gz", "gzip":
		packed = true
	case "gz+base64", "gzip+base64", "gz+b64", "gzip+b64":
		b64, packed = true, true
	case "b64", "base64":
		b64 = true
	case "", "text/plain":
	default:
		e.Log.Warn("Unknown encoding type " + word + ", assuming text/plain")
	}
	if b64 {
		var err error
		if content, err = decodeBase64(content); err != nil {
			return nil, err
		}
	}
	if !packed {
		return content, nil
	}
	return unpack(content)
}

// decodeBase64 passes over what is not of the alphabet, as Python's b64decode
// does.
func decodeBase64(text []byte) ([]byte, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	text = bytes.Map(func(r rune) rune {
		if strings.ContainsRune(alphabet, r) {
			return r
		}
		return -1
	}, text)
	data, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("decode base64: %w", err)
	}
	return data, nil
}

func unpack(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	if len(out) > maxUnpacked {
		return nil, fmt.Errorf("unpack gzip: more than %d bytes", maxUnpacked)
	}
	return out, nil
}
