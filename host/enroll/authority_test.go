package enroll

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestAuthorityIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "authority")
	var group sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		group.Go(func() {
			a, err := OpenAuthority(Options{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = a.Fingerprint()
		})
	}
	group.Wait()
	for _, p := range prints {
		if p != prints[0] || len(p) != len("sha256:")+64 {
			t.Errorf("fingerprints %q", prints)
		}
	}
	info, err := os.Stat(filepath.Join(dir, authorityFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAuthorityAfterAKill(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{authorityFile, revokedFile} { // half-written
		if err := os.WriteFile(filepath.Join(dir, name+".new"), []byte("-----BEGIN"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := OpenAuthority(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenAuthority(Options{Dir: dir})
	if err != nil || again.Fingerprint() != a.Fingerprint() {
		t.Errorf("another authority, %v", err)
	}
}

func TestAuthorityRefused(t *testing.T) {
	for want, damage := range map[string]func(path string) error{
		"must be for its owner alone":                 func(path string) error { return os.Chmod(path, 0o640) },
		"does not hold a key and its certificate":     func(path string) error { return os.Truncate(path, 0) },
		"does not begin with a private key":           func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"there is something else than a few certific": func(path string) error { return os.Truncate(path, 300) },
	} {
		dir := t.TempDir()
		if _, err := OpenAuthority(Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, authorityFile)
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAuthority(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestIdentityRefused(t *testing.T) {
	s := newSite(t)
	node, other := s.enrol(t, "n1"), s.enrol(t, "n2")
	foreign := newSite(t).enrol(t, "n1")
	mix := func(key, leaf, root *Identity) []byte {
		data, err := encodeBundle(key.present().tls.PrivateKey.(crypto.Signer), leaf.present().leaf.Raw, root.present().root.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for want, data := range map[string][]byte{
		"the certificate is not the key's":          mix(node, other, node),
		"the certificate is not from the authority": mix(node, node, foreign),
		"does not begin with a private key":         nil,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, IdentityFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := os.Chmod(node.file.path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(node.dir); err == nil {
		t.Error("a key that all can read was loaded")
	}
}
