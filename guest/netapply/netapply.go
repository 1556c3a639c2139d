// Package netapply makes a network configuration that of the running system:
// links up, leases acquired, addresses, routes and name servers set.
package netapply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"imprint/base/dhcp"
	"imprint/base/rootfs"
	"imprint/guest/netstate"
)

// DefaultWait is how long a link may take to get its lease.
const DefaultWait = 20 * time.Second

// Acquirer gets leases; *dhcp.Client is one.
type Acquirer interface {
	Acquire(ctx context.Context, ifname string) (dhcp.Lease, error)
}

// Applier applies configurations to the network namespace of the thread that
// calls it. It does not change its fields; one goroutine at a time uses it.
type Applier struct {
	// Root gets resolv.conf; nil leaves name resolution alone.
	Root *rootfs.Root
	// DHCP nil means a plain client.
	DHCP Acquirer
	// Wait bounds one link's wait for a lease; zero means DefaultWait.
	Wait time.Duration
	// Log nil discards.
	Log *slog.Logger
}

// Result is what came of a configuration.
type Result struct {
	Leases []dhcp.Lease
	// DNS and Search are what resolv.conf was given: those of leases first.
	DNS    []netip.Addr
	Search []string
}

// Up makes the links of s what s says: exactly these addresses and routes,
// besides the kernel's own and what IPv6 learned from advertisements. Leases have no end here: nobody stays behind to renew them, and an
// address is its port's for as long as that lives.
//
// A link that fails keeps no other from coming up; the errors are joined.
// Bonds, VLANs and DHCPv6 are such failures. Doing it again changes nothing
// that is right already.
func (a *Applier) Up(ctx context.Context, s *netstate.State) (Result, error) {
	var r Result
	k, err := openKernel()
	if err != nil {
		return r, err
	}
	defer k.Close()
	errs := []error{k.setUp("lo", 0)}
	taken := map[netip.Prefix]bool{}
	for _, l := range s.Links {
		if l.Type == netstate.Loopback {
			continue
		}
		leases, err := a.link(ctx, k, l, taken)
		if err != nil {
			errs = append(errs, fmt.Errorf("bring up %s: %w", l.Name, err))
		}
		r.Leases = append(r.Leases, leases...)
	}
	r.names(s)
	return r, errors.Join(append(errs, a.resolver(r))...)
}

// Down takes addresses and routes off the links of s and leaves them up. A
// link that is not there is no error.
func (a *Applier) Down(s *netstate.State) error {
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.Close()
	var errs []error
	for _, l := range s.Links {
		err := k.setRoutes(l.Name, nil)
		if err == nil {
			err = k.setAddrs(l.Name, nil)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("take down %s: %w", l.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Applier) log() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log
}

// names collects the name servers of leases, then of the configuration.
func (r *Result) names(s *netstate.State) {
	for _, l := range r.Leases {
		r.DNS = append(r.DNS, l.DNS...)
		if len(l.Search) > 0 {
			r.Search = append(r.Search, l.Search...)
		} else if l.Domain != "" {
			r.Search = append(r.Search, l.Domain)
		}
	}
	for _, l := range s.Links {
		for _, sub := range l.Subnets {
			r.DNS, r.Search = append(r.DNS, sub.DNS...), append(r.Search, sub.Search...)
		}
	}
	r.DNS, r.Search = unique(append(r.DNS, s.DNS...)), unique(append(r.Search, s.Search...))
}

func unique[T comparable](list []T) []T {
	var out []T
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
