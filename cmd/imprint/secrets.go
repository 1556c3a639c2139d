package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imprint/host/cloud"
)

// Secrets live outside the store, each in a file of its own, 0600.
const (
	secretsDir        = "secrets"
	adminPasswordFile = "admin.password"  // of the user admin
	metadataKeyFile   = "metadata.secret" // shared by the metadata agent and service
	tokenKeyFile      = "token.key"       // seals the identity service's tokens
	storeKeyFile      = "store.key"       // encrypts secret fields of the store's records
)

// secretFile returns the content of a secret's file; a missing one is made
// with n random bytes in hexadecimal.
func secretFile(stateDir, name string, n int) (string, error) {
	path := filepath.Join(stateDir, secretsDir, name)
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecret(path, n)
	}
	return secret, err
}

// readSecret returns the content of a secret's file.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < 16 {
		return "", fmt.Errorf("secret %s has %d characters: too short to be one", path, len(secret))
	}
	return secret, nil
}

// makeSecret writes a new secret so that it exists whole or not at all.
func makeSecret(path string, n int) (string, error) {
	secret := cloud.NewSecret(n)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make secrets' directory: %w", err)
	}
	if err := writeWhole(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return secret, nil
}

// writeWhole writes a file beside its place, makes it durable and renames it.
func writeWhole(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// joinErrors joins errors in one line.
func joinErrors(errs ...error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(joined.Error(), "\n", "; "))
}
