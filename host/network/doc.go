// Package network is the role that keeps networks, subnets, ports and routers,
// and hands out addresses. It speaks Neutron's API v2.0 (21.0.0) as far as the
// stock client needs it; another role uses it through [Role.AddPorts] and its
// neighbours.
//
// Whatever is decided on the things of a network (an address, a subnet, its
// removal) writes the network's record too, so that of two decisions that
// passed each other one is made again. The addresses themselves are claims of
// the ports.
package network
