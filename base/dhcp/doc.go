// Package dhcp is DHCP as both ends of an instance's wire speak it: a server
// that answers from a value, and a client for an interface without an address.
//
// It speaks DHCPv4 (RFC 2131, 2132, 3396, 3442, 6842), DHCPv6 (RFC 8415) as a
// server, and sends router advertisements (RFC 4861, 8106). A server decides
// in [Network.Reply] or [Network6.Reply] without doing any I/O; [Serve] and
// [Serve6] carry its answers over sockets that [OpenServer] and [OpenServer6]
// opened. What it offers, and in which order, follows dnsmasq 2.90 as Neutron
// 21.0.0 configures it.
//
// Nothing here enters a network namespace: sockets belong to the namespace of
// the thread that opens them.
package dhcp
