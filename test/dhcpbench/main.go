// Package main measures the DHCP server beside dnsmasq: both have the same
// hosts on one network, and the same client asks them.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"imprint/base/netns"
)

// hosts are how many ports the network has.
const hosts = 10_000

// leaseTime is how long leases are taken: dnsmasq writes its whole file for
// each, and would take minutes for all.
const leaseTime = 20 * time.Second

// rounds are how often each server is asked for all offers, in turn.
const rounds = 3

func main() {
	if len(os.Args) == 2 && os.Args[1] == "server" {
		exit(serve())
	}
	exit(measure())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "dhcpbench: error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// server is one of the two, in a namespace of its own.
type server struct {
	name    string
	start   func(w wire, dir string) (stop func(), err error)
	offers  []float64 // of each round, a second
	offer99 []time.Duration
	leases  float64
	lease99 time.Duration
}

func measure() error {
	if os.Getuid() != 0 {
		return errors.New("needs root: namespaces are made")
	}
	all := []*server{{name: "imprint", start: startOurs}, {name: "dnsmasq", start: startDnsmasq}}
	for _, s := range all {
		if err := s.measure(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for _, s := range all {
		fmt.Printf("%s: %d hosts: %.0f offers/s (p99 %s), %.0f leases/s (p99 of an ACK %s)\n",
			s.name, hosts, median(s.offers), median(s.offer99).Round(10*time.Microsecond), s.leases, s.lease99.Round(10*time.Microsecond))
	}
	ours, theirs := all[0], all[1]
	fmt.Printf("dhcp-p99-vs-dnsmasq: ratio %.2f (goal 1.0)\n", float64(median(theirs.offer99))/float64(median(ours.offer99)))
	fmt.Printf("dhcp-leases-vs-dnsmasq: ratio %.2f (goal 1.0)\n", ours.leases/theirs.leases)
	fmt.Printf("dhcp-offers-vs-dnsmasq: ratio %.2f (goal 1.0)\n", median(ours.offers)/median(theirs.offers))
	return nil
}

func median[T float64 | time.Duration](list []T) T {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

func (s *server) measure() error {
	dir, err := os.MkdirTemp("", "dhcpbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	w, err := newWire(s.name)
	if err != nil {
		return err
	}
	defer w.close()
	stop, err := s.start(w, dir)
	if err != nil {
		return err
	}
	defer stop()
	c, err := newClient(w)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if err := c.ready(); err != nil {
		return err
	}
	for range rounds {
		r, err := c.all(discover, time.Minute)
		if err != nil {
			return err
		}
		s.offers, s.offer99 = append(s.offers, r.rate), append(s.offer99, r.p99)
	}
	r, err := c.all(request, leaseTime)
	s.leases, s.lease99 = r.rate, r.p99
	return err
}

// wire is two namespaces and a cable between them.
type wire struct{ server, client *netns.NS }

func newWire(name string) (w wire, err error) {
	for end, ns := range map[string]**netns.NS{"s": &w.server, "c": &w.client} {
		if *ns, err = netns.Create(fmt.Sprintf("dhcpbench-%d-%s-%s", os.Getpid(), name, end)); err != nil {
			w.close()
			return w, err
		}
	}
	for _, c := range [][]string{
		{w.server.Name(), "link", "add", "serv", "type", "veth", "peer", "name", "eth0", "netns", w.client.Name()},
		{w.server.Name(), "addr", "add", "10.10.0.2/16", "dev", "serv"}, {w.server.Name(), "link", "set", "serv", "up"},
		{w.client.Name(), "addr", "add", "10.10.255.254/16", "dev", "eth0"}, {w.client.Name(), "link", "set", "eth0", "up"},
	} {
		if err := command("ip", append([]string{"-n"}, c...)...); err != nil {
			w.close()
			return w, err
		}
	}
	return w, nil
}

func (w wire) close() {
	for _, ns := range []*netns.NS{w.server, w.client} {
		if ns != nil {
			ns.Close()
			if err := netns.Delete(ns.Name()); err != nil {
				slog.Error("namespace left behind", "error", err)
			}
		}
	}
}
