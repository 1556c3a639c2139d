package metadataagent

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout bounds the wait for a connection to one replica.
const dialTimeout = 3 * time.Second

// trustPause is how long a replica that did not answer is asked last.
const trustPause = 5 * time.Second

// replicas are the addresses of the metadata service. The zero value has none.
type replicas struct {
	addresses []string
	turn      atomic.Uint32
	mu        sync.Mutex
	failed    map[string]time.Time // when a replica last did not answer
}

// order returns the replicas in the order in which to ask them: in turn, those
// that lately did not answer last.
func (r *replicas) order(now time.Time) []string {
	first := int(r.turn.Add(1) % uint32(len(r.addresses)))
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, bad []string
	for i := range r.addresses {
		a := r.addresses[(first+i)%len(r.addresses)]
		if at, is := r.failed[a]; is && now.Sub(at) < trustPause {
			bad = append(bad, a)
			continue
		}
		good = append(good, a)
	}
	return append(good, bad...)
}

// note remembers whether a replica answered.
func (r *replicas) note(address string, answered bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answered {
		delete(r.failed, address)
		return
	}
	if r.failed == nil {
		r.failed = map[string]time.Time{}
	}
	r.failed[address] = now
}

// repeatable says whether a request may be asked of another replica after one
// has begun with it.
func repeatable(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}
