package enroll

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"path/filepath"
	"time"
)

// Options are the settings of an [Authority].
type Options struct {
	// Dir keeps the authority's key and the tokens. It is made with mode 0700
	// when it does not exist.
	Dir string
	// Revoked is the file of revoked nodes, "" for revoked.json in Dir. All may
	// read it: services of other users need it.
	Revoked string
	// Lifetime of the certificates; 0 means 30 days.
	Lifetime time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger // nil discards
}

// Times of certificates.
const (
	defaultLifetime   = 30 * 24 * time.Hour
	authorityLifetime = 20 * 365 * 24 * time.Hour
	// backdate is how far a verifier's clock may be behind the authority's.
	backdate = 5 * time.Minute
)

// The files below an authority's directory; they are secret.
const (
	authorityFile = "authority.pem"
	tokensDir     = "tokens"
	revokedFile   = "revoked.json"
)

// Authority issues certificates. Safe for concurrent use, by several processes
// with the same directory too.
type Authority struct {
	options Options
	key     crypto.Signer
	cert    *x509.Certificate
	revoked *Revocations
}

// OpenAuthority returns the authority in o.Dir, which is made when there is
// none.
func OpenAuthority(o Options) (*Authority, error) {
	if o.Revoked == "" {
		o.Revoked = filepath.Join(o.Dir, revokedFile)
	}
	if o.Lifetime == 0 {
		o.Lifetime = defaultLifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Authority{options: o}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open certificate authority in %s: %w", o.Dir, err)
	}
	return a, nil
}

func (a *Authority) open() error {
	lock, err := lockDir(a.options.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	path := filepath.Join(a.options.Dir, authorityFile)
	data, _, err := readFile(path, true)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = a.create(path)
	}
	if err != nil {
		return err
	}
	key, certs, err := parseBundle(data)
	if err != nil || len(certs) != 1 {
		return errors.Join(fmt.Errorf("%s does not hold a key and its certificate", path), err)
	}
	a.key, a.cert = key, certs[0]
	a.revoked, err = OpenRevocations(a.options.Revoked)
	if err == nil {
		a.revoked.now = a.options.Now
	}
	return err
}

// create makes the authority. The list of revoked nodes comes first, so that an
// authority never lacks it: a list that was lost later is an error.
func (a *Authority) create(path string) ([]byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := a.options.Now()
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Imprint authority %x", serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	data, err := encodeBundle(key, der)
	if err != nil {
		return nil, err
	}
	if err := createRevocations(a.options.Revoked); err != nil {
		return nil, err
	}
	a.options.Log.Info("certificate authority made", "path", path)
	return data, writeFile(path, data, 0o600)
}

// Revocations returns the nodes that the authority has revoked.
func (a *Authority) Revocations() *Revocations { return a.revoked }

// Fingerprint returns the SHA-256 of the authority's public key, in the form
// "sha256:" and 64 hexadecimal digits. Every token carries it.
func (a *Authority) Fingerprint() string { return pinOf(a.cert).String() }

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newSerial returns 16 random octets, positive and the first not zero (RFC
// 5280 4.1.2.2).
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b[:])
}
