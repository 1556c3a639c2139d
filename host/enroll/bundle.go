package enroll

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The types of PEM block in use (RFC 7468).
const (
	blockKey     = "PRIVATE KEY"
	blockCert    = "CERTIFICATE"
	blockRequest = "CERTIFICATE REQUEST"
)

// encodeBundle returns a key and certificates as one PEM text.
func encodeBundle(key crypto.Signer, certs ...[]byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(encode(blockKey, der), encode(blockCert, certs...)...), nil
}

func encode(kind string, ders ...[]byte) []byte {
	var text bytes.Buffer
	for _, der := range ders {
		pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}) // a buffer takes all
	}
	return text.Bytes()
}

// parseBundle reads what encodeBundle wrote; the first certificate is the
// key's.
func parseBundle(data []byte) (crypto.Signer, []*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != blockKey {
		return nil, nil, errors.New("it does not begin with a private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a %T cannot sign", parsed)
	}
	certs, err := parseCerts(rest)
	if err != nil {
		return nil, nil, err
	}
	if len(certs) == 0 || !sameKey(certs[0].PublicKey, key.Public()) {
		return nil, nil, errors.New("the certificate is not the key's")
	}
	return key, certs, nil
}

// maxCerts bounds the certificates of a text.
const maxCerts = 16

func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != blockCert || len(certs) == maxCerts {
			return nil, errors.New("there is something else than a few certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs, data = append(certs, c), rest
	}
	return certs, nil
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
