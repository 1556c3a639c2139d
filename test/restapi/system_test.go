package restapi

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
	"imprint/host/compute"
	"imprint/host/identity"
	"imprint/host/image"
	"imprint/host/network"
)

const (
	adminPassword = "correct horse"
	alicePassword = "battery staple"
	node          = "node1"
)

// system is all four roles on one store, with two projects in it: admin's, and
// demo with the ordinary user alice.
type system struct {
	t        testing.TB
	now      *clock
	store    *apitest.Store
	blobs    *apitest.Blobs
	urls     map[string]string
	identity *apitest.Client
	image    *apitest.Client
	network  *apitest.Client
	compute  *apitest.Client
	role     *compute.Role
	auth     *identity.Role
	services map[string]http.Handler
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Microsecond) // no two moments are the same
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type console struct{}

func (console) Console(_ context.Context, _ string, _ cloud.ServerID, lines int) (string, error) {
	if lines == 2 {
		return "two\nthree\n", nil
	}
	return "one\ntwo\nthree\x07\n", nil
}

func newSystem(t testing.TB) *system {
	t.Helper()
	s := &system{t: t, now: &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, blobs: apitest.NewBlobs(), urls: map[string]string{}}
	s.store = apitest.NewStore(s.now.now)
	s.seed()
	listeners := map[string]net.Listener{}
	for _, name := range []string{"identity", "image", "network", "compute"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[name], s.urls[name] = l, "http://"+l.Addr().String()
	}
	s.build()
	for name, l := range listeners {
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.services[name]}}
		server.Start()
		t.Cleanup(server.Close)
	}
	s.login("admin", adminPassword, "admin")
	return s
}

func (s *system) seed() {
	ctx := context.Background()
	if err := identity.Bootstrap(ctx, s.store, adminPassword); err != nil {
		s.t.Fatal(err)
	}
	hash, err := identity.HashPassword(alicePassword)
	if err != nil {
		s.t.Fatal(err)
	}
	demo := &cloud.Project{ProjectID: cloud.ProjectID(cloud.NewHexID()), Name: "demo"}
	s.store.Seed(demo,
		&cloud.User{UserID: cloud.UserID(cloud.NewHexID()), Name: "alice", PasswordHash: hash,
			Roles: map[cloud.ProjectID][]string{demo.ProjectID: {"member"}}},
		&cloud.Node{Name: node, Network: true, Compute: true, AvailabilityZone: "nova"})
}

func (s *system) build() {
	id, err := identity.New(identity.Options{Store: s.store, Key: bytes.Repeat([]byte{7}, 32), Now: s.now.now, Catalog: []identity.Endpoint{
		{Type: "identity", Name: "keystone", Public: s.urls["identity"] + "/v3"},
		{Type: "compute", Name: "nova", Public: s.urls["compute"] + "/v2.1"},
		{Type: "image", Name: "glance", Public: s.urls["image"]},
		{Type: "network", Name: "neutron", Public: s.urls["network"]},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.auth = id
	networks := network.New(network.Options{Store: s.store, Auth: id})
	s.role = compute.New(compute.Options{Store: s.store, Blobs: s.blobs, Ports: networks, Auth: id, Console: console{}})
	s.services = map[string]http.Handler{
		"identity": id.Handler(), "network": networks.Handler(), "compute": s.role.Handler(),
		"image": image.New(image.Options{Store: s.store, Blobs: s.blobs, Auth: id, MaxSize: 1 << 20}).Handler(),
	}
}

// login makes the clients speak as user.
func (s *system) login(user, password, project string) {
	s.t.Helper()
	s.identity = apitest.NewClient(s.t, s.services["identity"], "")
	token := s.identity.Do("POST", "/v3/auth/tokens", auth(user, password, project)).Want(201).Header.Get("X-Subject-Token")
	s.identity = apitest.NewClient(s.t, s.services["identity"], token)
	s.image = apitest.NewClient(s.t, s.services["image"], token)
	s.network = apitest.NewClient(s.t, s.services["network"], token)
	s.compute = apitest.NewClient(s.t, s.services["compute"], token)
}

type object = map[string]any

func auth(user, password, project string) object {
	domain := object{"id": "default"}
	a := object{"identity": object{"methods": []string{"password"},
		"password": object{"user": object{"name": user, "domain": domain, "password": password}}}}
	if project != "" {
		a["scope"] = object{"project": object{"name": project, "domain": domain}}
	}
	return object{"auth": a}
}

// report says what the node would say of a server.
func (s *system) report(id string, state cloud.InstanceState) {
	s.t.Helper()
	s.reportFrom(node, id, state)
}

func (s *system) reportFrom(node, id string, state cloud.InstanceState) {
	s.t.Helper()
	var reboot, rebuild int64
	s.store.View(func(m *cloud.Model) {
		if server := m.Servers[cloud.ServerID(id)]; server != nil {
			reboot, rebuild = server.RebootGeneration, server.RebuildGeneration
		}
	})
	err := s.role.OnReport(context.Background(), node, cloud.Report{Instance: &cloud.InstanceReport{
		ID: cloud.ServerID(id), State: state, RebootGeneration: reboot, RebuildGeneration: rebuild, StartedAt: s.now.now()}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// unchanged fails when f changes any record.
func (s *system) unchanged(f func()) {
	s.t.Helper()
	before := s.store.Dump()
	f()
	if after := s.store.Dump(); after != before {
		s.t.Fatalf("the state changed:\n%s\n%s", before, after)
	}
}

// things are what the story of most tests begins with.
type things struct{ network, subnet, router, flavor, image string }

func (s *system) things() (x things) {
	s.t.Helper()
	x.network = s.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "test_net", "admin_state_up": true}}).Want(201).Text("network.id")
	x.subnet = s.network.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": x.network, "cidr": "17.17.17.0/24", "ip_version": 4, "name": "test_sub"}}).
		Want(201).Text("subnet.id")
	x.router = s.network.Do("POST", "/v2.0/routers", object{"router": object{"name": "test_router"}}).Want(201).Text("router.id")
	x.flavor = s.compute.Do("POST", "/v2.1/flavors", object{"flavor": object{"name": "small", "ram": 256, "vcpus": 1, "disk": 1}}).Want(200).Text("flavor.id")
	x.image = s.image.Do("POST", "/v2/images", object{"name": "cirros", "disk_format": "raw", "container_format": "bare", "visibility": "public"}).
		Want(201).Text("id")
	s.image.With("Content-Type", "application/octet-stream").Do("PUT", "/v2/images/"+x.image+"/file", "the bytes").Want(204)
	return x
}

func (x things) server(name string, extra object) object {
	o := object{"name": name, "imageRef": x.image, "flavorRef": x.flavor, "networks": []object{{"uuid": x.network}}}
	for k, v := range extra {
		if v == nil {
			delete(o, k)
			continue
		}
		o[k] = v
	}
	return object{"server": o}
}
