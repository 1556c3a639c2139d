package daemon

import (
	"sync"

	"golang.org/x/time/rate"
)

// Buckets bounds how often something happens, for each key apart: requests of
// an instance, lines that it causes in a log. Safe for concurrent use.
type Buckets struct {
	rate  rate.Limit
	burst int

	mu    sync.Mutex
	byKey map[string]*rate.Limiter
}

// maxBuckets bounds the keys that are remembered; with one more all are
// forgotten, and every bucket is full again.
const maxBuckets = 1 << 17

// NewBuckets returns buckets of burst tokens each, filled by perSecond.
func NewBuckets(perSecond float64, burst int) *Buckets {
	return &Buckets{rate: rate.Limit(perSecond), burst: burst, byKey: map[string]*rate.Limiter{}}
}

// Spend takes a token from the bucket of key, and reports whether it had one.
func (b *Buckets) Spend(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.byKey[key]
	if l == nil {
		if len(b.byKey) >= maxBuckets {
			clear(b.byKey)
		}
		l = rate.NewLimiter(b.rate, b.burst)
		b.byKey[key] = l
	}
	return l.Allow()
}

// Forget drops the buckets of keys that are no longer wanted.
func (b *Buckets) Forget(wanted func(key string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.byKey {
		if !wanted(key) {
			delete(b.byKey, key)
		}
	}
}

// Len is the number of keys that are remembered.
func (b *Buckets) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byKey)
}
