package feed

import (
	"maps"
	"slices"
	"sync"

	"imprint/host/cloud"
)

// queue has the reports that the server has not taken, the newest of each
// instance and port. The zero value is empty. Safe for concurrent use.
type queue struct {
	mu      sync.Mutex
	wake    chan struct{} // capacity 1; made when needed
	seq     int64
	reports map[string]waiting
	unsent  []string         // keys to send, oldest first
	sent    map[int64]string // keys by the number they were sent under
}

type waiting struct {
	report cloud.Report
	seq    int64 // of the newest version
	queued bool  // its key is in unsent
}

func reportKey(r cloud.Report) string {
	switch {
	case r.Instance != nil:
		return kindInstance + "/" + string(r.Instance.ID)
	case r.Port != nil:
		return kindPort + "/" + string(r.Port.ID)
	}
	return ""
}

// add returns false when another report had to give way.
func (q *queue) add(r cloud.Report) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reports == nil {
		q.reports, q.sent = map[string]waiting{}, map[int64]string{}
	}
	key, room := reportKey(r), true
	if _, had := q.reports[key]; !had && len(q.reports) >= maxPending && len(q.unsent) > 0 {
		delete(q.reports, q.unsent[0])
		q.unsent = q.unsent[1:]
		room = false
	}
	q.seq++
	old := q.reports[key]
	q.reports[key] = waiting{r, q.seq, old.queued}
	q.enqueue(key)
	return room
}

func (q *queue) enqueue(key string) {
	w := q.reports[key]
	if !w.queued {
		w.queued = true
		q.reports[key] = w
		q.unsent = append(q.unsent, key)
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.channel() <- struct{}{}:
	default:
	}
}

func (q *queue) channel() chan struct{} {
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake
}

// waiting returns a channel that receives when next may have something.
func (q *queue) waiting() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.channel()
}

// next returns a report to send now, if there is one and the window is open.
func (q *queue) next() (int64, cloud.Report, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.unsent) == 0 || len(q.sent) >= window {
		return 0, cloud.Report{}, false
	}
	key := q.unsent[0]
	q.unsent = q.unsent[1:]
	w := q.reports[key]
	w.queued = false
	q.reports[key] = w
	q.sent[w.seq] = key
	return w.seq, w.report, true
}

// done forgets the report that was sent as seq, unless a newer one waits.
func (q *queue) done(seq int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key, ok := q.sent[seq]
	if !ok {
		return
	}
	delete(q.sent, seq)
	if q.reports[key].seq == seq {
		delete(q.reports, key)
	}
	q.signal()
}

// again puts the report that was sent as seq back, unless a newer one waits.
func (q *queue) again(seq int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.back(seq)
}

func (q *queue) back(seq int64) {
	key, ok := q.sent[seq]
	delete(q.sent, seq)
	if ok && q.reports[key].seq == seq {
		q.enqueue(key)
	}
}

// reset puts back all that was sent without an answer, before a new connection.
func (q *queue) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	later := q.unsent
	q.unsent = nil
	for _, seq := range slices.Sorted(maps.Keys(q.sent)) {
		q.back(seq)
	}
	q.unsent = append(q.unsent, later...)
}
