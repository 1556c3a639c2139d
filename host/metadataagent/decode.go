package metadataagent

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// decode undoes the answer's content coding: who asked for none must not get
// one, and the header that would tell is not passed on. RFC 9110 8.4.
func decode(res *http.Response) error {
	coding := strings.ToLower(strings.TrimSpace(strings.Join(res.Header.Values("Content-Encoding"), ",")))
	if coding == "" || coding == "identity" || noBody(res) {
		return nil
	}
	var plain io.Reader
	var err error
	switch coding {
	case "gzip", "x-gzip":
		plain, err = gzip.NewReader(res.Body)
	case "deflate":
		plain, err = inflate(res.Body)
	default:
		err = fmt.Errorf("content coding %q", coding)
	}
	if err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	res.Body = &decoded{Reader: plain, body: res.Body}
	res.ContentLength = -1
	return nil
}

// noBody reports whether an answer has no body whatever its headers say. RFC
// 9112 6.3.
func noBody(res *http.Response) bool {
	return res.Request.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
}

// inflate reads the zlib format, or what some servers send instead: the bare
// deflate one. RFC 9110 8.4.1.2.
func inflate(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil
}

// decoded is a body in plain, with what it is read from to be closed.
type decoded struct {
	io.Reader
	body io.Closer
}

func (d *decoded) Close() error { return d.body.Close() }
