// Package metadataagent answers "which instance is asking?": it takes metadata
// requests from the namespace proxy on a unix socket, finds the port and with
// it the instance behind the sender's address, signs, and forwards to the
// metadata service. It does neutron-metadata-agent's work (neutron:
// agent/metadata/agent.py, 21.0.0) on a [cloud.Slice] in memory, or on what
// another [Ports] knows.
//
// It departs from Neutron's agent where that was too trusting or too vague: an
// unknown router finds nothing (there: any network), a DHCP port or a router's
// leg is no instance, ids that occur several times are refused, of several
// addresses the last counts (there: 500), and who asks too much is told so.
// Statuses and some headers of the service pass as they are, and a service
// that is away is 503 with Retry-After; with [Config.NeutronForm] they become
// what Neutron makes of them.
package metadataagent
