// Package feed brings each node its own slice of what is wanted, and the
// node's reports back, over any stream that is private to the two: a unix
// socket, or TLS with certificates on both sides.
//
// The server knows the node, and for which parts of it the connection speaks,
// from the connection, never from what it says, and sends nothing but their
// part of that node's slice: all of it at first, then only the
// records that changed. The client keeps the last slice while it is away, and
// sends a report again until the server has taken it.
//
// A frame is its length in bytes (4 bytes, big endian) and a JSON document.
// Both sides begin with a hello that names the protocol's version. A batch of
// "set" and "remove" frames ends with "synced": then the node has a whole and
// consistent slice. The server may ask the compute part of a node for an
// instance's console; only then may the node send a large frame, its answer.
// Both sides send "beat" when they have nothing else to say.
package feed

import (
	"context"
	"time"

	"imprint/host/cloud"
)

// Source knows what each node, and each part of it, is to realise.
type Source interface {
	// Slices returns a channel of the slices of peer, which are its node's cut to
	// its parts, the present one at once. Each
	// replaces the one before. It is closed when ctx ends; when it is closed
	// earlier the node's connection ends. The feed receives from it without
	// delay and does not change the slices.
	Slices(ctx context.Context, peer Peer) <-chan cloud.Slice
}

// Sink takes a report of node. It checks that what is reported is the node's.
// An error of kind cloud.Invalid, cloud.Forbidden or cloud.NotFound ends the
// matter; after any other the node reports again. It is called from several
// goroutines, but one report at a time for each connection.
type Sink func(ctx context.Context, node string, r cloud.Report) error

// Times and limits of the protocol.
const (
	// defaultHeartbeat is how often a side that is idle shows that it is there;
	// after three times that in silence the other takes it for gone.
	defaultHeartbeat = 10 * time.Second
	writeTimeout     = 30 * time.Second
	helloTimeout     = 10 * time.Second
	// maxRecord bounds a frame from the server, maxReport one from a node.
	maxRecord = 8 << 20
	maxReport = 64 << 10
	// maxRecords bounds the records of a slice, maxPending the reports that wait.
	maxRecords = 1 << 20
	maxPending = 1 << 16
	// maxQuestions is how many questions a connection may have open.
	maxQuestions = 4
	// maxText bounds what is answered: all that host/container keeps of a console
	// (1 MiB), of which each second byte may have become a U+FFFD. maxReason
	// bounds an error's text, maxAnswer the frame.
	maxText   = 2 << 20
	maxReason = 4 << 10
	maxAnswer = 3 << 20
	// answerTimeout is how long an answer may take.
	answerTimeout = time.Minute
	// window is how many reports may be on the way.
	window = 32
	// maxSessions bounds the connections of a server, maxPerPart those of one
	// part of a node, so that none takes the places of the others.
	maxSessions = 4096
	maxPerPart  = 8
	// maxGreetings bounds the connections of peers that are not known yet,
	// maxPerAddress those of one address, so that a flood from one keeps no
	// other out.
	maxGreetings  = 256
	maxPerAddress = 16
)
