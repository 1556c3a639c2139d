package compute

import (
	"strings"

	"imprint/host/cloud"
)

// defaultZone is the zone of nodes that name none.
const defaultZone = "nova"

// place is where a server is to run: a zone, a node, or anywhere.
type place struct{ zone, node string }

// parsePlace reads "zone", "zone:host" or "zone:host:node". nova:
// compute/api.py parse_availability_zone, 26.2.2.
func parsePlace(text string) (place, error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return place{}, cloud.Errorf(cloud.Invalid, "Invalid input received: Unable to parse availability_zone")
	}
	p := place{zone: parts[0]}
	for _, name := range parts[1:] {
		if p.node != "" && name != "" && name != p.node {
			return place{}, cloud.Errorf(cloud.Invalid, "Invalid input received: A host is its own only node")
		}
		if name != "" {
			p.node = name
		}
	}
	return p, nil
}

func zoneOf(n *cloud.Node) string {
	if n.AvailabilityZone == "" {
		return defaultZone
	}
	return n.AvailabilityZone
}

// check refuses a zone that no node is in, and a chosen node from anybody but
// administrators.
func (p place) check(m *cloud.Model, c cloud.Caller) error {
	if p.node != "" && !c.Admin() {
		return cloud.Errorf(cloud.Forbidden, "Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.")
	}
	if p.zone == "" {
		return nil
	}
	for _, n := range m.Nodes {
		if n.Compute && zoneOf(n) == p.zone {
			return nil
		}
	}
	return cloud.Errorf(cloud.Invalid, "The requested availability zone is not available")
}

// choose returns the node that fits and has the fewest servers, nil when none
// fits.
func (p place) choose(m *cloud.Model) *cloud.Node {
	load := map[string]int{}
	for _, s := range m.Servers {
		load[s.Host]++
	}
	var best *cloud.Node
	for _, n := range cloud.Sorted(m.Nodes) {
		if !n.Compute || (p.zone != "" && zoneOf(n) != p.zone) || (p.node != "" && n.Name != p.node) {
			continue
		}
		if best == nil || load[n.Name] < load[best.Name] {
			best = n
		}
	}
	return best
}
