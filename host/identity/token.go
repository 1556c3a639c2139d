package identity

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"imprint/host/cloud"
)

// claims is what a token says. It names only who and where; roles and names
// are looked up when it is used.
type claims struct {
	User    cloud.UserID    `json:"u"`
	Project cloud.ProjectID `json:"p,omitempty"`
	Issued  int64           `json:"i"` // Unix microseconds
	Expires int64           `json:"e"`
	Audit   string          `json:"a"`
	Methods []string        `json:"m"`
}

func (c claims) issued() time.Time  { return time.UnixMicro(c.Issued).UTC() }
func (c claims) expires() time.Time { return time.UnixMicro(c.Expires).UTC() }

const maxToken = 1024

// sealer turns claims into tokens and back.
type sealer struct {
	aead     cipher.AEAD
	lifetime time.Duration
}

func newSealer(key []byte, lifetime time.Duration) (*sealer, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return &sealer{aead, lifetime}, nil
}

// issue makes new claims, valid from now.
func (s *sealer) issue(u cloud.UserID, p cloud.ProjectID, methods []string, now time.Time) claims {
	audit := make([]byte, 16)
	rand.Read(audit)
	return claims{User: u, Project: p, Issued: now.UnixMicro(), Expires: now.Add(s.lifetime).UnixMicro(),
		Audit: base64.RawURLEncoding.EncodeToString(audit), Methods: methods}
}

func (s *sealer) seal(c claims) (string, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, nil)), nil
}

var errToken = cloud.Errorf(cloud.Unauthorized, "the token is not valid")

// open returns a token's claims; one that is forged or expired is errToken.
func (s *sealer) open(token string, now time.Time) (claims, error) {
	if len(token) > maxToken {
		return claims{}, errToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < s.aead.NonceSize() {
		return claims{}, errToken
	}
	plain, err := s.aead.Open(nil, raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():], nil)
	if err != nil {
		return claims{}, errToken
	}
	var c claims
	if err := json.Unmarshal(plain, &c); err != nil {
		return claims{}, errToken
	}
	if !now.Before(c.expires()) {
		return claims{}, errToken
	}
	return c, nil
}
