// Package dhcp is DHCP as both ends of an instance's wire speak it: a server
// that answers from a value, and a client for an interface without an address.
//
// It speaks DHCPv4 (RFC 2131, 2132, 3396, 3442, 6842). The server part decides
// in [Network.Reply] without doing any I/O; [Serve] carries its answers over a
// socket that [OpenServer] opened. What it offers, and in which order, follows
// dnsmasq 2.90 as Neutron 21.0.0 configures it.
//
// Nothing here enters a network namespace: sockets belong to the namespace of
// the thread that opens them.
package dhcp
