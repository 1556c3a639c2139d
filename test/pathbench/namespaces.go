package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"imprint/base/daemon"
	"imprint/base/netdev"
	"imprint/base/netns"
)

// place is a namespace as a node has it: with a router's or a network's id.
type place struct {
	ns     *netns.NS
	id     string
	router bool
}

// makeNamespaces makes namespaces that live as long as this process.
func makeNamespaces(n int) ([]place, error) {
	var all []place
	for i := range n {
		name := fmt.Sprintf("pathbench-%d-%d", os.Getpid(), i)
		ns, err := netns.Create(name)
		if err != nil {
			return nil, err
		}
		if err := netns.Delete(name); err != nil { // it stays open
			return nil, err
		}
		h, err := netdev.Open(ns)
		if err != nil {
			return nil, err
		}
		err = h.Set("lo", netdev.Settings{Up: true})
		h.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, place{ns, fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i), i%2 == 0})
	}
	return all, nil
}

func (p place) key() string {
	if p.router {
		return "router/" + p.id
	}
	return "network/" + p.id
}

// addresses are where its proxy listens: a router's on one socket of both
// families, a network's on one each.
func (p place) addresses() []netip.AddrPort {
	if p.router {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), 9697)}
	}
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 80),
		netip.AddrPortFrom(netip.IPv6Loopback(), 80),
	}
}

func (p place) open() ([]*os.File, error) {
	var files []*os.File
	for _, a := range p.addresses() {
		l, err := p.ns.ListenTCP(context.Background(), "tcp", a)
		if err != nil {
			return files, err
		}
		more, err := daemon.Files(l)
		files = append(files, more...)
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

// ask asks through the place's proxy, from inside.
func (p place) ask() error {
	port := p.addresses()[0].Port()
	var c net.Conn
	err := p.ns.Do(func() (err error) {
		c, err = net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		return err
	})
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	res, err := transport.RoundTrip(request())
	if err != nil {
		return fmt.Errorf("%s: %w", p.key(), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || string(body) != p.id {
		return fmt.Errorf("%s: %d %q, %w", p.key(), res.StatusCode, body, err)
	}
	return nil
}

func request() *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://169.254.169.254/openstack/latest/meta_data.json", nil)
	if err != nil {
		panic(err) // the URL is a constant
	}
	return r
}

// startAgent answers with the id that the proxy sets.
func startAgent(dir string) (*http.Server, error) {
	l, err := daemon.ListenUnix(agentSocket(dir), 0o666, -1, -1)
	if err != nil {
		return nil, err
	}
	agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Neutron-Router-ID")+r.Header.Get("X-Neutron-Network-ID"))
	})}
	go agent.Serve(l)
	return agent, nil
}

func agentSocket(dir string) string { return filepath.Join(dir, "agent") }
