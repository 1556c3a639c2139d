package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// Put keeps all that r gives and returns its digest and its size in bytes. It
// returns when the bytes are on disk. More than limit bytes is an error of
// kind cloud.TooLarge, a full disk of kind cloud.Unavailable; an error of r or
// the end of ctx comes back wrapped. After any error nothing was kept. Bytes
// that are there already are kept once.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (cloud.Digest, int64, error) {
	d, size, err := s.put(ctx, r, limit)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fmt.Errorf("%w: %w", cloud.Errorf(cloud.Unavailable, "the disk of the blobs is full"), err)
	}
	if err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	return d, size, nil
}

// PutBytes is [Store.Put] of bytes.
func (s *Store) PutBytes(ctx context.Context, b []byte) (cloud.Digest, error) {
	d, _, err := s.Put(ctx, bytes.NewReader(b), int64(len(b)))
	return d, err
}

func (s *Store) put(ctx context.Context, r io.Reader, limit int64) (cloud.Digest, int64, error) {
	lock, err := s.lockTmp(unix.LOCK_SH)
	if err != nil {
		return "", 0, err
	}
	defer lock.Close()
	tmp, err := os.CreateTemp(lock.Name(), "")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(tmp.Name())
	d, size, err := receive(ctx, tmp, r, limit)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", 0, err
	}
	return d, size, s.place(tmp.Name(), d)
}

// receive copies r to tmp and onto the disk.
func receive(ctx context.Context, tmp *os.File, r io.Reader, limit int64) (cloud.Digest, int64, error) {
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, sum), io.LimitReader(&cancellable{ctx, r}, limit+1))
	if err != nil {
		return "", 0, err
	}
	if size > limit {
		return "", 0, cloud.Errorf(cloud.TooLarge, "more than %d bytes", limit)
	}
	return cloud.Digest(hex.EncodeToString(sum.Sum(nil))), size, tmp.Sync()
}

// cancellable stops reading when its context has ended.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// place gives the file its name. A blob that is there already is replaced by
// the same bytes, and so counts as put now.
func (s *Store) place(tmp string, d cloud.Digest) error {
	path, err := s.path(d)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	s.remove.Lock()
	defer s.remove.Unlock()
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(s.dir))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
