// Package nsproxy is the way out of the namespaces: one process without
// privileges that takes instances' metadata requests on listeners inside
// router and DHCP namespaces, and passes them to the metadata agent on a unix
// socket. It does what one haproxy per namespace does for Neutron (neutron:
// agent/metadata/driver.py, 21.0.0).
//
// The privileged agents open the listeners and hand them over (package
// daemon). The item's key says where they are:
//
//	router/<router id>     redirected requests in a router's namespace
//	network/<network id>   169.254.169.254 in a DHCP namespace
//
// with one to [daemon.MaxFiles] listening TCP sockets. The item's data is not
// read; it is kept and listed for its owner. A proxy gives its sockets to the
// one that comes after it; see [Proxy.Close].
//
// What instances send is hostile until proven otherwise. Of their headers none
// passes that any hop could trust; the sender's address, the router's or
// network's id and a fresh trace id are set here and only here. The agent may
// go away and come back: requests get 503 meanwhile, listeners stay.
//
// [RunAlone] serves one namespace without an owner, as Neutron's agents start
// a proxy.
package nsproxy
