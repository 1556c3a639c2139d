// Package openstack puts each host part beside the real OpenStack that it can
// replace alone: the same instances ask through chains of Neutron's, Nova's and
// Imprint's parts, in namespaces that Neutron made, and must be told the same.
//
// The tests and benchmarks have the build tag openstack and run on the machine
// that ./machine starts: make test-openstack, make bench-openstack.
package openstack
