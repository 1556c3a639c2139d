package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// fakeLink hands what is sent to answer, and its results back to the client.
type fakeLink struct {
	answer   func(m *dhcpv4.DHCPv4) [][]byte
	sent     []time.Duration // since the start
	start    time.Time
	in       chan []byte
	deadline time.Time
	wake     chan struct{}
}

func newFakeLink(answer func(m *dhcpv4.DHCPv4) [][]byte) *fakeLink {
	return &fakeLink{answer: answer, start: time.Now(), in: make(chan []byte, 64), wake: make(chan struct{}, 1)}
}

func (l *fakeLink) Send(b []byte) error {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return err
	}
	l.sent = append(l.sent, time.Since(l.start))
	for _, a := range l.answer(m) {
		l.in <- a
	}
	return nil
}

func (l *fakeLink) Receive([]byte) ([]byte, error) {
	select {
	case b := <-l.in:
		return b, nil
	case <-time.After(time.Until(l.deadline)):
	case <-l.wake:
	}
	return nil, os.ErrDeadlineExceeded
}

func (l *fakeLink) SetReadDeadline(t time.Time) error {
	if t.Unix() == 1 {
		l.wake <- struct{}{}
		return nil
	}
	l.deadline = t
	return nil
}

func (l *fakeLink) Close() error { return nil }

var testInterface = &net.Interface{Name: "eth0", HardwareAddr: testMAC[:]}

// served answers as the server does, by way of edit.
func served(edit func(m, reply *dhcpv4.DHCPv4) *dhcpv4.DHCPv4) func(*dhcpv4.DHCPv4) [][]byte {
	return func(m *dhcpv4.DHCPv4) [][]byte {
		b, _, _, _ := testNetwork().Reply(m.ToBytes(), testNow)
		reply, err := dhcpv4.FromBytes(b)
		if err != nil {
			return nil
		}
		if reply = edit(m, reply); reply == nil {
			return nil
		}
		return [][]byte{reply.ToBytes()}
	}
}

func asIs(_, r *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 { return r }

func TestSessionPassesOverWhatIsNotForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		honest := served(asIs)
		l := newFakeLink(func(m *dhcpv4.DHCPv4) [][]byte {
			right := honest(m)[0]
			otherXID, otherMAC, request := append([]byte(nil), right...), append([]byte(nil), right...), append([]byte(nil), right...)
			otherXID[4] ^= 1
			otherMAC[28] ^= 1
			request[0] = 1
			return [][]byte{nil, []byte("noise"), otherXID, otherMAC, request, right}
		})
		s := (&Client{}).session(t.Context(), l, testInterface)
		defer s.stop()
		lease, err := s.acquire()
		if err != nil || lease.Address != netip.MustParsePrefix("17.17.17.5/24") || len(l.sent) != 2 {
			t.Fatalf("%+v, %v after %d packets", lease, err, len(l.sent))
		}
	})
}

func TestSessionRepeatsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLink(func(*dhcpv4.DHCPv4) [][]byte { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		s := (&Client{}).session(ctx, l, testInterface)
		defer s.stop()
		_, err := s.acquire()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if took := time.Since(l.start); took != 3*time.Minute {
			t.Errorf("ended after %s", took)
		}
		if len(l.sent) < 8 || l.sent[1] > 700*time.Millisecond || l.sent[4] < 5*time.Second {
			t.Errorf("sent at %s", l.sent)
		}
	})
}

func TestSessionRefused(t *testing.T) {
	nak := func(m, r *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			r.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeNak))
		}
		return r
	}
	silent := func(m, r *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			return nil
		}
		return r
	}
	stranger := func(m, r *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			r.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4(6, 6, 6, 6)))
		}
		return r
	}
	for name, edit := range map[string]func(m, r *dhcpv4.DHCPv4) *dhcpv4.DHCPv4{
		"nak": nak, "silence after the offer": silent, "another server's ack": stranger,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := (&Client{}).session(t.Context(), newFakeLink(served(edit)), testInterface)
				defer s.stop()
				if l, err := s.acquire(); !errors.Is(err, ErrRefused) {
					t.Fatalf("%+v, %v", l, err)
				}
			})
		})
	}
}

func TestLimiter(t *testing.T) {
	l, now := limiter{}, testNow
	passed := 0
	for range 1000 {
		if l.allow(testMAC, now, 1) {
			passed++
		}
		now = now.Add(time.Millisecond)
	}
	if passed < burst || passed > burst+perSecond {
		t.Errorf("%d of 1000 packets in a second passed", passed)
	}
	if !l.allow(MAC{1}, now, 1) {
		t.Error("one client's flood silenced another")
	}
	for i := range 10_000 {
		l.allow(MAC{2, byte(i >> 8), byte(i)}, now.Add(time.Duration(i)*time.Second), 1)
	}
	if len(l) > slack+1 {
		t.Errorf("remembers %d clients of 1", len(l))
	}
}
