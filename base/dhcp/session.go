package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// session is one attempt to get a lease over one link.
type session struct {
	ctx   context.Context
	stop  context.CancelFunc
	link  link
	ifi   *net.Interface
	name  string
	log   *slog.Logger
	began time.Time
	buf   [maxPacket + 28]byte
}

// requestTries is how often an offer is asked for before a new search.
const requestTries = 3

// errSilence says that nobody answered in the tries there were.
var errSilence = errors.New("no answer")

// acquire is DISCOVER, OFFER, REQUEST, ACK. RFC 2131 3.1.
func (s *session) acquire() (Lease, error) {
	offer, err := s.converse(0, isOffer, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
	if err != nil {
		return Lease{}, err
	}
	server, _ := address(offer.ServerIdentifier())
	lease, err := s.confirm(requestTries, server,
		dhcpv4.WithTransactionID(offer.TransactionID),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier())),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr)))
	if errors.Is(err, errSilence) {
		return Lease{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return lease, err
}

// confirm sends a REQUEST and takes the ACK of the given server, or of any.
func (s *session) confirm(tries int, server netip.Addr, mods ...dhcpv4.Modifier) (Lease, error) {
	verdict := func(m *dhcpv4.DHCPv4) bool {
		from, ok := address(m.ServerIdentifier())
		mt := m.MessageType()
		return ok && (!server.IsValid() || from == server) &&
			(mt == dhcpv4.MessageTypeAck || mt == dhcpv4.MessageTypeNak)
	}
	mods = append(mods, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest))
	ack, err := s.converse(tries, verdict, mods...)
	if err != nil {
		return Lease{}, err
	}
	if ack.MessageType() == dhcpv4.MessageTypeNak {
		return Lease{}, fmt.Errorf("lease on %s: %w", s.ifi.Name, ErrRefused)
	}
	return newLease(s.ifi.Name, ack, time.Now())
}

func isOffer(m *dhcpv4.DHCPv4) bool {
	_, host := address(m.YourIPAddr)
	_, server := address(m.ServerIdentifier())
	return m.MessageType() == dhcpv4.MessageTypeOffer && host && server
}

// converse sends one message again and again until an answer that suits comes
// in. tries of zero means until the context ends.
func (s *session) converse(tries int, suits func(*dhcpv4.DHCPv4) bool, mods ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	m, err := s.message(mods...)
	if err != nil {
		return nil, err
	}
	for n := 0; tries == 0 || n < tries; n++ {
		m.NumSeconds = uint16(min(time.Since(s.began)/time.Second, 0xffff))
		// Sending may fail while the link comes up; the next try may not.
		sendErr := s.link.Send(padded(m.ToBytes()))
		s.log.Debug("dhcp sent", "interface", s.ifi.Name, "type", m.MessageType().String(), "try", n+1, "error", sendErr)
		answer, err := s.await(m.TransactionID, delay(n), suits)
		if err == nil || !errors.Is(err, errSilence) {
			return answer, err
		}
	}
	return nil, fmt.Errorf("dhcp on %s: %w", s.ifi.Name, errSilence)
}

// padded brings a message to the least length that BOOTP's relays and servers
// may expect. RFC 1542 2.1.
func padded(b []byte) []byte {
	if short := minPacket - len(b); short > 0 {
		b = append(b, make([]byte, short)...)
	}
	return b
}

func (s *session) message(mods ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	base := []dhcpv4.Modifier{
		dhcpv4.WithHwAddr(s.ifi.HardwareAddr),
		dhcpv4.WithRequestedOptions(wanted...),
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(maxPacket + 28)),
	}
	if s.name != "" {
		base = append(base, dhcpv4.WithOption(dhcpv4.OptHostName(s.name)))
	}
	m, err := dhcpv4.New(append(base, mods...)...)
	if err != nil {
		return nil, fmt.Errorf("dhcp on %s: %w", s.ifi.Name, err)
	}
	return m, nil
}

// await reads until a suitable answer to the transaction arrives. What is not
// one is passed over: anybody may send to this port.
func (s *session) await(xid dhcpv4.TransactionID, d time.Duration, suits func(*dhcpv4.DHCPv4) bool) (*dhcpv4.DHCPv4, error) {
	until := time.Now().Add(d)
	for {
		if err := s.deadline(until); err != nil {
			return nil, err
		}
		b, err := s.link.Receive(s.buf[:])
		switch {
		case s.ctx.Err() != nil:
			return nil, s.ended()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errSilence
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed):
			return nil, fmt.Errorf("dhcp on %s: %w", s.ifi.Name, err)
		case err != nil:
			// The link is down for the moment, or nobody listens at the server.
			if err := s.wait(time.Until(until)); err != nil {
				return nil, err
			}
			return nil, errSilence
		}
		m, err := dhcpv4.FromBytes(b)
		if err == nil && m.OpCode == dhcpv4.OpcodeBootReply && m.TransactionID == xid &&
			string(m.ClientHWAddr) == string(s.ifi.HardwareAddr) && suits(m) {
			return m, nil
		}
	}
}

// deadline sets the link's, unless the context has already ended and set its own.
func (s *session) deadline(t time.Time) error {
	err := s.link.SetReadDeadline(t)
	if s.ctx.Err() != nil {
		return s.ended()
	}
	if err != nil {
		return fmt.Errorf("dhcp on %s: %w", s.ifi.Name, err)
	}
	return nil
}

func (s *session) pause() error { return s.wait(delay(1)) }

func (s *session) wait(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return s.ended()
	}
}

func (s *session) ended() error {
	return fmt.Errorf("dhcp on %s: no lease after %s: %w",
		s.ifi.Name, time.Since(s.began).Round(time.Millisecond), context.Cause(s.ctx))
}
