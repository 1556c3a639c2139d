package feed

import (
	"fmt"
	"sync"
)

// questions are those that a connection's node has still to answer, at most
// maxQuestions, even when nobody waits any more. The zero value has none. Safe
// for concurrent use.
type questions struct {
	mu   sync.Mutex
	last int64 // number given
	open map[int64]chan frame
}

// add returns the number of a new question and where its answer will come; ok
// is false when there are too many.
func (q *questions) add() (seq int64, answer <-chan frame, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) >= maxQuestions {
		return 0, nil, false
	}
	if q.open == nil {
		q.open = map[int64]chan frame{}
	}
	q.last++
	to := make(chan frame, 1)
	q.open[q.last] = to
	return q.last, to, true
}

// drop forgets a question that was not sent.
func (q *questions) drop(seq int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, seq)
}

// limit bounds the next frame of the node: a large one may come only while an
// answer is awaited.
func (q *questions) limit() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		return maxReport
	}
	return maxAnswer
}

// answer brings f to whoever waits for it. An honest node answers what it was
// asked, once, and within the limits.
func (q *questions) answer(f frame) error {
	if len(f.Text) > maxText || len(f.Error) > maxReason {
		return fmt.Errorf("answer of %d and %d bytes; at most %d and %d: %w", len(f.Text), len(f.Error), maxText, maxReason, errTooLarge)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	to, asked := q.open[f.Seq]
	if !asked {
		return fmt.Errorf("answer to question %d, which is not open", f.Seq)
	}
	delete(q.open, f.Seq)
	to <- f
	return nil
}
