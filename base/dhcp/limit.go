package dhcp

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// perSecond and burst bound what one client costs. An ordinary start
	// takes two packets.
	perSecond = 5
	burst     = 20
	// slack is how many clients that have gone may linger in the limiter.
	slack = 64
)

// limiter keeps a token bucket per known client. Not safe for concurrent use.
type limiter map[MAC]*rate.Limiter

// allow takes one of mac's tokens. known is the number of clients there are,
// which bounds the size.
func (l limiter) allow(mac MAC, now time.Time, known int) bool {
	bucket := l[mac]
	if bucket == nil {
		if len(l) >= known+slack {
			l.forget(now)
		}
		bucket = rate.NewLimiter(perSecond, burst)
		l[mac] = bucket
	}
	return bucket.AllowN(now, 1)
}

// forget drops the buckets that are full again: they remember nothing. At most
// a few seconds' worth of clients can be left.
func (l limiter) forget(now time.Time) {
	for mac, bucket := range l {
		if bucket.TokensAt(now) >= burst {
			delete(l, mac)
		}
	}
}
