// Package neutron answers the metadata agent's look-ups out of a real Neutron,
// over its REST API, as a service user. Neutron's own agent asks over its
// message bus (neutron: agent/metadata/agent.py, 21.0.0).
//
// What was found is kept for seconds, made new before it is old while it is
// asked for, and kept longer while Neutron does not answer. For one key there
// is one request under way at a time.
package neutron
