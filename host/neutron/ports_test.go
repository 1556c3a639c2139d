package neutron

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

const (
	testNet = cloud.NetworkID("b0ff43f1-6bd1-422a-a62a-d4b2caaf8183")
	isoNet  = cloud.NetworkID("fdf7e29b-5066-4750-af92-e5da26016823")
	router  = cloud.RouterID("f1755ec2-f2a7-4105-a32b-66b43f5f1ff2")
	c1      = "cc8f7f24-498d-4e21-a549-f3771c3e5189"
	c4      = "7eab3414-0858-4154-8032-a76751837a92"
)

func TestLookUps(t *testing.T) {
	f := newFake(t)
	p, _ := f.start(t)
	for _, page := range []int{0, 1} { // of Neutron's answers
		f.change(func() { f.page = page })
		p.cache.entries = map[string]entry{}
		networks, subnets, err := p.Router(t.Context(), router)
		want := []cloud.SubnetID{"6de161c3-0359-47bf-91e6-e668ee46ae72", "5fda4e42-e34e-4627-80e1-dfc0d83aa529"}
		if diff := cmp.Diff([]cloud.NetworkID{testNet}, networks) + cmp.Diff(want, subnets); diff != "" || err != nil {
			t.Errorf("router: %v %s", err, diff)
		}
	}
	if networks, subnets, err := p.Router(t.Context(), cloud.RouterID(testNet)); len(networks)+len(subnets) != 0 || err != nil {
		t.Errorf("unknown router: %v %v %v", networks, subnets, err)
	}
	for _, c := range []struct {
		networks []cloud.NetworkID
		what     string
		want     string
	}{
		{[]cloud.NetworkID{testNet}, "10.10.1.123", c1},
		{[]cloud.NetworkID{testNet, isoNet}, "10.10.2.85", c4},
		{[]cloud.NetworkID{testNet}, "10.10.2.85", ""},
		{[]cloud.NetworkID{testNet}, "2001:db8:1:0:f816:3eff:fecd:141d", c1},
		{[]cloud.NetworkID{isoNet}, "fa:16:3e:11:c6:55", c4},
		{[]cloud.NetworkID{testNet}, "fa:16:3e:11:c6:55", ""},
	} {
		var ports []cloud.DesiredPort
		addr, err := netip.ParseAddr(c.what)
		if err == nil {
			ports, err = p.ByAddr(t.Context(), c.networks, addr)
		} else {
			ports, err = p.ByMAC(t.Context(), c.networks, cloud.MAC(c.what))
		}
		if err != nil || ids(ports) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.what, ids(ports), err, c.want)
		}
	}
	ports, _ := p.ByAddr(t.Context(), []cloud.NetworkID{testNet}, netip.MustParseAddr("10.10.1.123"))
	want := []cloud.DesiredPort{{
		ID: "fb9f2063-1ff9-4711-bb81-9e3761ccf811", NetworkID: testNet, ProjectID: "24e78059691049cba696fd789cea5d76", MAC: "fa:16:3e:cd:14:1d",
		Owner: "compute:nova", DeviceID: c1, Addrs: []cloud.PortAddr{
			{SubnetID: "6de161c3-0359-47bf-91e6-e668ee46ae72", Prefix: netip.MustParsePrefix("10.10.1.123/32")},
			{SubnetID: "5fda4e42-e34e-4627-80e1-dfc0d83aa529", Prefix: netip.MustParsePrefix("2001:db8:1:0:f816:3eff:fecd:141d/128")},
		},
	}}
	if diff := cmp.Diff(want, ports, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if f.logins != 1 {
		t.Errorf("%d logins", f.logins)
	}
}

// TestManyNetworks: the URL has an end.
func TestManyNetworks(t *testing.T) {
	f := newFake(t)
	p, _ := f.start(t)
	var networks []cloud.NetworkID
	for n := range 2*maxNetworks + 1 {
		networks = append(networks, cloud.NetworkID(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n)))
	}
	networks = append(networks, testNet)
	ports, err := p.ByAddr(t.Context(), networks, netip.MustParseAddr("10.10.1.123"))
	if err != nil || ids(ports) != c1 || len(f.questions()) != 3 {
		t.Errorf("%q, %v after %d questions", ids(ports), err, len(f.questions()))
	}
}

