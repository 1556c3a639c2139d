package store

import (
	"log/slog"
	"time"
)

// Options say where a store lies and what it uses.
type Options struct {
	// Dir is the directory of the embedded etcd; it is made with mode 0700. It
	// is used only when Engine is nil.
	Dir string
	// Engine is used instead of an embedded etcd, such as that of [OpenRemote].
	// The store closes it.
	Engine Engine
	// Key is the path of the file with the key that seals secret fields. It is
	// made, mode 0600, when the store is opened for the first time, and should
	// not lie below Dir. Empty means a random key that is kept nowhere; it is
	// refused without an Engine, since nobody could read the store again. With
	// ReadOnly, empty means that no key is needed: secret fields stay empty.
	Key string
	// ReadOnly makes the store refuse Commit and NextNumber with [ErrReadOnly].
	// It writes nothing, neither into the engine nor a key file, and needs an
	// Engine.
	ReadOnly bool
	// Now is the clock of the records' times; nil is time.Now.
	Now func() time.Time
	// Log gets what happens; nil discards.
	Log *slog.Logger
}
