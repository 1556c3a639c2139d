package feed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"imprint/host/cloud"
)

// version of the protocol; both sides must have the same.
const version = 2

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
	typeAsk    = "ask"    // server: for an instance's console
	typeAnswer = "answer" // node: to an ask, once
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

	Kind string `json:"kind,omitempty"` // set, remove; answer: of its error, if it is one
	ID   string `json:"id,omitempty"`   // set, remove, ask
	// Revision counts the batches of a connection from 1: set, remove, synced.
	Revision int64           `json:"revision,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"` // set

	// Seq is counted by the node for reports, and by the server for questions.
	Seq    int64         `json:"seq,omitempty"`    // report, ack, again; ask, answer
	Report *cloud.Report `json:"report,omitempty"` // report
	Error  string        `json:"error,omitempty"`  // refuse, ack, again, answer

	Lines int `json:"lines,omitempty"` // ask
	// Text is bytes so that JSON (in base64) makes it longer by a third, and not
	// as the guest likes.
	Text []byte `json:"text,omitempty"` // answer
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
	n, err := readSize(r)
	if err != nil {
		return frame{}, err
	}
	return readBody(r, n, limit)
}

// readSize reads the size of the frame that comes.
func readSize(r io.Reader) (uint32, error) {
	var head [4]byte
	_, err := io.ReadFull(r, head[:])
	return binary.BigEndian.Uint32(head[:]), err
}

func readBody(r io.Reader, n uint32, limit int) (frame, error) {
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

// errorKinds are the names of the kinds of error.
var errorKinds = [...]string{
	cloud.Internal: "internal", cloud.Invalid: "invalid", cloud.Unauthorized: "unauthorized",
	cloud.Forbidden: "forbidden", cloud.NotFound: "not-found", cloud.Conflict: "conflict",
	cloud.Unavailable: "unavailable", cloud.TooLarge: "too-large",
}

func kindName(k cloud.Kind) string {
	if int(k) >= len(errorKinds) {
		k = cloud.Internal
	}
	return errorKinds[k]
}

// kindNamed returns the kind of that name, cloud.Internal for any other.
func kindNamed(name string) cloud.Kind {
	return cloud.Kind(max(0, slices.Index(errorKinds[:], name)))
}
