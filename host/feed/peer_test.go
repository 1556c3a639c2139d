package feed

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
	"imprint/host/enroll"
)

// partSource gives each peer a network that is called after its parts.
type partSource struct{}

func (partSource) Slices(ctx context.Context, peer Peer) <-chan cloud.Slice {
	out := make(chan cloud.Slice, 1)
	out <- sliceWith(fmt.Sprint(peer))
	context.AfterFunc(ctx, func() { close(out) })
	return out
}

// TestEachPartIsKeptToItself: the processes of one node, each with the
// certificate of its own role, get their own slice and report their own things.
func TestEachPartIsKeptToItself(t *testing.T) {
	a := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := &recorder{}
	server := &Server{Source: partSource{}, Sink: sink.sink}
	start(t, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(l, a.config()), a.identify) })
	const notInstances, notPorts = "node n1 reports instances by its compute part only", "node n1 reports ports by its network or compute part only"
	cases := []struct {
		role       enroll.NodeRole
		parts      Parts
		acks, took []string
	}{
		{enroll.NetworkNode, Parts{Network: true}, []string{notInstances, ""}, []string{"n1: p true"}},
		{enroll.ComputeNode, Parts{Compute: true}, []string{"", ""}, []string{"n1: i active", "n1: p true"}},
		{enroll.MetadataAgent, Parts{Metadata: true}, []string{notInstances, notPorts}, nil},
	}
	for _, tc := range cases {
		t.Run(string(tc.role), func(t *testing.T) {
			id, _ := a.node(t, "n1", tc.role)
			c := &Client{Dial: func(ctx context.Context) (net.Conn, error) {
				return (&tls.Dialer{Config: id.ClientConfig(enroll.API)}).DialContext(ctx, "tcp", l.Addr().String())
			}}
			conn, err := c.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			sink.took = nil
			networks, acks := exchange(t, conn, instance("i", cloud.InstanceActive), port("p", true))
			if diff := cmp.Diff([]string{fmt.Sprint(Peer{"n1", tc.parts})}, networks); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.acks, acks); diff != "" {
				t.Error(diff)
			}
			sink.want(t, tc.took...)
		})
	}
}

// exchange sends reports, and returns the networks of the first slice and what
// each report is answered, "" for taken.
func exchange(t *testing.T, conn net.Conn, reports ...cloud.Report) (networks, acks []string) {
	t.Helper()
	for i, r := range reports {
		if err := writeFrame(conn, frame{Type: typeReport, Seq: int64(i), Report: &r}, maxReport); err != nil {
			t.Fatal(err)
		}
	}
	in := bufio.NewReader(conn)
	for synced := false; !synced || len(acks) < len(reports); {
		f, err := readFrame(in, maxRecord)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case typeSet:
			networks = append(networks, f.ID)
		case typeSynced:
			synced = true
		case typeAck:
			acks = append(acks, f.Error)
		}
	}
	return networks, acks
}

// TestChangedPartsEndTheConnection: the parts are looked at again too.
func TestChangedPartsEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		server := &Server{Source: partSource{}, Sink: takeAll}
		var now atomic.Pointer[Peer]
		now.Store(&Peer{"n1", Parts{Network: true, Compute: true}})
		start(t, func(ctx context.Context) error {
			return server.Serve(ctx, l, func(net.Conn) (Peer, error) { return *now.Load(), nil })
		})
		var seen []string
		run(t, &Client{Dial: l.dial}, func(s cloud.Slice) {
			for id := range s.Networks {
				seen = append(seen, string(id))
			}
		})
		time.Sleep(time.Hour)
		now.Store(&Peer{"n1", Parts{Network: true}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"{n1 {true true false}}", "{n1 {true false false}}"}, seen); diff != "" {
			t.Error(diff)
		}
	})
}
