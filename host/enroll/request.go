package enroll

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"

	"imprint/host/cloud"
)

// maxRequest and maxReply bound the bodies in bytes.
const (
	maxRequest = 16 << 10
	maxReply   = 64 << 10
)

// request is the body of POST /enroll, and without a token of POST /renew.
type request struct {
	Token string `json:"token,omitempty"`
	CSR   string `json:"csr"` // PEM
}

// reply has the new certificate and the authority's, in PEM.
type reply struct {
	Certificate string `json:"certificate"`
	CA          string `json:"ca"`
}

// failure is the body of every answer that is no success.
type failure struct {
	Error string `json:"error"`
}

// newRequest asks for a certificate for key; who it is for the server decides.
func newRequest(token string, key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(request{token, string(encode(blockRequest, der))})
}

// parseRequest returns the token's text and the key that a certificate is
// wanted for. The sender has shown that it has the key. All else that the
// request asks for, names above all, means nothing.
func parseRequest(body []byte) (string, crypto.PublicKey, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return "", nil, cloud.Errorf(cloud.Invalid, "the request is not JSON in its form")
	}
	block, rest := pem.Decode([]byte(r.CSR))
	if block == nil || block.Type != blockRequest || len(bytes.TrimSpace(rest)) > 0 {
		return "", nil, cloud.Errorf(cloud.Invalid, "the csr is not one certificate request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", nil, cloud.Errorf(cloud.Invalid, "the csr cannot be read")
	}
	if !strong(csr.PublicKey) {
		return "", nil, cloud.Errorf(cloud.Invalid, "the csr's key is neither ECDSA P-256 nor Ed25519")
	}
	if csr.CheckSignature() != nil {
		return "", nil, cloud.Errorf(cloud.Invalid, "the csr is not signed with its key")
	}
	return r.Token, csr.PublicKey, nil
}

func strong(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return true
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	}
	return false
}
