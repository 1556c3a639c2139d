package feed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
	"imprint/host/enroll"
)

// authority is a throw-away one, and the service that the feed is of.
type authority struct {
	*enroll.Authority
	service *enroll.Identity
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	dir := t.TempDir()
	a, err := enroll.OpenAuthority(enroll.Options{Dir: filepath.Join(dir, "authority")})
	if err == nil {
		err = a.Issue(enroll.API, nil, filepath.Join(dir, "api"))
	}
	if err != nil {
		t.Fatal(err)
	}
	service, err := enroll.LoadIdentity(filepath.Join(dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	return authority{a, service}
}

// config lets nodes in.
func (a authority) config() *tls.Config {
	return a.service.ServerConfig(a.Revocations(), func(p enroll.Peer) bool { return p.Node != "" })
}

// identify takes the node and its parts from the certificate.
func (a authority) identify(c net.Conn) (Peer, error) {
	if _, err := a.Revocations().Node(c); err != nil {
		return Peer{}, err
	}
	p, err := enroll.PeerOf(c.(*tls.Conn).ConnectionState())
	has := func(r enroll.NodeRole) bool { return slices.Contains(p.Roles, r) }
	return Peer{p.Node, Parts{has(enroll.NetworkNode), has(enroll.ComputeNode), has(enroll.MetadataAgent)}}, err
}

// node enrols one, and returns its directory too.
func (a authority) node(t *testing.T, name string, roles ...enroll.NodeRole) (*enroll.Identity, string) {
	t.Helper()
	if roles == nil {
		roles = []enroll.NodeRole{enroll.ComputeNode}
	}
	s := httptest.NewUnstartedServer(a.Handler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = tls.NewListener(s.Listener, a.service.EnrollConfig(a.Revocations()))
	s.Start()
	defer s.Close()
	token, err := a.NewToken(name, roles, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), name)
	id, err := enroll.Enroll(t.Context(), strings.Replace(s.URL, "http:", "https:", 1), token, dir)
	if err != nil {
		t.Fatal(err)
	}
	return id, dir
}

// fixedSource has a slice for each node, and notes who asks.
type fixedSource struct {
	slices map[string]cloud.Slice
	mu     sync.Mutex
	asked  map[string]int
}

func (f *fixedSource) Slices(ctx context.Context, peer Peer) <-chan cloud.Slice {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[peer.Node]++
	out := make(chan cloud.Slice)
	go func() {
		defer close(out)
		select {
		case out <- f.slices[peer.Node]:
			<-ctx.Done()
		case <-ctx.Done():
		}
	}()
	return out
}

// sliceOf has one record of each kind, named after its node.
func sliceOf(node string) cloud.Slice {
	s := sliceWith("network-of-" + node)
	s.Routers[cloud.RouterID("router-of-"+node)] = cloud.DesiredRouter{ID: cloud.RouterID("router-of-" + node)}
	s.Ports[cloud.PortID("port-of-"+node)] = cloud.DesiredPort{ID: cloud.PortID("port-of-" + node), Local: true}
	s.Instances[cloud.ServerID("instance-of-"+node)] = cloud.DesiredInstance{ID: cloud.ServerID("instance-of-" + node)}
	return s
}

// secured is a feed over mTLS with a slice for n1 and n2, whose sink takes a
// node's own things only.
type secured struct {
	authority
	source *fixedSource
	judged chan string // the reports that came to the sink
	addr   string
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{authority: newAuthority(t), judged: make(chan string, 100)}
	s.source = &fixedSource{slices: map[string]cloud.Slice{"n1": sliceOf("n1"), "n2": sliceOf("n2")}, asked: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	server := &Server{Source: s.source, Sink: s.take}
	start(t, func(ctx context.Context) error {
		return server.Serve(ctx, tls.NewListener(l, s.config()), s.identify)
	})
	return s
}

func (s *secured) take(_ context.Context, node string, r cloud.Report) error {
	own, mine := s.source.slices[node], false
	if r.Port != nil {
		_, mine = own.Ports[r.Port.ID]
	} else {
		_, mine = own.Instances[r.Instance.ID]
	}
	s.judged <- fmt.Sprintf("%s: %s, its own %t", node, describe(r), mine)
	if !mine {
		return cloud.Errorf(cloud.Forbidden, "%s is not of node %s", describe(r), node)
	}
	return nil
}

func (s *secured) dial(ctx context.Context, c *tls.Config) (net.Conn, error) {
	return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", s.addr)
}

func TestFeedOverTLS(t *testing.T) {
	s := newSecured(t)
	for name, own := range map[string]bool{"n1": true, "n2": false} {
		id, _ := s.node(t, name)
		c := &Client{Dial: func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, id.ClientConfig(enroll.API)) }}
		c.Report(port("port-of-n1", true))
		c.Report(instance("instance-of-n1", cloud.InstanceDeleted))
		got := make(chan cloud.Slice, 1)
		run(t, c, func(s cloud.Slice) { got <- s })
		if diff := cmp.Diff(sliceOf(name), <-got, cmpComparable); diff != "" {
			t.Error(diff)
		}
		want := []string{
			fmt.Sprintf("%s: port-of-n1 true, its own %t", name, own),
			fmt.Sprintf("%s: instance-of-n1 deleted, its own %t", name, own),
		}
		if diff := cmp.Diff(want, []string{<-s.judged, <-s.judged}); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(map[string]int{"n1": 1, "n2": 1}, s.source.asked); diff != "" {
		t.Error(diff)
	}
}

// TestANodeReadsItsOwnSliceOnly: n2 lies in all ways that the protocol and TLS
// give it, and reads nothing of n1.
func TestANodeReadsItsOwnSliceOnly(t *testing.T) {
	s := newSecured(t)
	_, dir1 := s.node(t, "n1")
	id2, dir2 := s.node(t, "n2")
	load := func(dir string) tls.Certificate {
		file := filepath.Join(dir, enroll.IdentityFile)
		c, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	with := func(change func(*tls.Config, *tls.Certificate)) *tls.Config {
		config, pair := id2.ClientConfig(enroll.API), load(dir2)
		change(config, &pair)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		return config
	}
	leaf1 := load(dir1).Certificate[0]
	asN1, asPlain := frame{Type: typeHello, Version: version, Node: "n1"}, frame{Type: typeHello, Version: version}
	cases := []struct {
		name   string
		config *tls.Config
		frames []frame
		taken  bool // it is n2
	}{
		{"honest", id2.ClientConfig(enroll.API), []frame{asPlain}, true},
		{"forged hello", id2.ClientConfig(enroll.API), []frame{asN1}, true},
		{"second hello", id2.ClientConfig(enroll.API), []frame{asPlain, asN1, asN1}, true},
		{"frames of a server", id2.ClientConfig(enroll.API), []frame{asN1,
			{Type: typeSet, Node: "n1", Kind: kindPort, ID: "port-of-n1", Revision: 1, Value: []byte(`{"id":"port-of-n1"}`)},
			{Type: typeSynced, Node: "n1", Revision: 1}, {Type: typeAck, Node: "n1", Seq: 1}, {Type: "get", Kind: kindInstance, ID: "instance-of-n1"}}, true},
		{"server name", with(func(c *tls.Config, _ *tls.Certificate) { c.ServerName = "n1" }), []frame{asN1}, true},
		{"n1's certificate behind its own", with(func(_ *tls.Config, p *tls.Certificate) {
			p.Certificate = [][]byte{p.Certificate[0], leaf1, p.Certificate[1]}
		}), []frame{asN1}, true},
		{"n1's certificate without the key", with(func(_ *tls.Config, p *tls.Certificate) {
			p.Certificate, p.Leaf = append([][]byte{leaf1}, p.Certificate...), nil
		}), []frame{asN1}, false},
		{"no certificate", with(func(_ *tls.Config, p *tls.Certificate) { *p = tls.Certificate{} }), []frame{asN1}, false},
		{"a service", s.service.ClientConfig(enroll.API), []frame{asN1}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text, node := s.tell(t, tc.config, tc.frames)
			if strings.Contains(text, "of-n1") || node == "n1" {
				t.Errorf("taken for %q, it got %s", node, text)
			}
			if (node == "n2") != tc.taken || strings.Contains(text, "instance-of-n2") != tc.taken {
				t.Errorf("taken for %q, it got %s", node, text)
			}
		})
	}
	if s.source.asked["n1"] != 0 {
		t.Error("the slice of n1 was asked for")
	}
}

// tell sends frames, and at last a report about what is n1's. It returns all
// that came up to the answer, and who the server takes the sender for.
func (s *secured) tell(t *testing.T, config *tls.Config, frames []frame) (text, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := s.dial(ctx, config)
	if err != nil {
		return "", ""
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lie := port("port-of-n1", true)
	for _, f := range append(frames, frame{Type: typeReport, Seq: 7, Node: "n1", Report: &lie}) {
		if err := writeFrame(conn, f, maxReport); err != nil {
			return "", ""
		}
	}
	var all bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &all))
	acked, synced := false, false
	for !acked || !synced {
		f, err := readFrame(in, maxRecord)
		if err != nil {
			return all.String(), node
		}
		synced = synced || f.Type == typeSynced
		if f.Type == typeHello {
			node = f.Node
		}
		if f.Type == typeAck && f.Seq == 7 {
			acked = true
			if f.Error != "port-of-n1 true is not of node n2" {
				t.Errorf("the report is answered %q", f.Error)
			}
			if j := <-s.judged; j != "n2: port-of-n1 true, its own false" {
				t.Error(j)
			}
		}
	}
	return strings.ReplaceAll(all.String(), "port-of-n1 true is not of node n2", ""), node
}

// TestRevokedNodeIsCutOff: a connection that stands ends soon after.
func TestRevokedNodeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		l, source := newPipes(), &fixedSource{slices: map[string]cloud.Slice{}, asked: map[string]int{}}
		server := &Server{Source: source, Sink: takeAll}
		start(t, func(ctx context.Context) error {
			return server.Serve(ctx, tls.NewListener(l, a.config()), a.identify)
		})
		conns := map[string]*Client{}
		var ended sync.Map
		for _, name := range []string{"n1", "n2"} {
			id, _ := a.node(t, name)
			c := &Client{Dial: func(ctx context.Context) (net.Conn, error) {
				raw, err := l.dial(ctx)
				if err != nil {
					return nil, err
				}
				conn := tls.Client(raw, id.ClientConfig(enroll.API))
				return conn, conn.HandshakeContext(ctx)
			}}
			conns[name] = c
			go func() {
				_, err := c.once(t.Context(), make(chan cloud.Slice, 1))
				ended.Store(name, err)
			}()
		}
		time.Sleep(time.Hour)
		if err := a.Revoke("n2"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(defaultHeartbeat + time.Second)
		if _, gone := ended.Load("n2"); !gone {
			t.Error("the revoked node is still connected")
		}
		if err, gone := ended.Load("n1"); gone {
			t.Errorf("the other node was cut off: %v", err)
		}
		if _, err := conns["n2"].open(t.Context()); err == nil {
			t.Error("the revoked node came back")
		}
	})
}

// TestHandshakeIsBounded: who connects and says nothing is turned away, and
// many of them from one address keep out no other.
func TestHandshakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		l := newPipes()
		server := &Server{Source: &fakeSource{}, Sink: takeAll}
		start(t, func(ctx context.Context) error {
			return server.Serve(ctx, tls.NewListener(l, a.config()), a.identify)
		})
		var silent []net.Conn
		for range maxPerAddress + 1 {
			c, err := l.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			silent = append(silent, c)
		}
		if !server.greetings.enter("another", maxPerAddress, maxGreetings) {
			t.Error("another address is kept out")
		}
		server.greetings.leave("another")
		began := time.Now()
		for _, c := range silent {
			_, err := io.Copy(io.Discard, c)
			if err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d > helloTimeout+6*time.Second { // the alert takes its time too
			t.Errorf("they are gone after %v", d)
		}
	})
}
