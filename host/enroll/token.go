package enroll

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Token lets a node enrol once. It prints as a placeholder; [Token.Text] has
// the secret.
type Token struct {
	secret [32]byte
	pin    pin
}

const tokenPrefix = "imprint1_"

var tokenCode = base64.RawURLEncoding.Strict()

// newToken returns a token with a new secret for the authority with this pin.
func newToken(p pin) Token {
	t := Token{pin: p}
	rand.Read(t.secret[:])
	return t
}

// ParseToken reads what [Token.Text] wrote, with white space around it. Its
// error does not repeat the text.
func ParseToken(text string) (Token, error) {
	code, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok || tokenCode.DecodedLen(len(code)) != len(Token{}.secret)+len(Token{}.pin) {
		return Token{}, errors.New("this is not an enrolment token")
	}
	if strings.ContainsAny(code, "\r\n") { // which the decoder passes over
		return Token{}, errors.New("the enrolment token is broken over lines")
	}
	b, err := tokenCode.DecodeString(code)
	if err != nil {
		return Token{}, errors.New("the enrolment token is damaged")
	}
	var t Token
	copy(t.secret[:], b)
	copy(t.pin[:], b[len(t.secret):])
	return t, nil
}

// Text returns the token for its user: 95 letters, digits, dashes and
// underscores.
func (t Token) Text() string {
	return tokenPrefix + tokenCode.EncodeToString(append(t.secret[:], t.pin[:]...))
}

// String returns a placeholder.
func (t Token) String() string { return "(enrolment token)" }

// GoString returns a placeholder.
func (t Token) GoString() string { return t.String() }

// LogValue returns a placeholder.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// id is what the authority knows a token by: a hash of the secret, which is
// random in all of its bits and so needs no salt.
func (t Token) id() string {
	sum := sha256.Sum256(t.secret[:])
	return hex.EncodeToString(sum[:])
}

// pin is the SHA-256 of a certificate's SubjectPublicKeyInfo, as kubeadm's
// discovery hash and RFC 7469 2.4 have it.
type pin [sha256.Size]byte

func pinOf(c *x509.Certificate) pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

func (p pin) is(c *x509.Certificate) bool {
	other := pinOf(c)
	return subtle.ConstantTimeCompare(p[:], other[:]) == 1
}

// String returns the pin in kubeadm's form.
func (p pin) String() string { return fmt.Sprintf("sha256:%x", p[:]) }
