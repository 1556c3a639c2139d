package dhcp

import (
	"log/slog"
	"net/netip"
	"time"
)

// EventKind says what a client's packet led to.
type EventKind string

// The kinds of events.
const (
	Offered  EventKind = "offered"  // DISCOVER answered with OFFER
	Acked    EventKind = "acked"    // REQUEST answered with ACK
	Refused  EventKind = "refused"  // REQUEST answered with NAK
	Released EventKind = "released" // RELEASE taken note of
	Declined EventKind = "declined" // DECLINE: the client says its address is in use
	Informed EventKind = "informed" // INFORM answered with ACK
)

// Event is one exchange with a known client, for reports and logs.
type Event struct {
	Kind EventKind
	MAC  MAC
	// Addr is the address that the network has for the client.
	Addr netip.Addr
	// Name is the host name that the client was told.
	Name string
	// Time is when the packet was looked at.
	Time time.Time
	// Expires is the end of the lease; only for Acked, and not for ever.
	Expires time.Time
	// Asked is the address that the client wanted; only for Refused.
	Asked netip.Addr
	// Omitted are options that did not fit into what the client accepts.
	Omitted []uint8
}

// LogValue gives the event as a group of attributes.
func (e Event) LogValue() slog.Value {
	at := []slog.Attr{
		slog.String("kind", string(e.Kind)),
		slog.String("mac", e.MAC.String()),
		slog.String("addr", e.Addr.String()),
	}
	if e.Asked.IsValid() {
		at = append(at, slog.String("asked", e.Asked.String()))
	}
	if len(e.Omitted) > 0 {
		at = append(at, slog.Any("omitted", e.Omitted))
	}
	return slog.GroupValue(at...)
}
