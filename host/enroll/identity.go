package enroll

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// The files of an identity. IdentityFile has the key, its certificate and the
// authority's, and is replaced whole; CAFile has the authority's certificate
// once more, for other programs. Both are PEM with mode 0600.
const (
	IdentityFile = "identity.pem"
	CAFile       = "ca.pem"
)

// Identity is the key and certificate of a node or a service, in a directory.
// When another process renews it there, it is read again. Safe for concurrent
// use.
type Identity struct {
	dir  string
	file cached[*pair]
	now  func() time.Time
}

// pair is a key with its certificate and who has issued it.
type pair struct {
	tls   tls.Certificate // the chain has the authority's certificate too
	leaf  *x509.Certificate
	root  *x509.Certificate
	roots *x509.CertPool
	peer  Peer
}

// LoadIdentity returns the identity in dir, even an expired one. A key that
// others than the file's owner may read is an error.
func LoadIdentity(dir string) (*Identity, error) {
	i := &Identity{dir: dir, now: time.Now}
	i.file = cached[*pair]{path: filepath.Join(dir, IdentityFile), secret: true, parse: parsePair}
	if _, err := i.file.get(); err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	return i, nil
}

func parsePair(data []byte) (*pair, error) {
	key, certs, err := parseBundle(data)
	if err != nil {
		return nil, err
	}
	if len(certs) != 2 {
		return nil, fmt.Errorf("it has %d certificates: its own and the authority's are wanted", len(certs))
	}
	return newPair(key, certs[0], certs[1])
}

func newPair(key crypto.Signer, leaf, root *x509.Certificate) (*pair, error) {
	if !root.IsCA {
		return nil, errors.New("the certificate of the authority is none")
	}
	if err := leaf.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("the certificate is not from the authority: %w", err)
	}
	peer, err := peerOf(leaf)
	if err != nil {
		return nil, err
	}
	p := &pair{leaf: leaf, root: root, roots: x509.NewCertPool(), peer: peer}
	p.roots.AddCert(root)
	p.tls = tls.Certificate{Certificate: [][]byte{leaf.Raw, root.Raw}, PrivateKey: key, Leaf: leaf}
	return p, nil
}

// present returns what the file says now, or last said when it is damaged.
func (i *Identity) present() *pair {
	p, _ := i.file.get() // the old one holds until it expires
	return p
}

// Peer returns who the identity is.
func (i *Identity) Peer() Peer { return i.present().peer }

// saveIdentity writes an identity to dir, which is made with mode 0700 when it
// does not exist. It takes the place of the one before in one step.
func saveIdentity(dir string, key crypto.Signer, leaf []byte, root *x509.Certificate) error {
	data, err := encodeBundle(key, leaf, root.Raw)
	if err != nil {
		return err
	}
	if _, err := parsePair(data); err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writeFile(filepath.Join(dir, CAFile), encode(blockCert, root.Raw), 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, IdentityFile), data, 0o600)
}
