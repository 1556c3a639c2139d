package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var applied []int
		var fail error
		l := &Loop[int]{Every: time.Minute, Retry: time.Second, Apply: func(_ context.Context, v int) error {
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, v)
			return fail
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		l.Again() // of nothing
		go func() { ended <- l.Run(ctx) }()
		expect := func(after time.Duration, want ...int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(applied, want) {
				t.Errorf("applied %v, want %v", applied, want)
			}
			applied = nil
		}
		expect(time.Hour + time.Second) // nothing is known yet
		l.Update(2)
		expect(time.Millisecond, 2)
		expect(2*time.Minute, 2, 2)
		l.Again()
		expect(time.Millisecond, 2)
		mu.Lock()
		fail = errors.New("fails")
		mu.Unlock()
		l.Update(3)
		expect(7*time.Second+time.Millisecond, 3, 3, 3, 3) // at 0, 1, 3, 7 s
		mu.Lock()
		fail = nil
		mu.Unlock()
		expect(8*time.Second, 3)
		expect(time.Minute, 3)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
