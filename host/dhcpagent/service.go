package dhcpagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"imprint/base/dhcp"
	"imprint/host/dns"
)

// tasks answer on sockets until they are stopped.
type tasks struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	dead   atomic.Bool
	socks  []io.Closer
	log    *slog.Logger
}

func (t *tasks) run(ctx context.Context, name string, f func(context.Context) error) {
	t.group.Go(func() {
		if err := f(ctx); err != nil {
			t.dead.Store(true)
			t.log.Error("socket lost", "service", name, "error", err)
		}
	})
}

func (t *tasks) lost() bool { return t.dead.Load() }

func (t *tasks) stop() {
	t.cancel()
	for _, s := range t.socks {
		s.Close()
	}
	t.group.Wait()
}

// network is the service of one network.
type network struct {
	tasks
	now atomic.Pointer[answers]
}

// newNetwork starts DHCP and DNS on the files of openSockets.
func newNetwork(ctx context.Context, data json.RawMessage, files []*os.File, log *slog.Logger) (service, error) {
	n := &network{tasks: tasks{log: log}}
	if err := n.tell(data); err != nil {
		return nil, err
	}
	s, err := openedSockets(files)
	n.socks = s.all
	if err != nil {
		for _, c := range s.all {
			c.Close()
		}
		return nil, err
	}
	ctx, n.cancel = context.WithCancel(ctx)
	on := func(e dhcp.Event) { log.Info("dhcp", "event", e) }
	n.run(ctx, "dhcp", func(ctx context.Context) error {
		return dhcp.Serve(ctx, s.dhcp4, func() *dhcp.Network { return n.now.Load().dhcp4 }, on, log)
	})
	n.run(ctx, "dns", dns.Server{UDP: s.names, TCP: s.stream, Zone: func() *dns.Zone { return n.now.Load().names }, Log: log}.Serve)
	if s.dhcp6 != nil {
		n.run(ctx, "dhcpv6", func(ctx context.Context) error {
			return dhcp.Serve6(ctx, s.dhcp6, func() *dhcp.Network6 { return n.now.Load().dhcp6 }, on, log)
		})
	}
	return n, nil
}

func (n *network) tell(data json.RawMessage) error {
	var told served
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	a, notes, err := told.answers()
	if err != nil {
		return err
	}
	if len(notes) > 0 {
		n.log.Warn("not all ports are served as they ask", "number", len(notes), "error", notes[0])
	}
	n.now.Store(&a)
	return nil
}

// sockets are what openSockets opened, as it comes out of a handover.
type sockets struct {
	dhcp4, dhcp6, names *net.UDPConn
	stream              *net.TCPListener
	all                 []io.Closer
}

func openedSockets(files []*os.File) (s sockets, err error) {
	if len(files) != 3 && len(files) != 4 {
		return s, fmt.Errorf("%d sockets, want three or four", len(files))
	}
	for i, into := range []**net.UDPConn{&s.dhcp4, &s.names, nil, &s.dhcp6} {
		if i >= len(files) || into == nil {
			continue
		}
		conn, err := net.FilePacketConn(files[i])
		if err != nil {
			return s, err
		}
		s.all = append(s.all, conn)
		udp, ok := conn.(*net.UDPConn)
		if !ok {
			return s, errors.New("not a UDP socket")
		}
		*into = udp
	}
	l, err := net.FileListener(files[2])
	if err != nil {
		return s, err
	}
	s.all = append(s.all, l)
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return s, errors.New("not a TCP listener")
	}
	s.stream = tcp
	return s, nil
}

// advertiser is the service of one leg of a router.
type advertiser struct {
	tasks
	now atomic.Pointer[dhcp.Advertisement]
}

func newAdvertiser(ctx context.Context, data json.RawMessage, files []*os.File, log *slog.Logger) (service, error) {
	a := &advertiser{tasks: tasks{log: log}}
	if err := a.tell(data); err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%d sockets, want one", len(files))
	}
	conn, err := net.FilePacketConn(files[0])
	if err != nil {
		return nil, err
	}
	raw, ok := conn.(*net.IPConn)
	if !ok {
		conn.Close()
		return nil, errors.New("not an ICMPv6 socket")
	}
	a.socks = []io.Closer{raw}
	ctx, a.cancel = context.WithCancel(ctx)
	a.run(ctx, "advertisements", func(ctx context.Context) error { return dhcp.Advertise(ctx, raw, a.now.Load, log) })
	return a, nil
}

func (a *advertiser) tell(data json.RawMessage) error {
	told := &dhcp.Advertisement{}
	if err := json.Unmarshal(data, told); err != nil {
		return err
	}
	a.now.Store(told)
	return nil
}
