package metadata

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// Instances finds what a server is told. A miss is [cloud.ErrNotFound], an
// error of kind [cloud.Unavailable] is worth a retry. Safe for concurrent use.
type Instances interface {
	Told(cloud.ServerID) (*Told, error)
	// At returns the one server that has a fixed address; none or several is
	// [cloud.ErrNotFound].
	At(netip.Addr) (cloud.ServerID, error)
	// Behind returns the server with that address on a network that is
	// connected to a metadata provider. It fails with an error of kind
	// [cloud.Invalid] that says why.
	Behind(provider string, a netip.Addr) (cloud.ServerID, error)
	// Await returns when what is told of a server is as told wants it, or
	// after a while. It alone waits.
	Await(ctx context.Context, id cloud.ServerID, told func(*openstack.Instance) bool)
}

// Told is what one instance is told. Its documents are rendered when they are
// first asked for. Safe for concurrent use.
type Told struct {
	instance *openstack.Instance
	site     *siteData  // that it was made with
	lines    *allowance // of the server, which outlives this

	used  atomic.Bool // since the cache last looked
	mu    sync.Mutex
	pages map[string]*page

	owner place // of the cache
}

// Instance returns the facts, which are shared and must not be changed.
func (t *Told) Instance() *openstack.Instance { return t.instance }

// page is a document with the headers of its answer.
type page struct {
	openstack.Document
	kind, length []string
}

func newPage(d openstack.Document) *page {
	return &page{d, []string{d.Type}, []string{strconv.Itoa(len(d.Body))}}
}

// pageCost is what a page takes beside its body and its path, in bytes.
const pageCost = 256

// page finds a document by its clean path. What it rendered for the first time
// counts in c.
func (t *Told) page(r openstack.Request, c *cache) (*page, error) {
	t.mu.Lock()
	p := t.pages[r.Path]
	t.mu.Unlock()
	if p != nil {
		return p, nil
	}
	d, err := t.instance.Lookup(r)
	if err != nil {
		return nil, err
	}
	p = newPage(d)
	if d.Passing {
		return p, nil
	}
	path := strings.Clone(r.Path) // not all of the request's line
	t.mu.Lock()
	_, there := t.pages[path]
	if t.pages == nil {
		t.pages = map[string]*page{}
	}
	t.pages[path] = p
	t.mu.Unlock()
	if !there {
		c.grow(t, pageCost+len(path)+len(d.Body))
	}
	return p, nil
}
