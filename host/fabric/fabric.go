// Package fabric is the bridges of a node and what is plugged into them. It is
// a library of the agents.
//
// All bridges and the outer ends of all ports lie in a namespace of their own
// that has no address, no IPv6 and no way to the host: an instance reaches
// what is plugged into its network and nothing else. What an instance sends
// must carry its own addresses.
package fabric

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"imprint/base/netns"
	"imprint/host/cloud"
)

// ErrForeign says that something of the wanted name exists that Imprint, or
// this one of several Imprints, has not made. It is not touched.
var ErrForeign = errors.New("made by someone else")

// Class says who plugs a port; each agent looks after the ports of its own.
type Class string

// The classes of ports.
const (
	Instance Class = "instance"
	Router   Class = "router"
	DHCP     Class = "dhcp"
)

// ClassOf returns the class of a port by its owner.
func ClassOf(p cloud.DesiredPort) Class {
	switch p.Owner {
	case cloud.OwnerDHCP:
		return DHCP
	case cloud.OwnerRouterInterface, cloud.OwnerRouterGateway:
		return Router
	}
	return Instance // the class that is trusted with nothing
}

// Config is where a fabric keeps what it makes.
type Config struct {
	// Prefix goes before the names of all namespaces, the fabric's own
	// (<Prefix>imprint-fabric) among them, and before all marks
	// (<Prefix>imprint:<kind>:<id>). Several Imprints on one machine differ in
	// it. At most 16 letters, digits and dashes.
	Prefix string
	// StateDir is an existing directory, closed to others, for the record of
	// what is ours and for the lock that the agents of a node share.
	StateDir string
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9-]{0,16}$`)

// Fabric is safe for concurrent use, also by several processes of a node that
// share a Config.
type Fabric struct {
	log    *slog.Logger
	prefix string // of names
	maker  string // the first part of marks
	dir    string
	owned  owned
}

// New checks cfg; it changes nothing yet. A nil log discards.
func New(cfg Config, log *slog.Logger) (*Fabric, error) {
	if !prefixForm.MatchString(cfg.Prefix) {
		return nil, fmt.Errorf("fabric: prefix %q is not %s", cfg.Prefix, prefixForm)
	}
	if info, err := os.Stat(cfg.StateDir); err != nil {
		return nil, fmt.Errorf("fabric: state directory: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("fabric: state directory %s is not a directory", cfg.StateDir)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir := filepath.Join(cfg.StateDir, "fabric")
	return &Fabric{log: log, prefix: cfg.Prefix, maker: cfg.Prefix + "imprint", dir: dir, owned: owned{filepath.Join(dir, "netns")}}, nil
}

// Check reports [ErrForeign] when others have made a namespace of the fabric's
// name. It changes nothing in the kernel.
func (f *Fabric) Check() error {
	return f.with(false, func(*session) error { return nil })
}

// Namespace is the name of the fabric's own namespace.
func (f *Fabric) Namespace() string { return f.maker + "-fabric" }

// Name is the name that a namespace called name has in this Imprint.
func (f *Fabric) Name(name string) string { return f.prefix + name }

// Plug is a port to be plugged.
type Plug struct {
	Port   cloud.DesiredPort
	MTU    int       // of the network, in bytes
	Target *netns.NS // where the port's own end goes; stays the caller's
	Name   string    // of that end: eth0, qr-…, qg-…, ns-…; see [PortLink]
}

// PortLink returns the name of a port's own end in a namespace of an agent:
// qr-<id> in a router's, qg-<id> for its gateway, ns-<id> in a DHCP server's.
func PortLink(p cloud.DesiredPort) string {
	switch {
	case p.Owner == cloud.OwnerRouterGateway:
		return "qg-" + cloud.Short(p.ID)
	case ClassOf(p) == Router:
		return "qr-" + cloud.Short(p.ID)
	}
	return "ns-" + cloud.Short(p.ID)
}
