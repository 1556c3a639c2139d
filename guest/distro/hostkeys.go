package distro

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	sshDir  = "/etc/ssh"
	rsaBits = 3072 // ssh-keygen's default since OpenSSH 8.0
)

// HostKeyFile is the private key file of a key type: rsa, ecdsa, ed25519.
func HostKeyFile(kind string) string { return path.Join(sshDir, "ssh_host_"+kind+"_key") }

// DeleteHostKeys removes all keys of the image, so that two instances of it
// never share one.
func (d *Distro) DeleteHostKeys() error {
	entries, err := d.Root.ReadDir(sshDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", sshDir, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "ssh_host_") || !strings.Contains(e.Name(), "key") {
			continue
		}
		if err := d.Root.Remove(path.Join(sshDir, e.Name())); err != nil {
			return fmt.Errorf("delete host key: %w", err)
		}
	}
	return nil
}

// HostKey is a new key of the host, as ssh-keygen would write it.
type HostKey struct {
	Kind            string
	Private, Public []byte
	// Fingerprint is "SHA256:...".
	Fingerprint string
}

// NewHostKey makes a key of kind rsa, ecdsa or ed25519. An RSA key takes about
// half a second of one processor; the others take no time. random nil means
// the kernel's source. Safe for concurrent use.
func NewHostKey(kind, comment string, random io.Reader) (HostKey, error) {
	private, err := newKey(kind, random)
	if err != nil {
		return HostKey{}, fmt.Errorf("make %s host key: %w", kind, err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return HostKey{}, fmt.Errorf("make %s host key: %w", kind, err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return HostKey{}, fmt.Errorf("encode %s host key: %w", kind, err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return HostKey{
		Kind:        kind,
		Private:     pem.EncodeToMemory(block),
		Public:      []byte(public + " " + comment + "\n"),
		Fingerprint: ssh.FingerprintSHA256(signer.PublicKey()),
	}, nil
}

func newKey(kind string, random io.Reader) (crypto.PrivateKey, error) {
	switch kind {
	case "ed25519":
		_, private, err := ed25519.GenerateKey(random)
		return private, err
	case "ecdsa":
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case "rsa":
		return rsa.GenerateKey(random, rsaBits)
	}
	return nil, errors.New("unknown key type")
}

// HasHostKey reports whether there is a private key of that kind.
func (d *Distro) HasHostKey(kind string) bool { return d.exists(HostKeyFile(kind)) }

// WriteHostKey stores both halves of a key. A group ssh_keys, if there is
// one, may read the private half, as sshd-keygen has it.
func (d *Distro) WriteHostKey(k HostKey) error {
	file := HostKeyFile(k.Kind)
	mode, gid := fs.FileMode(0o600), 0
	if g, ok := d.GroupID("ssh_keys"); ok {
		mode, gid = 0o640, g
	}
	if err := d.Root.WriteFileAs(file, k.Private, mode, 0, gid); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := d.Root.WriteFile(file+".pub", k.Public, 0o644); err != nil {
		return fmt.Errorf("write %s.pub: %w", file, err)
	}
	return nil
}

// PublicHalf computes the public key file of a private key in OpenSSH or PEM
// form.
func PublicHalf(private []byte, comment string) ([]byte, error) {
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return []byte(public + " " + comment + "\n"), nil
}
