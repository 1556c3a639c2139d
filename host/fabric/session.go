package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/base/netdev"
	"imprint/base/netns"
)

// Groups of the links that are ours. A link gets one in the moment that it is
// made, so a link of ours whose mark is still missing is known by it.
const (
	groupOurs    = 0x696d7000 // what instances send through it is checked
	groupTrusted = groupOurs + 1
)

// session is one locked use of the fabric's namespace.
type session struct {
	*Fabric
	ns *netns.NS
	h  *netdev.Handle
}

// lock excludes all other users of the fabric's state, in this process and in
// others, until unlock.
func (f *Fabric) lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.owned.dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock fabric: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(f.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock fabric: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock fabric: %w", err)
	}
	return func() { file.Close() }, nil
}

// with calls do with a session. Without create, a fabric that does not exist
// is left alone and do is not called.
func (f *Fabric) with(create bool, do func(*session) error) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ns, err := f.openNamespace(create)
	if !create && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fabric: %w", err)
	}
	defer ns.Close()
	h, err := netdev.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return do(&session{f, ns, h})
}

func (f *Fabric) openNamespace(create bool) (*netns.NS, error) {
	if !create {
		return f.owned.open(f.Namespace())
	}
	ns, _, err := f.owned.ensure(f.Namespace())
	if err != nil {
		return nil, err
	}
	if err := silence(ns); err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// silence keeps the namespace from taking part in the networks it carries, and
// frames from visiting rules for IP packets on their way over a bridge.
func silence(ns *netns.NS) error {
	var failed error
	for _, key := range []string{"ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"} {
		failed = errors.Join(failed, ns.SetSysctlIfKnown(key, "1"))
	}
	for _, key := range []string{"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables", "bridge/bridge-nf-call-arptables"} {
		failed = errors.Join(failed, ns.SetSysctlIfKnown(key, "0"))
	}
	return failed
}

// mark is the alias of what belongs to id.
func (f *Fabric) mark(kind, id string) string { return f.maker + ":" + kind + ":" + id }

// unmark is mark's inverse for kind.
func (f *Fabric) unmark(kind, alias string) (id string, ok bool) {
	return strings.CutPrefix(alias, f.mark(kind, ""))
}

// unfinished reports whether l is ours and was left without its mark.
func unfinished(l netdev.Link) bool {
	return l.Alias == "" && (l.Group == groupOurs || l.Group == groupTrusted)
}

// find looks for the link that mark belongs to: [netdev.ErrNotFound], or
// [ErrForeign] when the name belongs to something else.
func (s *session) find(name, mark string) (netdev.Link, error) {
	l, err := s.h.Link(name)
	if err == nil && l.Alias != mark && !unfinished(l) {
		err = fmt.Errorf("link %s in namespace %s, marked %q and not %q: %w", name, s.ns.Name(), l.Alias, mark, ErrForeign)
	}
	return l, err
}
