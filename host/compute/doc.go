// Package compute is the role that keeps servers, key pairs and flavors. It
// speaks Nova's API v2.1 with microversions 2.1 to 2.93 (26.2.2) as far as the
// stock client needs it, places servers on nodes, and takes the nodes' reports.
//
// What a server needs of the network it asks of [Ports]; both are written in
// one transaction, so that there is never a server without its ports or a port
// of a server that was not made.
package compute
