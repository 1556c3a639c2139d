package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"imprint/host/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSource gives each node what the test sets.
type fakeSource struct {
	mu    sync.Mutex
	nodes map[string]chan cloud.Slice
	asked []string
}

func (f *fakeSource) channel(node string) chan cloud.Slice {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes == nil {
		f.nodes = map[string]chan cloud.Slice{}
	}
	if f.nodes[node] == nil {
		f.nodes[node] = make(chan cloud.Slice)
	}
	return f.nodes[node]
}

func (f *fakeSource) Slices(ctx context.Context, peer Peer) <-chan cloud.Slice {
	in, out := f.channel(peer.Node), make(chan cloud.Slice)
	f.mu.Lock()
	f.asked = append(f.asked, peer.Node)
	f.mu.Unlock()
	go func() {
		defer close(out)
		for {
			select {
			case s := <-in:
				select {
				case out <- s:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// pipes is a listener whose connections are net.Pipes, and their dialer.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("nobody listens")
	}
}

var everyPart = Parts{Network: true, Compute: true, Metadata: true}

func is(node string) func(net.Conn) (Peer, error) { return as(Peer{node, everyPart}) }

func as(p Peer) func(net.Conn) (Peer, error) {
	return func(net.Conn) (Peer, error) { return p, nil }
}

func takeAll(context.Context, string, cloud.Report) error { return nil }

// start runs f until the test ends, which it must survive without an error.
func start(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func serve(t *testing.T, s *Server, l net.Listener, node string) (stop func()) {
	return start(t, func(ctx context.Context) error { return s.Serve(ctx, l, is(node)) })
}

func run(t *testing.T, c *Client, on func(cloud.Slice)) (stop func()) {
	return start(t, func(ctx context.Context) error { return c.Run(ctx, on) })
}

func sliceWith(ids ...string) cloud.Slice {
	s := cloud.NewSlice()
	for _, id := range ids {
		s.Networks[cloud.NetworkID(id)] = cloud.DesiredNetwork{ID: cloud.NetworkID(id), MTU: 1450}
	}
	return s
}

func TestSlicesOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	source := &fakeSource{}
	serve(t, &Server{Source: source, Sink: takeAll}, l, "n1")
	got := make(chan cloud.Slice)
	c := &Client{Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	run(t, c, func(s cloud.Slice) {
		select {
		case got <- s:
		case <-t.Context().Done():
		}
	})
	full := fullSlice()
	fewer := full.Clone()
	delete(fewer.Ports, "p1")
	delete(fewer.Routers, "r1")
	i := fewer.Instances["s1"]
	i.Power = cloud.PowerOff
	fewer.Instances["s1"] = i
	for _, want := range []cloud.Slice{cloud.NewSlice(), full, fewer} {
		source.channel("n1") <- want
		if diff := cmp.Diff(want, <-got, cmpComparable); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"n1"}, source.asked); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyChangesAreSent(t *testing.T) {
	old := fullSlice()
	changed := old.Clone()
	delete(changed.Ports, "p1")
	changed.Networks["n2"] = cloud.DesiredNetwork{ID: "n2"}
	var got []string
	err := diff(old, changed, func(f frame) error {
		got = append(got, fmt.Sprint(f.Type, " ", f.Kind, " ", f.ID))
		return nil
	})
	if want := []string{"set network n2", "remove port p1"}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestSlowNodeGetsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, l := &fakeSource{}, newPipes()
		server := &Server{Source: source, Sink: takeAll}
		serve(t, server, l, "n1")
		var seen []int
		release := make(chan struct{})
		run(t, &Client{Dial: l.dial}, func(s cloud.Slice) {
			seen = append(seen, len(s.Networks))
			<-release
		})
		in := source.channel("n1")
		in <- sliceWith("0")
		synctest.Wait()
		for n := range 100 { // the client is busy with the first: none of these may block
			var ids []string
			for i := range n + 2 {
				ids = append(ids, fmt.Sprint(i))
			}
			in <- sliceWith(ids...)
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		if want := []int{1, 101}; !cmp.Equal(seen, want) {
			t.Errorf("the client saw %v, want %v", seen, want)
		}
	})
}

func TestStuckNodeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, l := &fakeSource{}, newPipes()
		serve(t, &Server{Source: source, Sink: takeAll}, l, "n1")
		conn, err := l.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := writeFrame(conn, frame{Type: typeHello, Version: version}, maxReport); err != nil {
			t.Fatal(err)
		}
		if f, err := readFrame(conn, maxReport); err != nil || f.Node != "n1" {
			t.Fatalf("%+v, %v", f, err)
		}
		source.channel("n1") <- sliceWith("a") // the node reads no more
		time.Sleep(writeTimeout + time.Second)
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("the connection is still there")
		}
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		run(t, &Client{Dial: l.dial}, func(cloud.Slice) {})
		for range 2 { // connects, hears nothing, connects again
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readFrame(conn, maxReport); err != nil {
				t.Fatal(err)
			}
			if err := writeFrame(conn, frame{Type: typeHello, Version: version, Node: "n1"}, maxReport); err != nil {
				t.Fatal(err)
			}
			began, beats := time.Now(), 0
			for err == nil {
				var f frame
				if f, err = readFrame(conn, maxReport); f.Type == typeBeat {
					beats++
				}
			}
			conn.Close()
			if d := time.Since(began); d != 3*defaultHeartbeat || beats < 2 {
				t.Errorf("left after %v and %d beats", d, beats)
			}
		}
		l.Close()
	})
}

