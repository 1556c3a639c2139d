package store

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealed values begin with this; the rest is nonce and box in base64.
const sealPrefix = "x1:"

// sealer encrypts secret fields with XChaCha20-Poly1305 (RFC 8439 with the
// extended nonce of draft-irtf-cfrg-xchacha). The place of a field is
// authenticated too, so that a sealed value cannot be moved to another record.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(place, plain string) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce)
	return sealPrefix + base64.RawStdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(plain), []byte(place)))
}

func (s *sealer) open(place, sealed string) (string, error) {
	text, ok := strings.CutPrefix(sealed, sealPrefix)
	if !ok {
		return "", errors.New("the value is not sealed")
	}
	box, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(box) < s.aead.NonceSize() {
		return "", errors.New("the sealed value is damaged")
	}
	nonce, box := box[:s.aead.NonceSize()], box[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, box, []byte(place))
	if err != nil {
		return "", errors.New("the sealed value is damaged or of another key")
	}
	return string(plain), nil
}
