package metadata

import (
	"testing"
	"time"
)

func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Unix(1e9, 0)
	spent := func() (n int) {
		for a.spend(now) {
			n++
		}
		return n
	}
	if n := spent(); n != logBurst {
		t.Errorf("a full one gave %d lines", n)
	}
	now = now.Add(3 * time.Second)
	if n := spent(); n != 3*logRate {
		t.Errorf("3 s later: %d lines", n)
	}
	now = now.Add(-time.Hour) // the clock was set
	if n := spent(); n != 0 {
		t.Errorf("an hour earlier: %d lines", n)
	}
	now = now.Add(time.Hour)
	if n := spent(); n != logBurst {
		t.Errorf("an hour later: %d lines", n)
	}
}
