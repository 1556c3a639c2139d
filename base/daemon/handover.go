package daemon

import (
	"encoding/json"
	"fmt"
	"os"
)

// Item is one thing that a worker holds for an owner: sockets, and what it
// must know to serve them.
type Item struct {
	Key string `json:"key"` // "router/<id>"; 1 to 256 bytes; unique in its worker
	// Sockets says what the sockets are bound to, in the owner's words; a worker
	// only keeps it. At most 256 bytes.
	Sockets string          `json:"sockets,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"` // JSON for the worker, at most MaxData bytes; may be empty
}

// Bounds of what one Put may carry.
const (
	MaxData  = 4 << 20
	MaxFiles = 8
	maxKey   = 256
)

// Handler is what a worker does with the things handed to it. [ServeHandover]
// makes one call at a time, whatever the number of owners connected.
type Handler interface {
	// Put takes item over, and with it the files: the handler closes them,
	// also when it fails. For a key that it holds already, no files means
	// new Data with the same sockets; files replace the sockets. No files
	// for an unknown key is an error.
	Put(item Item, files []*os.File) error
	// Remove closes what belongs to key; an unknown key is no error.
	Remove(key string) error
	// List returns the items that are held, each as it was last put, sorted by
	// key.
	List() []Item
}

// Operations of the protocol. Each frame is a length (4 bytes, big endian)
// and a JSON document; files travel with the first byte. The worker answers
// every request with one final frame, and a list or a take with a frame per item
// before.
const (
	opPut    = "put"
	opRemove = "remove"
	opList   = "list"
	opStop   = "stop"
	opTake   = "take" // a list whose items come with their files
)

type request struct {
	Op   string `json:"op"`
	Item Item   `json:"item"`
}

type reply struct {
	Item  *Item  `json:"item,omitempty"` // one of a list; more follows
	PID   int    `json:"pid,omitempty"`  // to a list or a stop: who answers
	Error string `json:"error,omitempty"`
}

func (i Item) check() error {
	if i.Key == "" || len(i.Key) > maxKey {
		return fmt.Errorf("hand over: key of %d bytes, want 1 to %d", len(i.Key), maxKey)
	}
	if len(i.Sockets) > maxKey {
		return fmt.Errorf("hand over %s: %d bytes about its sockets, at most %d", i.Key, len(i.Sockets), maxKey)
	}
	if len(i.Data) > MaxData {
		return fmt.Errorf("hand over %s: %d bytes of data, at most %d", i.Key, len(i.Data), MaxData)
	}
	return nil
}
