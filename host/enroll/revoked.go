package enroll

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"imprint/host/cloud"
)

// Revocations knows the nodes that were revoked: a file of names and the
// generation that certificates must have since. It is read again whenever it
// has changed; while it cannot be read, every node is refused, by a nil list
// too. Safe for concurrent use.
type Revocations struct {
	file cached[map[string]int64]
	now  func() time.Time
}

// OpenRevocations returns the list in a file that an authority keeps
// ([Options].Revoked).
func OpenRevocations(path string) (*Revocations, error) {
	r := &Revocations{file: cached[map[string]int64]{path: path, parse: parseRevocations}, now: time.Now}
	if _, err := r.file.get(); err != nil {
		return nil, fmt.Errorf("open list of revoked nodes: %w", err)
	}
	return r, nil
}

func parseRevocations(data []byte) (map[string]int64, error) {
	var list map[string]int64
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errors.New("there is no list")
	}
	return list, nil
}

// createRevocations makes an empty list where there is none.
func createRevocations(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(path, []byte("{}\n"), 0o644)
	}
	return err
}

// Check returns who is at the other end of a verified connection if its
// certificate is good at this moment: not expired, not revoked. Who serves
// connections that live for long asks again from time to time.
func (r *Revocations) Check(state tls.ConnectionState) (Peer, error) {
	p, err := PeerOf(state)
	if err != nil {
		return Peer{}, err
	}
	if !r.clock().Before(p.NotAfter) {
		return Peer{}, cloud.Errorf(cloud.Forbidden, "the certificate of %s has expired", p)
	}
	return p, r.check(p)
}

func (r *Revocations) clock() time.Time {
	if r == nil {
		return time.Now()
	}
	return r.now()
}

func (r *Revocations) check(p Peer) error {
	if p.Node == "" {
		return nil
	}
	if r == nil {
		return cloud.Errorf(cloud.Forbidden, "%s has nothing to do here", p)
	}
	list, err := r.file.get()
	if err != nil {
		return fmt.Errorf("list of revoked nodes: %w", err)
	}
	if p.Generation < list[p.Node] {
		return cloud.Errorf(cloud.Forbidden, "%s was revoked", p)
	}
	return nil
}

// Node returns the name of the node at the other end of a TLS connection, with
// [Revocations.Check]; the first call shakes hands, within the deadline that
// the connection has.
func (r *Revocations) Node(c net.Conn) (string, error) {
	t, ok := c.(*tls.Conn)
	if !ok {
		return "", fmt.Errorf("%T is no TLS connection", c)
	}
	if err := t.Handshake(); err != nil {
		return "", err
	}
	p, err := r.Check(t.ConnectionState())
	if err == nil && p.Node == "" {
		err = fmt.Errorf("%s is no node", p)
	}
	if err != nil {
		return "", err
	}
	return p.Node, nil
}

// Revoke refuses from now on every certificate that node has and every token
// that waits for it. When it returns, the list is on disk.
func (a *Authority) Revoke(node string) error {
	if !nodeName.MatchString(node) {
		return cloud.Errorf(cloud.Invalid, "%q is not the name of a node", node)
	}
	if err := a.revoke(node); err != nil {
		return fmt.Errorf("revoke node %s: %w", node, err)
	}
	a.options.Log.Info("node revoked", "node", node)
	return nil
}

func (a *Authority) revoke(node string) error {
	lock, err := lockDir(a.options.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	old, err := a.revoked.file.get()
	if err != nil {
		return err
	}
	list := maps.Clone(old)
	list[node]++
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	if _, err := a.dropTokens(func(p promise) bool { return p.Node == node }); err != nil {
		return err
	}
	return writeFile(filepath.Clean(a.options.Revoked), append(data, '\n'), 0o644)
}
