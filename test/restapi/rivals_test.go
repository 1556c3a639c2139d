package restapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
	"imprint/host/compute"
	"imprint/host/network"
)

// together sends the same request through each client at once and counts the
// answers' statuses.
func together(clients []*apitest.Client, path string, body any) (count map[int]int, texts []string) {
	count = map[int]int{}
	var mu sync.Mutex
	var rivals sync.WaitGroup
	start := make(chan struct{})
	for _, c := range clients {
		rivals.Go(func() {
			<-start
			a := c.Do("POST", path, body)
			mu.Lock()
			defer mu.Unlock()
			count[a.Status]++
			texts = append(texts, string(a.Body))
		})
	}
	close(start)
	rivals.Wait()
	return count, texts
}

// twice returns a client of the service and one of a second process of it on
// the same store, which share no lock.
func (s *system) twice(mine *apitest.Client, second http.Handler) []*apitest.Client {
	return []*apitest.Client{mine, {T: s.t, Handler: second, Header: mine.Header}}
}

// TestRivalPorts: of two creations of the same fixed address one wins, and the
// other is told that the address is taken.
func TestRivalPorts(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	second := network.New(network.Options{Store: s.store, Auth: s.auth})
	for name, clients := range map[string][]*apitest.Client{
		"one process": {s.network, s.network}, "two processes": s.twice(s.network, second.Handler()),
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 20 {
				addr := fmt.Sprintf("17.17.17.%d", 100+i)
				got, texts := together(clients, "/v2.0/ports", object{"port": object{"network_id": x.network,
					"fixed_ips": []object{{"subnet_id": x.subnet, "ip_address": addr}}}})
				if want := map[int]int{201: 1, 409: 1}; !maps.Equal(got, want) || !strings.Contains(fmt.Sprint(texts), "IpAddressAlreadyAllocated") {
					t.Fatalf("%s: %v, want %v: %s", addr, got, want, texts)
				}
				ports := s.network.Do("GET", "/v2.0/ports?fixed_ips=ip_address%3D"+addr, nil).Want(200)
				if n := len(ports.Get("ports").([]any)); n != 1 {
					t.Fatalf("%d ports have %s", n, addr)
				}
				s.network.Do("DELETE", "/v2.0/ports/"+ports.Text("ports.0.id"), nil).Want(204)
			}
		})
	}
}

// TestRivalServers: the same with servers, where Nova says 400; the one that
// lost leaves nothing behind.
func TestRivalServers(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	second := compute.New(compute.Options{Store: s.store, Blobs: s.blobs, Auth: s.auth,
		Ports: network.New(network.Options{Store: s.store, Auth: s.auth})})
	for i := range 20 {
		addr := fmt.Sprintf("17.17.17.%d", 100+i)
		got, texts := together(s.twice(s.compute, second.Handler()), "/v2.1/servers",
			x.server("c", object{"networks": []object{{"uuid": x.network, "fixed_ip": addr}}}))
		if want := map[int]int{202: 1, 400: 1}; !maps.Equal(got, want) || !strings.Contains(fmt.Sprint(texts), "already allocated") {
			t.Fatalf("%s: %v, want %v: %s", addr, got, want, texts)
		}
	}
	s.store.View(func(m *cloud.Model) {
		owners := map[string]int{}
		for _, p := range m.Ports {
			if strings.HasPrefix(p.DeviceOwner, cloud.OwnerComputePrefix) {
				owners[p.DeviceID]++
			}
		}
		if len(m.Servers) != 20 || len(owners) != 20 || slices.Max(slices.Collect(maps.Values(owners))) != 1 {
			t.Errorf("%d servers, ports by owner %v", len(m.Servers), owners)
		}
	})
}
