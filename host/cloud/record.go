package cloud

import "time"

// RecordKind names a sort of record; it is the second part of its key in the store.
type RecordKind string

// The kinds of record that the store keeps.
const (
	KindProject RecordKind = "project"
	KindUser    RecordKind = "user"
	KindKeyPair RecordKind = "keypair"
	KindImage   RecordKind = "image"
	KindFlavor  RecordKind = "flavor"
	KindServer  RecordKind = "server"
	KindNetwork RecordKind = "network"
	KindSubnet  RecordKind = "subnet"
	KindPort    RecordKind = "port"
	KindRouter  RecordKind = "router"
	KindNode    RecordKind = "node"

	KindFloatingIP RecordKind = "floatingip"
)

// Schema is the version of the records' form that this program writes.
const Schema = 1

// Meta is what every record carries. The store fills it in.
type Meta struct {
	// Revision is the store's revision of the last change; 0 means not yet
	// stored. A commit of a record with revision 0 creates it and fails with
	// [ErrConflict] when it exists; one with another revision replaces exactly
	// that version and else fails the same way.
	Revision int64 `json:"-"`
	// Schema is the form that the record was written in.
	Schema int `json:"schema"`
	// CreatedAt and UpdatedAt are UTC.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Head returns the record's own Meta, for the store to fill in.
func (m *Meta) Head() *Meta { return m }

// Claim is a name that at most one record may hold, such as an address of a
// network. Claims are taken and released in the transaction that writes the
// record.
type Claim string

// Record is a noun that the store keeps: always a pointer to one of this
// package's record types.
type Record interface {
	Kind() RecordKind
	// ID is unique within the kind and has no control characters.
	ID() string
	// Claims lists what the record holds exclusively; nil for most.
	Claims() []Claim
	Head() *Meta
}

// Txn is a set of changes that happen together or not at all. The store adds
// the claims: what a put record claims and its stored version did not is taken,
// what it no longer claims is released.
type Txn struct {
	Put    []Record
	Delete []Record
	// Unchanged lists records that a decision was based on; the transaction
	// fails with [ErrConflict] when one of them has changed since.
	Unchanged []Record
}

// Change is one step of the store's history as its readers get it.
type Change struct {
	// Record is the new version, or with Deleted the last one.
	Record  Record
	Deleted bool
}

// NewRecord returns an empty record of kind k, or nil for an unknown kind.
func NewRecord(k RecordKind) Record {
	switch k {
	case KindProject:
		return &Project{}
	case KindUser:
		return &User{}
	case KindKeyPair:
		return &KeyPair{}
	case KindImage:
		return &Image{}
	case KindFlavor:
		return &Flavor{}
	case KindServer:
		return &Server{}
	case KindNetwork:
		return &Network{}
	case KindSubnet:
		return &Subnet{}
	case KindPort:
		return &Port{}
	case KindRouter:
		return &Router{}
	case KindNode:
		return &Node{}
	case KindFloatingIP:
		return &FloatingIP{}
	}
	return nil
}
