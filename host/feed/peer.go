package feed

import (
	"errors"
	"fmt"
	"net"

	"imprint/host/cloud"
)

// Peer is who is at the other end of a connection: a node, or a part of one. It
// is compared with ==.
type Peer struct {
	// Node is the node's name, never "".
	Node string
	// Parts are those that the connection speaks for, at least one.
	Parts Parts
}

// Parts of a node. Each may run as a process of its own, with a certificate for
// it alone, and gets and tells nothing of the others. The zero value is no
// part, which no peer is let in with. It is compared with ==.
type Parts struct {
	Network  bool // routers and DHCP; reports ports
	Compute  bool // instances; reports them and their ports, and answers questions
	Metadata bool // the metadata agent; reports nothing
}

// key tells peers apart where their connections are counted.
func (p Peer) key() string { return fmt.Sprintf("%s %v", p.Node, p.Parts) }

// mayReport returns why r is not for p to tell, nil when it is.
func (p Peer) mayReport(r *cloud.Report) error {
	switch {
	case r == nil || (r.Instance == nil) == (r.Port == nil):
		return errors.New("a report is of one instance or one port")
	case r.Instance != nil && !p.Parts.Compute:
		return fmt.Errorf("node %s reports instances by its compute part only", p.Node)
	case r.Port != nil && !p.Parts.Compute && !p.Parts.Network:
		return fmt.Errorf("node %s reports ports by its network or compute part only", p.Node)
	}
	return nil
}

// identified asks identify and checks what it says.
func identified(c net.Conn, identify func(net.Conn) (Peer, error)) (Peer, error) {
	peer, err := identify(c)
	if err == nil && peer.Node == "" {
		err = errors.New("it has no name")
	}
	if err != nil {
		return Peer{}, fmt.Errorf("identify node: %w", err)
	}
	return peer, nil
}
