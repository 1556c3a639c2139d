package cloud

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error; each API dialect has one table
// from kind to status.
type Kind uint8

// The kinds of error.
const (
	Internal     Kind = iota // our fault; the text is not for clients
	Invalid                  // the request is malformed or breaks a rule
	Unauthorized             // no or no valid token
	Forbidden                // a valid token without the right
	NotFound                 // it does not exist, or not for this project
	Conflict                 // it clashes with the present state
	Unavailable              // worth a retry later
	TooLarge                 // over a limit of size or number
)

// Error is an error of a known kind with a text for the client.
type Error struct {
	Kind Kind
	// Text says what is wrong and names the thing. It reaches the client.
	Text string
	// Reason is an optional machine-readable name in the dialect's own words,
	// such as Neutron's "IpAddressInUse".
	Reason string
}

func (e *Error) Error() string { return e.Text }

// Errorf returns an error of kind k.
func Errorf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first [Error] in err's chain; any other error
// is [Internal].
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// ErrNotFound is a miss in a look-up by key. errors.Is matches it against any
// error of kind [NotFound].
var ErrNotFound error = &Error{Kind: NotFound, Text: "not found"}

// ErrConflict says that a commit lost against another writer: the record
// changed, exists already, or a claim is taken. A caller reads again and
// decides again. errors.Is matches it against any error of kind [Conflict].
var ErrConflict error = &Error{Kind: Conflict, Text: "conflict"}

// Is makes [ErrNotFound] and [ErrConflict] match every error of their kind.
func (e *Error) Is(target error) bool {
	return (target == ErrNotFound && e.Kind == NotFound) || (target == ErrConflict && e.Kind == Conflict)
}
