package store

import (
	"context"
	"errors"

	"imprint/host/cloud"
)

// Engine keeps keys, values and the revision of each key's last change. Every
// transaction that changes something raises the engine's revision by one.
//
// All methods are safe for concurrent use. While the engine is away they
// return an error of kind cloud.Unavailable within a few seconds.
type Engine interface {
	// Get returns the key's last version; a key that does not exist comes back
	// with Revision 0.
	Get(ctx context.Context, key string) (KV, error)
	// List returns every key that begins with prefix, in the order of the keys,
	// as they all were at one revision, and that revision.
	List(ctx context.Context, prefix string) ([]KV, int64, error)
	// Txn makes all changes of t when all its conditions hold, and returns their
	// revision once they are durable. When a condition fails nothing changes and
	// the error is a [*CompareError].
	Txn(ctx context.Context, t EngineTxn) (int64, error)
	// Watch calls on with every change of the keys that begin with prefix, from
	// revision from on, until ctx ends (its error), on fails (that error), or
	// the engine is away. The events of one revision come in one call, revisions
	// in their order. A revision that was compacted is [ErrCompacted], and so is
	// one after the next, which a store that was put back to an earlier state
	// has forgotten: the caller lists again.
	Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error
	// Close ends all calls and lets go of the engine's files. It is called once.
	Close() error
}

// KV is a key with its value.
type KV struct {
	Key      string
	Value    []byte // not to be changed
	Revision int64  // of the last change; 0: the key does not exist
}

// Event is one change of one key.
type Event struct {
	KV      // Revision is that of the change, of a deletion too
	Deleted bool
}

// EngineTxn is a set of changes under conditions.
type EngineTxn struct {
	If   []Compare
	Then []Op // every key at most once
}

// Compare holds while the key's last change is at Revision; 0 demands that
// the key does not exist.
type Compare struct {
	Key      string
	Revision int64
}

// Op puts a value, or deletes the key. Deleting a key that does not exist is
// no error.
type Op struct {
	Key    string
	Value  []byte // not to be changed after the call
	Delete bool
}

// CompareError says which condition of a transaction did not hold.
type CompareError struct{ Key string }

func (e *CompareError) Error() string { return e.Key + " has another revision" }

// ErrCompacted says that the history from a revision on is not kept.
var ErrCompacted = errors.New("the store's history was compacted")

// Limits of one transaction; more is an error of kind cloud.TooLarge.
const (
	// MaxOps bounds the conditions, and the changes, of a transaction. A record
	// is one of each, and so is a claim that it takes.
	MaxOps = 128
	// MaxBytes bounds keys and values of a transaction taken together.
	MaxBytes = 1536 << 10
)

// check returns an error when t is over the limits.
func (t EngineTxn) check() error {
	if n := max(len(t.If), len(t.Then)); n > MaxOps {
		return cloud.Errorf(cloud.TooLarge, "a transaction of %d records and claims; at most %d", n, MaxOps)
	}
	size := 0
	for _, c := range t.If {
		size += len(c.Key)
	}
	for _, op := range t.Then {
		size += len(op.Key) + len(op.Value)
	}
	if size > MaxBytes {
		return cloud.Errorf(cloud.TooLarge, "a transaction of %d bytes; at most %d", size, MaxBytes)
	}
	return nil
}
