package feed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"imprint/host/cloud"
)

// version of the protocol; both sides must have the same.
const version = 1

// The types of frame.
const (
	typeHello  = "hello"  // both, first
	typeRefuse = "refuse" // server, instead of its hello
	typeSet    = "set"    // server: a record is new or has changed
	typeRemove = "remove" // server: a record is gone
	typeSynced = "synced" // server: the slice of this revision is complete
	typeBeat   = "beat"   // both
	typeReport = "report" // node
	typeAck    = "ack"    // server: a report was taken, or refused for good
	typeAgain  = "again"  // server: a report could not be taken now
)

// The kinds of record in a slice.
const (
	kindNetwork  = "network"
	kindRouter   = "router"
	kindPort     = "port"
	kindInstance = "instance"
)

// frame is one message; which fields it has depends on its type.
type frame struct {
	Type    string `json:"type"`
	Version int    `json:"version,omitempty"` // hello
	Node    string `json:"node,omitempty"`    // hello of the server: who it takes the client for

	Kind string `json:"kind,omitempty"` // set, remove
	ID   string `json:"id,omitempty"`
	// Revision counts the batches of a connection from 1: set, remove, synced.
	Revision int64           `json:"revision,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"` // set

	Seq    int64         `json:"seq,omitempty"`    // report, ack, again
	Report *cloud.Report `json:"report,omitempty"` // report
	Error  string        `json:"error,omitempty"`  // refuse, ack, again
}

// writeFrame sends f whole; a frame over limit is an error and not sent.
func writeFrame(w io.Writer, f frame, limit int) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode %s frame: %w", f.Type, err)
	}
	if len(body) > limit {
		return fmt.Errorf("%s frame of %d bytes; at most %d: %w", f.Type, len(body), limit, errTooLarge)
	}
	buf := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(buf, body...))
	return err
}

var errTooLarge = errors.New("too large")

// readFrame reads one frame of at most limit bytes.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return frame{}, fmt.Errorf("frame of %d bytes; at most %d: %w", n, limit, errTooLarge)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(body, &f); err != nil {
		return frame{}, fmt.Errorf("decode frame: %w", err)
	}
	return f, nil
}