// TestAnswersAreKept: as they are, made new in the background, and over an
// outage; forgotten when they prove wrong, but not at once.
func TestAnswersAreKept(t *testing.T) {
	f := newFake(t)
	p, at := f.start(t)
	times := p.cache.times
	look := func() string {
		t.Helper()
		ports, err := p.ByAddr(t.Context(), []cloud.NetworkID{testNet}, netip.MustParseAddr("10.10.1.123"))
		p.cache.asking.Wait()
		if err != nil {
			return err.Error()
		}
		return ids(ports)
	}
	sender := cloud.Sender{Network: testNet, Addr: netip.MustParseAddr("10.10.1.123")}
	for n, step := range []struct {
		do    func()
		want  string
		asked int
	}{
		{func() {}, c1, 1},
		{func() { f.give("10.10.1.123", "heir") }, c1, 1},
		{func() { at.pass(times.fresh) }, c1, 2}, // old once more, while it is made new
		{func() {}, "heir", 2},
		{func() { f.give("10.10.1.123", c1) }, "heir", 2},
		{func() { at.pass(times.old) }, c1, 3},
		{func() { f.give("10.10.1.123", "heir"); p.Forget(sender) }, c1, 3}, // too new to forget
		{func() { at.pass(times.firm); p.Forget(sender) }, "heir", 4},
		{func() { f.change(func() { f.away = true }); at.pass(times.old) }, "heir", 5},
		{func() { at.pass(times.stale) }, "list ports: status 503", 6},
		{func() { f.change(func() { f.away = false }) }, "heir", 7},
	} {
		step.do()
		if got := look(); got != step.want || len(f.questions()) != step.asked {
			t.Errorf("step %d: %q after %d questions, want %q after %d", n, got, len(f.questions()), step.want, step.asked)
		}
	}
}

// TestMissesAreKeptShortly: a port may be there the next moment.
func TestMissesAreKeptShortly(t *testing.T) {
	f := newFake(t)
	p, at := f.start(t)
	for n, asked := range []int{1, 1, 2} {
		if n == 2 {
			at.pass(p.cache.times.empty)
		}
		ports, err := p.ByAddr(t.Context(), []cloud.NetworkID{testNet}, netip.MustParseAddr("10.10.1.250"))
		if err != nil || len(ports) != 0 || len(f.questions()) != asked {
			t.Errorf("%d: %v, %v after %d questions", n, ports, err, len(f.questions()))
		}
	}
}

// TestOneRequestForAKey: whoever asks the same meanwhile waits for the same
// answer.
func TestOneRequestForAKey(t *testing.T) {
	f := newFake(t)
	p, _ := f.start(t)
	if _, _, err := p.Router(t.Context(), router); err != nil { // logs in
		t.Fatal(err)
	}
	hold := make(chan struct{})
	f.change(func() { f.hold = hold })
	var waiting sync.WaitGroup
	for range 50 {
		waiting.Go(func() {
			ports, err := p.ByMAC(t.Context(), []cloud.NetworkID{isoNet}, "fa:16:3e:11:c6:55")
			if err != nil || ids(ports) != c4 {
				t.Errorf("%q, %v", ids(ports), err)
			}
		})
	}
	close(hold)
	waiting.Wait()
	if n := len(f.questions()); n != 2 {
		t.Errorf("%d questions", n)
	}
}

// TestForgetByRouter drops what the router's networks gave.
func TestForgetByRouter(t *testing.T) {
	f := newFake(t)
	p, at := f.start(t)
	s := cloud.Sender{Router: router, Addr: netip.MustParseAddr("fe80::f816:3eff:fecd:141d")}
	look := func() {
		networks, _, err := p.Router(t.Context(), router)
		if err == nil {
			_, err = p.ByMAC(t.Context(), networks, "fa:16:3e:cd:14:1d")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	look()
	if p.Forget(s) {
		t.Error("forgotten at once")
	}
	at.pass(p.cache.times.firm)
	if !p.Forget(s) || p.Forget(s) || len(p.cache.entries) != 0 {
		t.Errorf("left: %v", p.cache.entries)
	}
	look()
	if n := len(f.questions()); n != 4 {
		t.Errorf("%d questions", n)
	}
}

func TestTokenThatEnds(t *testing.T) {
	f := newFake(t)
	p, at := f.start(t)
	for range 3 {
		if ports, err := p.ByAddr(t.Context(), []cloud.NetworkID{isoNet}, netip.MustParseAddr("10.10.2.85")); err != nil || ids(ports) != c4 {
			t.Errorf("%q, %v", ids(ports), err)
		}
		f.change(func() { f.valid = "another" })
		at.pass(time.Hour)
	}
	if f.logins != 3 {
		t.Errorf("%d logins", f.logins)
	}
}

func TestLoginThatFails(t *testing.T) {
	f := newFake(t)
	l := f.login()
	l.Password = "wrong-and-secret"
	p, err := New(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.ByAddr(t.Context(), []cloud.NetworkID{isoNet}, netip.MustParseAddr("10.10.2.85"))
	if err == nil || errors.Is(err, cloud.ErrNotFound) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	for name, bad := range map[string]Login{"nothing": {}, "no password": {AuthURL: "http://x", Username: "u", Project: "p"}} {
		if _, err := New(bad, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestEndpointThatIsNamed is used instead of the catalog's.
func TestEndpointThatIsNamed(t *testing.T) {
	f := newFake(t)
	for _, endpoint := range []string{f.URL + "/network", f.URL + "/network/v2.0/"} {
		l := f.login()
		l.Endpoint, l.Region = endpoint, "Elsewhere"
		p, err := New(l, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ports, err := p.ByAddr(t.Context(), []cloud.NetworkID{isoNet}, netip.MustParseAddr("10.10.2.85")); err != nil || ids(ports) != c4 {
			t.Errorf("%s: %q, %v", endpoint, ids(ports), err)
		}
		p.Close()
	}
}
