package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"imprint/host/cloud"
)

// Open returns a blob's bytes and their number; the caller closes the reader.
// What is not there is of kind cloud.NotFound. The content is not checked
// against the digest, since that would take reading all of it first.
func (s *Store) Open(d cloud.Digest) (io.ReadCloser, int64, error) {
	path, err := s.path(d)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, cloud.Errorf(cloud.NotFound, "blob %s does not exist", d)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open blob: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// ReadAll returns a blob whole, after checking that it is what its digest
// says. More than limit bytes is an error of kind cloud.TooLarge; the other
// errors are those of [Store.Open].
func (s *Store) ReadAll(d cloud.Digest, limit int64) ([]byte, error) {
	r, size, err := s.Open(d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, size, d, limit)
}

// readAll reads size bytes and checks that they are d's.
func readAll(r io.Reader, size int64, d cloud.Digest, limit int64) ([]byte, error) {
	if size > limit {
		return nil, cloud.Errorf(cloud.TooLarge, "blob %s has %d bytes; at most %d are read", d, size, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if cloud.DigestOf(b) != d {
		return nil, fmt.Errorf("read blob %s: its content is damaged", d)
	}
	return b, nil
}
