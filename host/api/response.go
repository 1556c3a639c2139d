package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Response is what a handler answers. Body is encoded as JSON; Raw is sent as
// it is and closed.
type Response struct {
	Status int // 0: 200
	Header http.Header
	Body   any

	Raw         io.ReadCloser
	Length      int64 // of Raw
	ContentType string
}

// OK answers 200 with a JSON body.
func OK(body any) (Response, error) { return Response{Body: body}, nil }

// Answer answers status with a JSON body, or none when body is nil.
func Answer(status int, body any) (Response, error) { return Response{Status: status, Body: body}, nil }

// Done answers status without a body.
func Done(status int) (Response, error) { return Response{Status: status}, nil }

func (res Response) status() int {
	if res.Status == 0 {
		return http.StatusOK
	}
	return res.Status
}

// encode makes the JSON bytes ready, so that what cannot be encoded is an
// error before the status is sent.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (res Response) write(w http.ResponseWriter, r *Request) (int64, error) {
	body, ctype, length := res.Raw, res.ContentType, res.Length
	if res.Body != nil {
		b, err := encode(res.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return 0, err
		}
		body, ctype, length = io.NopCloser(bytes.NewReader(b)), "application/json", int64(len(b))
	}
	for name, values := range res.Header {
		w.Header()[name] = append(w.Header()[name], values...)
	}
	if body == nil {
		if res.status() != http.StatusNoContent {
			w.Header().Set("Content-Length", "0")
		}
		w.WriteHeader(res.status())
		return 0, nil
	}
	defer body.Close()
	w.Header().Set("Content-Type", ctype)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(res.status())
	if r.Method == http.MethodHead {
		return 0, nil
	}
	ctl := http.NewResponseController(w)
	n, err := io.Copy(w, io.LimitReader(&movingBody{ReadCloser: body, extend: func() { extend(ctl) }}, length))
	if err != nil {
		return n, fmt.Errorf("write answer: %w", err)
	}
	return n, nil
}
