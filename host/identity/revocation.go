package identity

import (
	"sync"
	"time"

	"imprint/host/cloud"
)

// MaxRevoked bounds the revocations that are remembered at once. They are
// forgotten when the token has expired.
const MaxRevoked = 10_000

// revocations remembers tokens that were given back before they expired. Safe
// for concurrent use.
type revocations struct {
	mu    sync.Mutex
	now   func() time.Time
	until map[string]time.Time // by audit id
}

func newRevocations(now func() time.Time) *revocations {
	return &revocations{now: now, until: map[string]time.Time{}}
}

func (r *revocations) add(c claims) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= MaxRevoked {
		r.forget()
	}
	if len(r.until) >= MaxRevoked {
		return cloud.Errorf(cloud.Unavailable, "Too many tokens are revoked; try again later.")
	}
	r.until[c.Audit] = c.expires()
	return nil
}

func (r *revocations) forget() {
	now := r.now()
	for audit, until := range r.until {
		if !now.Before(until) {
			delete(r.until, audit)
		}
	}
}

func (r *revocations) has(c claims) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.until[c.Audit]
	return ok
}
