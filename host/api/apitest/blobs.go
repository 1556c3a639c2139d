package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"imprint/host/cloud"
)

// Blobs keeps bytes in memory. Safe for concurrent use.
type Blobs struct {
	mu   sync.Mutex
	data map[cloud.Digest][]byte
}

// NewBlobs returns an empty blob store.
func NewBlobs() *Blobs { return &Blobs{data: map[cloud.Digest][]byte{}} }

// Put reads r to its end; more than limit bytes is an error of kind
// cloud.TooLarge.
func (b *Blobs) Put(_ context.Context, r io.Reader, limit int64) (cloud.Digest, int64, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	if int64(len(data)) > limit {
		return "", 0, cloud.Errorf(cloud.TooLarge, "more than %d bytes", limit)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := cloud.DigestOf(data)
	b.data[d] = data
	return d, int64(len(data)), nil
}

// Open returns a blob's bytes and their number.
func (b *Blobs) Open(d cloud.Digest) (io.ReadCloser, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.data[d]
	if !ok {
		return nil, 0, fmt.Errorf("blob %s: %w", d, cloud.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}
