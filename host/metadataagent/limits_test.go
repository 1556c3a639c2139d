package metadataagent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"imprint/host/cloud"
)

// counted counts look-ups.
type counted struct {
	Ports
	lookups int
}

func (c *counted) ByAddr(ctx context.Context, n []cloud.NetworkID, a netip.Addr) ([]cloud.DesiredPort, error) {
	c.lookups++
	return c.Ports.ByAddr(ctx, n, a)
}

// TestSendersAreLimitedBeforeTheLookUp: by router or network and address, in
// both families; a port that changes its addresses has still one bucket.
func TestSendersAreLimitedBeforeTheLookUp(t *testing.T) {
	known := &counted{Ports: newTopology(twoRooms().Slice)}
	c := ownUID()
	c.Ports = known
	c.Limits = Limits{SenderRate: 0.02, SenderBurst: 3, Rate: 0.001, Burst: 5}
	served := 0
	r := newRig(t, c, func(http.ResponseWriter, *http.Request) { served++ })
	for n, step := range []struct {
		addr   string
		status int
		after  string // Retry-After
	}{
		{"2001:db8::5", 200, ""}, {"2001:db8::5", 200, ""}, {"2001:db8::5", 200, ""}, {"2001:db8::5", 429, "50"},
		{"10.0.0.5", 200, ""}, {"10.0.0.5", 200, ""}, // of a bucket of its own
		{"10.0.0.5", 429, "60"}, {"10.0.0.5", 429, "50"}, // the port's bucket, then the address's
		{"10.0.0.99", 404, ""}, {"10.0.0.99", 404, ""}, {"10.0.0.99", 404, ""}, {"10.0.0.99", 429, "50"},
	} {
		res, _ := r.send(t, "GET", "/latest", headers(netA, step.addr), nil)
		if res.StatusCode != step.status || res.Header.Get("Retry-After") != step.after {
			t.Errorf("step %d: %d, Retry-After %q", n, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	if known.lookups != 9 || served != 5 {
		t.Errorf("%d look-ups, %d requests to the service", known.lookups, served)
	}
	r.agent.Update(newSlice(netB).Slice)
	if n := r.agent.gate.senders.Len(); n != 0 {
		t.Errorf("%d buckets of networks that are gone", n)
	}
}

// TestABootMeetsNoLimit: some hundred requests at once are still served.
func TestABootMeetsNoLimit(t *testing.T) {
	r := newRig(t, ownUID(), func(http.ResponseWriter, *http.Request) {})
	for range 300 {
		if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
	}
}

// TestNewOwnerOfAnAddress: an address that changes hands is answered for its
// new owner at once.
func TestNewOwnerOfAnAddress(t *testing.T) {
	var asked string
	r := newRig(t, ownUID(), func(_ http.ResponseWriter, req *http.Request) { asked = req.Header.Get(cloud.HeaderInstanceID) })
	for _, owner := range []string{"one", "heir", "one"} {
		r.agent.Update(newSlice(netA).port("p-"+owner, netA, nova, owner, "fa:16:3e:00:00:01", "sa=10.0.0.5").Slice)
		for _, addr := range []string{"10.0.0.5", "::ffff:10.0.0.5", "fe80::f816:3eff:fe00:1"} {
			if r.send(t, "GET", "/latest", headers(netA, addr), nil); asked != owner {
				t.Errorf("%s: asked for %s, want %s", addr, asked, owner)
			}
		}
	}
}

// stale finds an old owner until it is told that this is no longer true.
type stale struct{ Ports }

func (s *stale) Forget(cloud.Sender) bool {
	s.Ports = newTopology(newSlice(netA).port("p", netA, nova, "new", "fa:16:3e:00:00:01", "sa=10.0.0.5").Slice)
	return true
}

// TestLooksAgain: an instance that the service does not know is looked up
// again, and the service asked once more only for another one.
func TestLooksAgain(t *testing.T) {
	for _, neutron := range []bool{false, true} {
		c := ownUID()
		c.Ports = &stale{newTopology(newSlice(netA).port("p", netA, nova, "old", "fa:16:3e:00:00:01", "sa=10.0.0.5").Slice)}
		c.NeutronForm = neutron
		var asked []string
		r := newRig(t, c, func(w http.ResponseWriter, req *http.Request) {
			id := req.Header.Get(cloud.HeaderInstanceID)
			asked = append(asked, id)
			w.Header().Set("Content-Type", "text/plain")
			if id == "old" || req.URL.Path == "/none" {
				http.NotFound(w, req)
			}
		})
		for _, step := range []struct {
			path   string
			status int
			asked  int
		}{{"/latest", 200, 2}, {"/latest", 200, 3}, {"/none", 404, 4}} {
			res, _ := r.send(t, "GET", step.path, headers(netA, "10.0.0.5"), nil)
			if res.StatusCode != step.status || len(asked) != step.asked || asked[len(asked)-1] != "new" {
				t.Errorf("%s: %d, asked for %v", step.path, res.StatusCode, asked)
			}
		}
	}
}

// away cannot look anything up.
type away struct{ Ports }

func (away) ByAddr(context.Context, []cloud.NetworkID, netip.Addr) ([]cloud.DesiredPort, error) {
	return nil, context.DeadlineExceeded
}

func TestLookUpThatFails(t *testing.T) {
	c := ownUID()
	c.Ports = away{newTopology(twoRooms().Slice)}
	r := newRig(t, c, func(http.ResponseWriter, *http.Request) { t.Error("the service was asked") })
	res, body := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// TestSlowSendersHoldNoPlace: bodies that do not come keep nobody waiting.
func TestSlowSendersHoldNoPlace(t *testing.T) {
	c := ownUID()
	c.Limits = Limits{InFlight: 1, PerInstance: 1}
	r := newRig(t, c, func(http.ResponseWriter, *http.Request) {})
	for range 3 {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /p HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.5\r\nX-Neutron-Network-ID: %s\r\nContent-Length: 9\r\n\r\nhalf", netA)
	}
	for range 10 {
		if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != 200 {
			t.Errorf("%d", res.StatusCode)
		}
	}
}
