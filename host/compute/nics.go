package compute

import (
	"errors"
	"strconv"

	"github.com/google/uuid"

	"imprint/host/cloud"
)

// madePort is the id of the port that is made for NIC number i of a server. It
// follows from the server's id, so that it can be told from a port that the
// user brought, which outlives the server.
func madePort(id cloud.ServerID, i int) cloud.PortID {
	space := uuid.NewSHA1(uuid.NameSpaceOID, []byte(id))
	return cloud.PortID(uuid.NewSHA1(space, []byte(strconv.Itoa(i))).String())
}

// made reports whether a port was made for the server.
func made(id cloud.ServerID) func(cloud.PortID) bool {
	return func(p cloud.PortID) bool {
		for i := range maxNICs {
			if p == madePort(id, i) {
				return true
			}
		}
		return false
	}
}

// wanted returns the NICs of a form, those that it leaves to us included.
func (r *Role) wanted(m *cloud.Model, c cloud.Caller, f *serverForm) ([]nic, error) {
	switch f.networks {
	case "list":
		return f.nics, checkNICs(m, c, f.nics)
	case "none":
		return nil, nil
	}
	networks := r.ports.NetworksOf(m, c)
	switch {
	case len(networks) > 1:
		return nil, cloud.Errorf(cloud.Conflict, "Multiple possible networks found, use a Network ID to be more specific.")
	case len(networks) == 0 && f.networks == "auto":
		return nil, cloud.Errorf(cloud.Invalid, "Unable to automatically allocate a network for project %s", c.ProjectID)
	case len(networks) == 0:
		return nil, nil
	}
	nics := []nic{{network: networks[0].NetworkID}}
	return nics, checkNICs(m, c, nics)
}

// checkNICs refuses networks that are not there or give no address.
func checkNICs(m *cloud.Model, c cloud.Caller, nics []nic) error {
	for _, n := range nics {
		if n.port != "" {
			continue
		}
		network := m.Networks[n.network]
		if network == nil || !(c.Sees(network.ProjectID) || network.Shared) {
			return cloud.Errorf(cloud.Invalid, "Network %s could not be found.", n.network)
		}
		if len(m.SubnetsOf(n.network)) == 0 {
			return cloud.Errorf(cloud.Invalid, "Network %s requires a subnet in order to boot instances on.", n.network)
		}
	}
	return nil
}

// plug returns the transaction that gives server s its NICs.
func (r *Role) plug(m *cloud.Model, c cloud.Caller, s *cloud.Server, nics []nic) (cloud.Txn, error) {
	owner := cloud.OwnerComputePrefix + s.AvailabilityZone
	var add []*cloud.Port
	var bind []cloud.PortID
	s.Ports = []cloud.PortID{}
	for i, n := range nics {
		if n.port != "" {
			s.Ports, bind = append(s.Ports, n.port), append(bind, n.port)
			continue
		}
		p := &cloud.Port{PortID: madePort(s.ServerID, i), NetworkID: n.network, ProjectID: s.ProjectID,
			DeviceID: string(s.ServerID), DeviceOwner: owner, Host: s.Host}
		if n.wish.Addr.IsValid() {
			p.FixedIPs = []cloud.FixedIP{n.wish}
		}
		s.Ports, add = append(s.Ports, p.PortID), append(add, p)
	}
	added, err := r.ports.AddPorts(m, c, add...)
	if err != nil {
		return cloud.Txn{}, portError(err)
	}
	bound, err := r.ports.BindPorts(m, c, string(s.ServerID), owner, s.Host, bind...)
	if err != nil {
		return cloud.Txn{}, portError(err)
	}
	return join(added, bound), nil
}

func join(a, b cloud.Txn) cloud.Txn {
	return cloud.Txn{Put: append(a.Put, b.Put...), Delete: append(a.Delete, b.Delete...), Unchanged: append(a.Unchanged, b.Unchanged...)}
}

// portError says in Nova's way what the network role refused: what is wrong in
// the request is a 400, whatever it is on a port of its own.
func portError(err error) error {
	e, ok := errors.AsType[*cloud.Error](err)
	if !ok {
		return err
	}
	kind := e.Kind
	if kind == cloud.NotFound || e.Reason == "IpAddressAlreadyAllocated" {
		kind = cloud.Invalid
	}
	return cloud.Errorf(kind, "%s", e.Text)
}
