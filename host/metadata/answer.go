package metadata

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// answer is a whole response: a page, or a fault.
type answer struct {
	id    cloud.ServerID // who asked; "" when that is not proven
	share *allowance     // of the log; nil when nothing is known of who asked
	page  *page
	seed  *seed // of a page with one; it goes back when it is written
	fault *fault
}

// seed is a random_seed.
type seed [openstack.SeedLen]byte

var seeds = sync.Pool{New: func() any { return new(seed) }}

func newSeed(random io.Reader) (*seed, error) {
	s := seeds.Get().(*seed)
	if err := openstack.NewSeed(s[:], random); err != nil {
		seeds.Put(s)
		return nil, err
	}
	return s, nil
}

// write returns the status and the number of bytes of the body. A client that
// left is no concern of ours.
func (a answer) write(w http.ResponseWriter, r *http.Request) (status, n int) {
	if a.seed != nil {
		defer seeds.Put(a.seed)
	}
	p, status := a.page, http.StatusOK
	h := w.Header()
	if f := a.fault; f != nil {
		p, status = newPage(f.document(r.Method, one(r.Header, "Accept"))), f.status
		if status == http.StatusServiceUnavailable {
			h.Set("Retry-After", strconv.Itoa(retryAfter))
		}
	}
	h["Content-Type"] = p.kind
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return status, 0
	}
	h["Content-Length"] = p.length
	w.WriteHeader(status)
	if a.seed == nil || p.Seed == 0 {
		n, _ = w.Write(p.Body)
		return status, n
	}
	for _, part := range [][]byte{p.Body[:p.Seed], a.seed[:], p.Body[p.Seed+len(a.seed):]} {
		written, err := w.Write(part)
		n += written
		if err != nil {
			break
		}
	}
	return status, n
}
