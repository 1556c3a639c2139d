package distro

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-crypt/x/yescrypt"
)

// saltBytes is the length of a salt; crypt(5) recommends 128 bits.
const saltBytes = 16

// SetPassword sets the hash of users' passwords and unlocks them, all in one
// change. The value is a crypt(3) hash or, when plain, the password itself,
// which is hashed as Debian's PAM does: yescrypt at cost 5 ("$y$j9T$").
func (d *Distro) SetPassword(plain bool, passwords map[string]string) error {
	hashes := make(map[string]string, len(passwords))
	for user, password := range passwords {
		hashes[user] = password
		if !plain {
			continue
		}
		hash, err := d.hash(password)
		if err != nil {
			return fmt.Errorf("hash password of %s: %w", user, err)
		}
		hashes[user] = hash
	}
	return d.edit(func(a *accounts) error {
		for user, hash := range hashes {
			if err := a.changeShadow(user, func(f []string) {
				f[1], f[2] = hash, strconv.Itoa(d.today())
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// LockPassword puts a "!" before the hash: no password opens the account.
func (d *Distro) LockPassword(user string) error {
	return d.edit(func(a *accounts) error {
		return a.changeShadow(user, func(f []string) {
			if !strings.HasPrefix(f[1], "!") {
				f[1] = "!" + f[1]
			}
		})
	})
}

// ExpirePassword makes user choose a new password at the next login.
func (d *Distro) ExpirePassword(user string) error {
	return d.edit(func(a *accounts) error {
		return a.changeShadow(user, func(f []string) { f[2] = "0" })
	})
}

// RandomPassword returns a password of 20 characters without ones that look
// alike. cloud-init: cc_set_passwords.py PW_SET.
func (d *Distro) RandomPassword() (string, error) {
	const set = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	const limit = 256 - 256%len(set)
	password := make([]byte, 0, 20)
	var b [1]byte
	for len(password) < cap(password) {
		if _, err := io.ReadFull(d.Rand, b[:]); err != nil {
			return "", fmt.Errorf("random password: %w", err)
		}
		if int(b[0]) < limit {
			password = append(password, set[int(b[0])%len(set)])
		}
	}
	return string(password), nil
}

// changeShadow applies change to the user's nine fields.
func (a *accounts) changeShadow(user string, change func(fields []string)) error {
	if i, _ := a.passwd.find(user); i < 0 {
		return fmt.Errorf("user %q does not exist", user)
	}
	_, f := a.shadow.find(user)
	if f == nil {
		f = []string{user, "!"}
	}
	for len(f) < 9 {
		f = append(f, "")
	}
	change(f)
	return a.shadow.set(f...)
}

func (d *Distro) hash(password string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(d.Rand, salt); err != nil {
		return "", err
	}
	setting := "$y$j9T$" + string(yescrypt.Encode64(salt))
	hash, err := yescrypt.Hash([]byte(password), []byte(setting))
	if err != nil {
		return "", err
	}
	return string(hash), nil
}
