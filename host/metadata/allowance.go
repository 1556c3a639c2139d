package metadata

import (
	"sync"
	"time"
)

// allowance is what one server may still cause in the log. The zero value is
// all of it. Safe for concurrent use.
type allowance struct {
	mu   sync.Mutex
	used float64 // lines, at that time
	at   int64   // Unix time in nanoseconds
}

// spend takes a line, and reports whether there was one.
func (a *allowance) spend(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := now.UnixNano()
	if a.at != 0 && t > a.at {
		a.used = max(0, a.used-float64(t-a.at)/1e9*logRate)
	}
	a.at = t
	if a.used > logBurst-1 {
		return false
	}
	a.used++
	return true
}
