package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrKey says that the key file is missing, damaged, readable by others, or
// not the one that the store was made with.
var ErrKey = errors.New("wrong key")

const sealProbe = "imprint"

// openCodec finds the key of the store, making one for a store that is new,
// and proves that it is right before anything is read or written with it. A
// reader may have none.
func openCodec(ctx context.Context, e Engine, path string, readOnly bool) (*codec, error) {
	if readOnly && path == "" {
		return newCodec(nil), nil
	}
	probe, err := e.Get(ctx, sealKey)
	if err != nil {
		return nil, err
	}
	isNew := probe.Revision == 0
	key, err := loadKey(path, isNew && !readOnly)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	if isNew && !readOnly {
		probe, err = addProbe(ctx, e, s)
	}
	if err == nil && probe.Revision != 0 {
		err = s.check(probe, path)
	}
	return newCodec(s), err
}

// check proves that s has the key of the store.
func (s *sealer) check(probe KV, path string) error {
	if plain, err := s.open(sealKey, string(probe.Value)); err != nil || plain != sealProbe {
		return fmt.Errorf("%w: the store was made with another key than that in %s", ErrKey, path)
	}
	return nil
}

// addProbe writes what a later start checks its key with, and returns what is
// there: another process may have been first.
func addProbe(ctx context.Context, e Engine, s *sealer) (KV, error) {
	kvs, _, err := e.List(ctx, root)
	if err != nil {
		return KV{}, err
	}
	if len(kvs) > 0 && !slices.ContainsFunc(kvs, func(kv KV) bool { return kv.Key == sealKey }) {
		return KV{}, fmt.Errorf("%w: %s is missing, yet there are records", ErrKey, sealKey)
	}
	_, err = e.Txn(ctx, EngineTxn{
		If:   []Compare{{Key: sealKey}},
		Then: []Op{{Key: sealKey, Value: []byte(s.seal(sealKey, sealProbe))}},
	})
	if lost := new(CompareError); err != nil && !errors.As(err, &lost) {
		return KV{}, err
	}
	return e.Get(ctx, sealKey)
}

// loadKey reads the key file; with create it makes a missing one. No path is
// a key for this process alone.
func loadKey(path string, create bool) ([]byte, error) {
	if path == "" {
		return newKey(), nil
	}
	text, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("%w: %s does not hold %d hexadecimal digits", ErrKey, path, 2*chacha20poly1305.KeySize)
	}
	return key, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, others may read it; want 0600", path, info.Mode().Perm())
	}
	if info.Size() > 4096 {
		return nil, fmt.Errorf("%s is not a key file", path)
	}
	return os.ReadFile(path)
}

func newKey() []byte {
	key := make([]byte, chacha20poly1305.KeySize)
	rand.Read(key)
	return key
}

// makeKey writes a new key so that it is on disk before anything depends on
// it. It never replaces a file.
func makeKey(path string) ([]byte, error) {
	key := newKey()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("make key file %s: %w", path, err)
	}
	return key, nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