func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, l := &fakeSource{}, newPipes()
		server := &Server{Source: source, Sink: takeAll}
		stop := serve(t, server, l, "n1")
		var seen []string
		var dials atomic.Int32
		var current atomic.Pointer[pipes]
		current.Store(l)
		run(t, &Client{Dial: func(ctx context.Context) (net.Conn, error) {
			dials.Add(1)
			return current.Load().dial(ctx)
		}}, func(s cloud.Slice) {
			var ids []string
			for id := range s.Networks {
				ids = append(ids, string(id))
			}
			seen = append(seen, strings.Join(ids, " "))
		})
		source.channel("n1") <- sliceWith("old")
		synctest.Wait()
		stop()
		time.Sleep(time.Hour)
		if n := dials.Load(); n < 300 || n > 1000 {
			t.Errorf("%d dials in an hour", n)
		}
		current.Store(newPipes())
		serve(t, server, current.Load(), "n1")
		source.channel("n1") <- sliceWith("new") // what is gone is not told, it is absent
		synctest.Wait()
		if want := []string{"old", "new"}; !cmp.Equal(seen, want) {
			t.Errorf("the client saw %q, want %q", seen, want)
		}
	})
}

func TestTurnedAway(t *testing.T) {
	cases := []struct {
		name     string
		identify func(net.Conn) (Peer, error)
		first    frame
		want     string
	}{
		{"unknown peer", func(net.Conn) (Peer, error) { return Peer{}, errors.New("who?") }, frame{}, "EOF"},
		{"peer without a name", is(""), frame{}, "EOF"},
		{"other protocol", is("n1"), frame{Type: typeHello, Version: version - 1}, fmt.Sprintf("protocol version %d is wanted, hello %d came", version, version-1)},
		{"no hello", is("n1"), frame{Type: typeReport}, fmt.Sprintf("protocol version %d is wanted, report 0 came", version)},
		{"no part", as(Peer{Node: "n1"}), frame{Type: typeHello, Version: version}, "node n1 has no part that the feed serves"},
		{"silence", is("n1"), frame{}, "EOF"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, l := &fakeSource{}, newPipes()
				s := &Server{Source: source, Sink: takeAll}
				start(t, func(ctx context.Context) error { return s.Serve(ctx, l, tc.identify) })
				conn, err := l.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if tc.first.Type != "" {
					if err := writeFrame(conn, tc.first, maxReport); err != nil {
						t.Fatal(err)
					}
				}
				f, err := readFrame(conn, maxReport)
				if err == nil && f.Type != typeRefuse {
					t.Errorf("frame %+v", f)
				}
				if got := fmt.Sprint(f.Error); err != nil && err.Error() != tc.want || err == nil && got != tc.want {
					t.Errorf("got %q, %v, want %q", got, err, tc.want)
				}
				if len(source.asked) != 0 {
					t.Errorf("slices of %v were asked for", source.asked)
				}
			})
		})
	}
}

func TestTooManyConnectionsOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		serve(t, &Server{Source: &fakeSource{}, Sink: takeAll}, l, "n1")
		for i := range maxPerPart + 1 {
			c := &Client{Dial: l.dial}
			conn, err := c.open(t.Context())
			if over := i == maxPerPart; (err != nil) != over {
				t.Errorf("connection %d: %v", i, err)
			}
			if err == nil {
				defer conn.Close()
			}
		}
	})
}
