package enroll

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"imprint/host/cloud"
)

// Limits of tokens.
const (
	// MaxTokenLifetime bounds how long a token may wait for its node.
	MaxTokenLifetime = 7 * 24 * time.Hour
	maxTokens        = 1000
)

// promise is what a token is good for. It is the file tokens/<id>.json as long
// as the token was not used.
type promise struct {
	Node    string     `json:"node"`
	Roles   []NodeRole `json:"roles"`
	Expires time.Time  `json:"expires"`
}

// errToken does not tell a token that was used from one that never was.
var errToken = &cloud.Error{Kind: cloud.Forbidden, Text: "the token is not valid: it was used, has expired, or was never given out"}

// NewToken returns a token that makes its first user the node with this name
// and these roles, one at least. It expires after lifetime, which is positive
// and at most [MaxTokenLifetime]. A node that was revoked is let in again by it.
func (a *Authority) NewToken(node string, roles []NodeRole, lifetime time.Duration) (Token, error) {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	switch {
	case !nodeName.MatchString(node):
		return Token{}, cloud.Errorf(cloud.Invalid, "%q is not a name of letters, digits, dots and dashes", node)
	case len(roles) == 0 || slices.ContainsFunc(roles, func(r NodeRole) bool { return !r.valid() }):
		return Token{}, cloud.Errorf(cloud.Invalid, "roles %q of node %s: one or more of network, compute, metadata-agent are wanted", roles, node)
	case lifetime <= 0 || lifetime > MaxTokenLifetime:
		return Token{}, cloud.Errorf(cloud.Invalid, "a token lives for a time up to %v, not %v", MaxTokenLifetime, lifetime)
	}
	t := newToken(pinOf(a.cert))
	if err := a.keep(t, promise{node, roles, a.options.Now().Add(lifetime).UTC()}); err != nil {
		return Token{}, fmt.Errorf("new token for node %s: %w", node, err)
	}
	a.options.Log.Info("token given out", "node", node, "roles", roles, "lifetime", lifetime)
	return t, nil
}

func (a *Authority) keep(t Token, p promise) error {
	lock, err := lockDir(a.options.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	err = os.Mkdir(filepath.Join(a.options.Dir, tokensDir), 0o700)
	if err == nil {
		err = syncDir(a.options.Dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	left, err := a.dropTokens(func(old promise) bool { return !a.options.Now().Before(old.Expires) })
	if err != nil {
		return err
	}
	if left >= maxTokens {
		return cloud.Errorf(cloud.Conflict, "%d tokens wait to be used already", left)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeFile(a.tokenFile(t), data, 0o600)
}

func (a *Authority) tokenFile(t Token) string {
	return filepath.Join(a.options.Dir, tokensDir, t.id()+".json")
}

// dropTokens removes the tokens that drop wants gone, and what cannot be read;
// it returns the number of the others. The caller holds the lock.
func (a *Authority) dropTokens(drop func(promise) bool) (left int, err error) {
	dir := filepath.Join(a.options.Dir, tokensDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if p, err := readPromise(path); err == nil && filepath.Ext(path) == ".json" && !drop(p) {
			left++
			continue
		}
		if err := os.Remove(path); err != nil {
			return 0, err
		}
	}
	return left, syncDir(dir)
}

func readPromise(path string) (promise, error) {
	data, _, err := readFile(path, true)
	if err != nil {
		return promise{}, err
	}
	var p promise
	if err := json.Unmarshal(data, &p); err != nil {
		return promise{}, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}

// take uses t up. The caller holds the lock; when take returns, the use is on
// disk, so that no crash brings the token back.
func (a *Authority) take(t Token) (promise, error) {
	path := a.tokenFile(t)
	p, err := readPromise(path)
	if errors.Is(err, fs.ErrNotExist) {
		return promise{}, errToken
	}
	if err != nil {
		return promise{}, err
	}
	if err := errors.Join(os.Remove(path), syncDir(filepath.Dir(path))); err != nil {
		return promise{}, fmt.Errorf("use token of node %s: %w", p.Node, err)
	}
	if !a.options.Now().Before(p.Expires) {
		return promise{}, errToken
	}
	return p, nil
}

// redeem takes a token and returns the certificate that it is good for.
func (a *Authority) redeem(t Token, key crypto.PublicKey) ([]byte, Peer, error) {
	lock, err := lockDir(a.options.Dir)
	if err != nil {
		return nil, Peer{}, err
	}
	defer lock.Close()
	generations, err := a.revoked.file.get()
	if err != nil {
		return nil, Peer{}, err
	}
	promised, err := a.take(t)
	if err != nil {
		return nil, Peer{}, err
	}
	p := Peer{Node: promised.Node, Roles: promised.Roles, Generation: generations[promised.Node]}
	der, err := a.sign(key, p, hostNames{})
	return der, p, err
}
