package datasource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"imprint/base/netns"
)

// A network without IPv4, for real: the service is found at its link-local
// address, over the NIC that the system has.
func TestLinkLocal(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	namespace := func(suffix string) *netns.NS {
		name := fmt.Sprintf("ds%d-%s", os.Getpid(), suffix)
		ns, err := netns.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close(); netns.Delete(name) })
		return ns
	}
	guest, server := namespace("guest"), namespace("server")
	nic := fmt.Sprintf("md%d", os.Getpid()%100000) // no namespace has it already: Go keeps names of zones
	for _, args := range []string{
		"-n GUEST link add NIC type veth peer name NIC netns SERVER",
		"-n GUEST link set NIC addrgenmode none", "-n SERVER link set NIC addrgenmode none",
		"-n GUEST addr add fe80::2/64 dev NIC nodad", "-n SERVER addr add fe80::a9fe:a9fe/64 dev NIC nodad",
		"-n SERVER link set NIC up", "-n GUEST link set NIC up",
	} {
		args = strings.NewReplacer("GUEST", guest.Name(), "SERVER", server.Name(), "NIC", nic).Replace(args)
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	l, err := server.ListenTCP(t.Context(), "tcp6", netip.MustParseAddrPort("[fe80::a9fe:a9fe%"+nic+"]:80"))
	if err != nil {
		t.Fatal(err)
	}
	a := recorded(t, "c1")
	hosts := make(chan string, 10)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hosts <- r.Host; a.ServeHTTP(w, r) })}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() { s.Close(); <-done }()

	inside := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = errors.Join(guest.Do(func() error {
			c, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
			return err
		}))
		return c, err
	}}
	env := Env{Root: novaMachine, Arch: "x86_64", Transport: inside, Interface: nic,
		Connect: func(context.Context) error { return errors.New("no lease") }}
	i, all := Find(t.Context(), env, everySource(Settings{}))
	if i == nil || i.InstanceID != "cc8f7f24-498d-4e21-a549-f3771c3e5189" || i.URL != "http://[fe80::a9fe:a9fe%25"+nic+"]" || len(i.Tries) != 6 {
		t.Fatalf("%+v, %+v", i, all)
	}
	if host := <-hosts; host != "[fe80::a9fe:a9fe]" {
		t.Errorf("host %q", host)
	}
}
