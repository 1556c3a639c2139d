package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/go-crypt/x/yescrypt"
)

// passwordSetting is yescrypt's own default cost: 16 MiB and some 30 ms.
const passwordSetting = "$y$j9T$"

// HashPassword returns the crypt(3) string of a password.
func HashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	h, err := yescrypt.Hash([]byte(password), []byte(passwordSetting+string(yescrypt.Encode64(salt))))
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(h), nil
}

// passwordMatches computes the hash even when it can only fail, so that the
// time tells nothing.
func passwordMatches(hash, password string) bool {
	setting := hash
	if i := strings.LastIndexByte(hash, '$'); i > 0 {
		setting = hash[:i]
	}
	h, err := yescrypt.Hash([]byte(password), []byte(setting))
	return err == nil && subtle.ConstantTimeCompare(h, []byte(hash)) == 1
}
