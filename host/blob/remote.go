package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"imprint/host/cloud"
)

// stallTimeout bounds the wait for an answer, and then for each next byte.
const stallTimeout = 15 * time.Second

// Remote reads the blobs that a [Handler] serves. It keeps nothing. Safe for
// concurrent use.
type Remote struct {
	// BaseURL is "https://host:port".
	BaseURL string
	// Client has the TLS settings. Its redirect policy is not used: none is
	// followed.
	Client *http.Client
}

// Open returns a blob's bytes and their number, as [Store.Open] does, with one
// difference: where the bytes are not the digest's, the read that finds the end
// returns an error instead of io.EOF. What this reader may not have is of kind
// cloud.Forbidden, a busy server of kind cloud.Unavailable.
func (r *Remote) Open(d cloud.Digest) (io.ReadCloser, int64, error) {
	body, size, err := r.open(d)
	if err != nil {
		return nil, 0, fmt.Errorf("open blob %s at %s: %w", d, r.BaseURL, err)
	}
	return body, size, nil
}

// ReadAll returns a blob whole, as [Store.ReadAll] does.
func (r *Remote) ReadAll(d cloud.Digest, limit int64) ([]byte, error) {
	body, size, err := r.Open(d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readAll(body, size, d, limit)
}

func (r *Remote) open(d cloud.Digest) (io.ReadCloser, int64, error) {
	if !d.Valid() {
		return nil, 0, cloud.Errorf(cloud.Invalid, "%q is not a digest", string(d))
	}
	req, err := http.NewRequest(http.MethodGet, r.BaseURL+"/blobs/"+string(d), nil)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	b := &remoteBody{digest: d, sum: sha256.New(), cancel: cancel, cause: func() error { return context.Cause(ctx) }}
	b.stall = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	size, err := b.begin(r.Client, req.WithContext(ctx))
	b.stall.Stop()
	if err != nil {
		return nil, 0, errors.Join(b.why(err), b.Close())
	}
	return b, size, nil
}

var errStalled = errors.New("the server says nothing")

// remoteBody is a body on the way.
type remoteBody struct {
	body   io.ReadCloser // nil: no answer yet
	digest cloud.Digest
	sum    hash.Hash
	cancel context.CancelCauseFunc
	cause  func() error // why the request was cancelled
	stall  *time.Timer  // runs while the server is waited for
}

func (b *remoteBody) begin(c *http.Client, req *http.Request) (int64, error) {
	client := *c
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	b.body = res.Body
	if res.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // read to its end, the connection can be used again
	}
	switch {
	case res.StatusCode == http.StatusNotFound:
		return 0, cloud.Errorf(cloud.NotFound, "blob %s does not exist", b.digest)
	case res.StatusCode == http.StatusForbidden:
		return 0, cloud.Errorf(cloud.Forbidden, "blob %s is not for this reader", b.digest)
	case res.StatusCode == http.StatusServiceUnavailable:
		return 0, cloud.Errorf(cloud.Unavailable, "the server of the blobs is busy")
	case res.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("the server answers %d", res.StatusCode)
	case res.ContentLength < 0:
		return 0, errors.New("the server does not tell the size")
	}
	return res.ContentLength, nil
}

// Read reads on, and checks the digest at the end.
func (b *remoteBody) Read(p []byte) (int, error) {
	b.stall.Reset(stallTimeout)
	n, err := b.body.Read(p)
	b.stall.Stop()
	b.sum.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, b.why(err)
	case hex.EncodeToString(b.sum.Sum(nil)) != string(b.digest):
		return n, fmt.Errorf("blob %s: its content is damaged", b.digest)
	}
	return n, io.EOF
}

// Close ends the request.
func (b *remoteBody) Close() error {
	b.stall.Stop()
	b.cancel(nil)
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// why names the stall when that is what ended the request.
func (b *remoteBody) why(err error) error {
	if cause := b.cause(); errors.Is(cause, errStalled) {
		return fmt.Errorf("%w for %v: %w", cause, stallTimeout, err)
	}
	return err
}
