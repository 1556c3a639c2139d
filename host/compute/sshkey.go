package compute

import (
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"imprint/host/api"
	"imprint/host/cloud"
)

const maxPublicKey = 16 << 10

// newKey makes a key pair: the public line and the private key in OpenSSH's
// PEM form. Nova makes RSA keys of 2048 bits here; an ed25519 key is made at
// once and every sshd of the last decade takes it.
func newKey() (public, private string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("generate key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", fmt.Errorf("generate key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "Generated-by-Nova")
	if err != nil {
		return "", "", fmt.Errorf("encode private key: %w", err)
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(sshPub)), "\n") + " Generated-by-Nova\n"
	return line, string(pem.EncodeToMemory(block)), nil
}

// fingerprint checks a public key and returns the MD5 of it in colon form, as
// Nova does (crypto.py generate_fingerprint, 26.2.2). It must be one line
// without options, so that nothing else gets into authorized_keys with it.
func fingerprint(line string) (string, error) {
	bad := cloud.Errorf(cloud.Invalid, "Keypair data is invalid: failed to generate fingerprint")
	line = strings.TrimRight(line, "\r\n")
	if len(line) > maxPublicKey || !api.Line(strings.ReplaceAll(line, "\t", " ")) {
		return "", bad
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(rest) > 0 || !strings.HasPrefix(line, key.Type()) {
		return "", bad
	}
	return colons(md5.Sum(key.Marshal())), nil
}

func colons(sum [md5.Size]byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":")
}
