// Package enroll says who may be a node or a role: a certificate authority,
// one-time tokens, certificates, and the client and server TLS settings made
// from them.
//
// An identity is in the certificate's URI names (RFC 5280 4.2.1.6) and nowhere
// else: imprint:node:<name> with imprint:node-role:<role> for each of the
// node's roles and imprint:node-generation:<number>, or imprint:role:<role> for
// a service. A service is known by its role, so host names in certificates are
// only for other programs. A node's certificate cannot serve.
//
// A node's operator gets a token from the authority. It has a secret, of which
// the authority keeps the hash and which it takes once, and the fingerprint of
// the authority, so that the node knows it before it sends the secret (the way
// of kubeadm's discovery hash). The node's key never leaves it.
//
// To revoke a node is to raise its generation: certificates of lower ones are
// refused, and a new token gives the node a certificate of the present one. No
// clock has a part in it.
package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Role is what a service does.
type Role string

// The roles of services.
const (
	Store    Role = "store"
	API      Role = "api" // it has the authority too
	Metadata Role = "metadata"
)

// NodeRole is what a node does.
type NodeRole string

// The roles of nodes.
const (
	NetworkNode   NodeRole = "network"
	ComputeNode   NodeRole = "compute"
	MetadataAgent NodeRole = "metadata-agent"
)

func (r Role) valid() bool { return r == Store || r == API || r == Metadata }

func (r NodeRole) valid() bool {
	return r == NetworkNode || r == ComputeNode || r == MetadataAgent
}

// nodeName is the form of a node's name; host/config accepts no other.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?$`)

// Peer is who a certificate speaks for: a node, or a service.
type Peer struct {
	// Node is the node's name, "" for a service.
	Node string
	// Roles of the node, in order and each once.
	Roles []NodeRole
	// Generation of the node, 0 or more.
	Generation int64
	// Role of the service, "" for a node.
	Role Role
	// NotAfter is when the certificate expires.
	NotAfter time.Time
}

// String returns the peer's name for logs.
func (p Peer) String() string {
	if p.Node == "" {
		return "service " + string(p.Role)
	}
	return "node " + p.Node
}

// PeerOf returns who is at the other end of a connection whose certificate was
// verified, which is so for all that a config of this package accepted as a
// server. Whether it was revoked since, [Revocations.Check] says.
func PeerOf(state tls.ConnectionState) (Peer, error) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return Peer{}, errors.New("peer has no verified certificate")
	}
	return peerOf(state.VerifiedChains[0][0])
}

// NodeOf returns the name and roles of the node at the other end, as [PeerOf]
// does; a service is an error.
func NodeOf(state tls.ConnectionState) (string, []NodeRole, error) {
	p, err := PeerOf(state)
	if err == nil && p.Node == "" {
		err = fmt.Errorf("%s is no node", p)
	}
	if err != nil {
		return "", nil, err
	}
	return p.Node, p.Roles, nil
}

// RoleOf returns the role of the service at the other end, as [PeerOf] does; a
// node is an error.
func RoleOf(state tls.ConnectionState) (Role, error) {
	p, err := PeerOf(state)
	if err == nil && p.Role == "" {
		err = fmt.Errorf("%s is no service", p)
	}
	if err != nil {
		return "", err
	}
	return p.Role, nil
}

func peerOf(c *x509.Certificate) (Peer, error) {
	names := make([]string, len(c.URIs))
	for i, u := range c.URIs {
		names[i] = u.String()
	}
	p, err := parseNames(names)
	if err != nil {
		return Peer{}, fmt.Errorf("identity in certificate: %w", err)
	}
	p.NotAfter = c.NotAfter
	return p, nil
}

const scheme = "imprint"

// parseNames accepts exactly what [Peer.names] makes, in any order.
func parseNames(names []string) (Peer, error) {
	var p Peer
	seen := map[string]bool{}
	for _, name := range names {
		kind, value, _ := strings.Cut(strings.TrimPrefix(name, scheme+":"), ":")
		if kind != "node-role" && seen[kind] || !strings.HasPrefix(name, scheme+":") {
			return Peer{}, fmt.Errorf("name %.300q is unexpected", name)
		}
		seen[kind] = true
		if !p.take(kind, value) {
			return Peer{}, fmt.Errorf("name %.300q is not understood", name)
		}
	}
	if seen["node"] == seen["role"] || seen["node"] != seen["node-generation"] || len(p.Roles) > 0 != seen["node"] {
		return Peer{}, errors.New("it is neither a node's nor a service's")
	}
	slices.Sort(p.Roles)
	return p, nil
}

func (p *Peer) take(kind, value string) bool {
	switch kind {
	case "node":
		p.Node = value
		return nodeName.MatchString(value)
	case "node-role":
		known := slices.Contains(p.Roles, NodeRole(value))
		p.Roles = append(p.Roles, NodeRole(value))
		return NodeRole(value).valid() && !known
	case "node-generation":
		n, err := strconv.ParseInt(value, 10, 64)
		p.Generation = n
		return err == nil && n >= 0 && strconv.FormatInt(n, 10) == value
	case "role":
		p.Role = Role(value)
		return p.Role.valid()
	}
	return false
}

// names returns the URIs that a certificate of p has.
func (p Peer) names() []*url.URL {
	name := func(kind, value string) *url.URL {
		return &url.URL{Scheme: scheme, Opaque: kind + ":" + value}
	}
	if p.Node == "" {
		return []*url.URL{name("role", string(p.Role))}
	}
	all := []*url.URL{name("node", p.Node), name("node-generation", strconv.FormatInt(p.Generation, 10))}
	for _, r := range p.Roles {
		all = append(all, name("node-role", string(r)))
	}
	return all
}
