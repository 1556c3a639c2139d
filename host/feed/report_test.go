package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

// recorder is a sink that notes what it took, and first what it refused.
type recorder struct {
	mu     sync.Mutex
	took   []string
	refuse func(r cloud.Report) error
}

func describe(r cloud.Report) string {
	if r.Port != nil {
		return fmt.Sprint(r.Port.ID, " ", r.Port.Up)
	}
	return fmt.Sprint(r.Instance.ID, " ", r.Instance.State)
}

func (r *recorder) sink(_ context.Context, node string, report cloud.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if err := r.refuse(report); err != nil {
			return err
		}
	}
	r.took = append(r.took, node+": "+describe(report))
	return nil
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.took); diff != "" {
		t.Error(diff)
	}
}

func instance(id string, state cloud.InstanceState) cloud.Report {
	return cloud.Report{Instance: &cloud.InstanceReport{ID: cloud.ServerID(id), State: state}}
}

func port(id string, up bool) cloud.Report {
	return cloud.Report{Port: &cloud.PortReport{ID: cloud.PortID(id), Up: up}}
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sink := newPipes(), &recorder{}
		serve(t, &Server{Source: &fakeSource{}, Sink: sink.sink}, l, "n1")
		c := &Client{Dial: l.dial}
		c.Report(instance("s1", cloud.InstanceBuilding)) // replaced before it is sent
		c.Report(port("p1", true))
		c.Report(instance("s1", cloud.InstanceActive))
		run(t, c, func(cloud.Slice) {})
		synctest.Wait()
		c.Report(port("p1", false))
		synctest.Wait()
		sink.want(t, "n1: s1 active", "n1: p1 true", "n1: p1 false")
		if n := len(c.reports.reports) + len(c.reports.sent) + len(c.reports.unsent); n != 0 {
			t.Errorf("%d reports left in the queue", n)
		}
	})
}

func TestReportIsRepeatedUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tries := newPipes(), 0
		sink := &recorder{refuse: func(cloud.Report) error {
			if tries++; tries <= 5 {
				return cloud.Errorf(cloud.Unavailable, "the store is away")
			}
			return nil
		}}
		serve(t, &Server{Source: &fakeSource{}, Sink: sink.sink}, l, "n1")
		c := &Client{Dial: l.dial}
		run(t, c, func(cloud.Slice) {})
		began := time.Now()
		c.Report(port("p1", true))
		time.Sleep(3500 * time.Millisecond)
		c.Report(port("p1", false)) // replaces the one that waits
		time.Sleep(time.Minute)
		sink.want(t, "n1: p1 false")
		if d := time.Since(began); tries != 6 {
			t.Errorf("%d tries in %v", tries, d)
		}
	})
}

func TestReportRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tries := newPipes(), 0
		sink := &recorder{refuse: func(r cloud.Report) error {
			if r.Port != nil {
				tries++
				return fmt.Errorf("port: %w", cloud.ErrNotFound)
			}
			return nil
		}}
		serve(t, &Server{Source: &fakeSource{}, Sink: sink.sink}, l, "n1")
		c := &Client{Dial: l.dial}
		run(t, c, func(cloud.Slice) {})
		c.Report(port("none", true))
		c.Report(cloud.Report{})
		c.Report(instance("s1", cloud.InstanceActive))
		time.Sleep(time.Minute)
		sink.want(t, "n1: s1 active")
		if tries != 1 {
			t.Errorf("%d tries", tries)
		}
	})
}

func TestReportSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		stuck := make(chan struct{})
		never := func(ctx context.Context, _ string, _ cloud.Report) error {
			close(stuck)
			<-ctx.Done()
			return ctx.Err()
		}
		source := &fakeSource{}
		stop := serve(t, &Server{Source: source, Sink: never}, l, "n1")
		var current atomic.Pointer[pipes]
		current.Store(l)
		c := &Client{Dial: func(ctx context.Context) (net.Conn, error) { return current.Load().dial(ctx) }}
		run(t, c, func(cloud.Slice) {})
		for i := range 100 { // more than the window
			c.Report(port(fmt.Sprintf("p%02d", i), true))
		}
		<-stuck
		current.Store(newPipes())
		stop()
		sink := &recorder{}
		serve(t, &Server{Source: source, Sink: sink.sink}, current.Load(), "n1")
		time.Sleep(time.Minute)
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprintf("n1: p%02d true", i))
		}
		sink.want(t, want...)
	})
}

func TestQueueIsBounded(t *testing.T) {
	var q queue
	for i := range maxPending {
		if !q.add(port(fmt.Sprint(i), true)) {
			t.Fatalf("report %d did not fit", i)
		}
	}
	if !q.add(port("5", false)) {
		t.Error("a newer version did not fit")
	}
	if q.add(port("one more", true)) {
		t.Error("the queue is not bounded")
	}
	if _, r, _ := q.next(); r.Port.ID != "1" || len(q.reports) != maxPending {
		t.Errorf("oldest is %v of %d, want that 0 gave way", r.Port.ID, len(q.reports))
	}
}

var errSink = errors.New("down")

// TestManyReporters is for the race detector: reports from many goroutines
// over a connection that is cut again and again.
func TestManyReporters(t *testing.T) {
	var mu sync.Mutex
	last := map[string]bool{}
	calls := 0
	sink := func(_ context.Context, _ string, r cloud.Report) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls%50 == 0 {
			return errSink
		}
		last[string(r.Port.ID)] = r.Port.Up
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		source, l := &fakeSource{}, newPipes()
		serve(t, &Server{Source: source, Sink: sink}, l, "n1")
		c := &Client{}
		dials := 0
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := l.dial(ctx)
			if dials++; err == nil && dials < 5 {
				time.AfterFunc(3*time.Second, func() { conn.Close() })
			}
			return conn, err
		}
		run(t, c, func(cloud.Slice) {})
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				for i := range 200 {
					c.Report(port(fmt.Sprintf("%d-%d", g, i%20), i >= 180))
					if i%20 == 0 {
						time.Sleep(100 * time.Millisecond)
					}
				}
			})
		}
		group.Wait()
		time.Sleep(time.Hour)
	})
	if len(last) != 160 {
		t.Errorf("%d ports were reported, want 160", len(last))
	}
	for id, up := range last {
		if !up {
			t.Errorf("port %s: an old report came last", id)
		}
	}
}
