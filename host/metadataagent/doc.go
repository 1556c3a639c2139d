// Package metadataagent answers "which instance is asking?": it takes metadata
// requests from the namespace proxy on a unix socket, finds the port and with
// it the instance behind the sender's address, signs, and forwards to the
// metadata service. It does neutron-metadata-agent's work (neutron:
// agent/metadata/agent.py, 21.0.0) on a [cloud.Slice] in memory.
//
// It departs from Neutron's agent where that was too trusting or too vague: an
// unknown router finds nothing (there: any network), a DHCP port or a router's
// leg is no instance, statuses of the service pass as they are, and a service
// that is away is 503 with Retry-After instead of 500.
package metadataagent
