package daemon

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets(2, 3)
		spent := func(key string) (n int) {
			for b.Spend(key) {
				n++
			}
			return n
		}
		if a, other := spent("a"), spent("b"); a != 3 || other != 3 {
			t.Errorf("full buckets gave %d and %d, want 3 each", a, other)
		}
		time.Sleep(time.Second)
		if n := spent("a"); n != 2 {
			t.Errorf("after a second: %d, want 2", n)
		}
		b.Forget(func(key string) bool { return key == "b" })
		if b.Len() != 1 || spent("a") != 3 {
			t.Error("a forgotten bucket is not full again")
		}
	})
}
