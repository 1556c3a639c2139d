// Package netdev lists the links, addresses and routes of a network
// namespace, and makes them what they should be: only the difference is
// touched, so doing it again changes nothing.
//
// Whoever makes links marks them by an alias; see [Link.Alias].
package netdev

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"imprint/base/netns"
)

// ErrNotFound says that there is no such link.
var ErrNotFound = errors.New("link not found")

// Handle speaks to the kernel about one namespace. It may be used from any
// thread, by one goroutine at a time.
type Handle struct {
	nl *netlink.Handle
	ns string
}

// Open returns a handle on ns, which may be closed while the handle lives.
func Open(ns *netns.NS) (*Handle, error) {
	nl, err := netlink.NewHandleAt(vnetns.NsHandle(ns.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink in namespace %s: %w", ns.Name(), err)
	}
	if err := nl.SetSocketTimeout(10 * time.Second); err != nil {
		nl.Close()
		return nil, fmt.Errorf("open netlink in namespace %s: %w", ns.Name(), err)
	}
	return &Handle{nl: nl, ns: ns.Name()}, nil
}

// Close gives the handle up.
func (h *Handle) Close() { h.nl.Close() }

const dumpAttempts = 20

// dump repeats a listing that a concurrent change interrupted.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for attempt := 1; ; attempt++ {
		all, err := list()
		if attempt == dumpAttempts || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}

func (h *Handle) wrap(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s in namespace %s: %w", verb, name, h.ns, err)
}
