package cloud

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAddressMovesBetweenPorts: one port gives an address up and another takes
// it, in whatever order the changes arrive.
func TestAddressMovesBetweenPorts(t *testing.T) {
	addr := netip.MustParseAddr("17.17.17.9")
	with := func(id PortID, addrs ...netip.Addr) *Port {
		p := &Port{PortID: id, NetworkID: "n", DeviceID: "d-" + string(id)}
		for _, a := range addrs {
			p.FixedIPs = append(p.FixedIPs, FixedIP{SubnetID: "s", Addr: a})
		}
		return p
	}
	for name, changes := range map[string][]Change{
		"released first": {{Record: with("a")}, {Record: with("b", addr)}},
		"taken first":    {{Record: with("b", addr)}, {Record: with("a")}},
		"removed after":  {{Record: with("b", addr)}, {Record: with("a", addr), Deleted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewModel()
			m.Apply(Change{Record: with("a", addr)})
			for _, c := range changes {
				m.Apply(c)
			}
			if got := m.PortAt("n", addr); got == nil || got.PortID != "b" {
				t.Errorf("%s is at %+v, want b", addr, got)
			}
		})
	}
}

func TestRemovedPortLeavesNothing(t *testing.T) {
	m := NewModel()
	p := &Port{PortID: "a", NetworkID: "n", DeviceID: "d", FixedIPs: []FixedIP{{Addr: netip.MustParseAddr("10.0.0.1")}}}
	m.Apply(Change{Record: p})
	if len(m.PortsOn("n")) != 1 || len(m.PortsOf("d")) != 1 {
		t.Fatal("the port is not indexed")
	}
	m.Apply(Change{Record: p, Deleted: true})
	if len(m.PortsOn("n")) != 0 || len(m.PortsOf("d")) != 0 || len(m.byAddr) != 0 || len(m.Ports) != 0 {
		t.Errorf("left: %+v", m)
	}
}

func TestClaimsAreEscaped(t *testing.T) {
	a := (&Project{Name: "a/b"}).Claims()[0]
	b := (&Project{Name: "a%2Fb"}).Claims()[0]
	if a == b || a != "project-name/a%2Fb" {
		t.Errorf("claims %q and %q", a, b)
	}
}

func TestErrorsAreOfAKind(t *testing.T) {
	err := Errorf(NotFound, "network %s", "n")
	if KindOf(err) != NotFound || err.Error() != "network n" {
		t.Errorf("%v of kind %v", err, KindOf(err))
	}
}

func TestSignature(t *testing.T) {
	// The captured header of nova 26.2.2 with the secret peer-shared-secret.
	const id, want = ServerID("cc8f7f24-498d-4e21-a549-f3771c3e5189"), "8d45881fd27abbd7dd242041a188afb541c117a66731bc0a1341671a92e1963f"
	if got := Signature("peer-shared-secret", id); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if !SignatureValid("peer-shared-secret", id, want) || SignatureValid("other", id, want) || SignatureValid("peer-shared-secret", id, "") {
		t.Error("a signature is judged wrongly")
	}
}

func TestTraceID(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	for parent, want := range map[string]string{
		"00-" + id + "-b7ad6b7169203331-01":                  id,
		"00-" + id + "-b7ad6b7169203331-1":                   "",
		"01-" + id + "-b7ad6b7169203331-01":                  "",
		"00-" + strings.ToUpper(id) + "-b7ad6b7169203331-01": "",
		"00-" + id + "b7ad6b7169203331--01":                  "",
		"":                                                   "",
	} {
		if got := TraceID(parent); got != want {
			t.Errorf("%q: %q", parent, got)
		}
	}
}
