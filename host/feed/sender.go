package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// againPause is how long reports wait after the server could not take one.
const againPause = time.Second

// send writes reports and answers as they come, and beats.
func (c *Client) send(ctx context.Context, conn net.Conn, hold <-chan struct{}, a *answers) error {
	w := &writer{conn: conn, buf: bufio.NewWriter(conn), limit: maxReport}
	beat := time.NewTicker(defaultHeartbeat)
	defer beat.Stop()
	var held <-chan time.Time
	for {
		select {
		case <-hold: // looked at first: the report comes back right after it
			held = time.After(againPause)
		default:
		}
		var err error
		if held == nil {
			err = c.sendWaiting(w)
		}
		if err = errors.Join(err, w.flush()); err != nil {
			return fmt.Errorf("send to feed: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.reports.waiting():
		case <-held:
			held = nil
		case f := <-a.ready:
			a.open.Add(-1)
			if err := w.send(f); err != nil {
				return fmt.Errorf("send to feed: %w", err)
			}
		case <-beat.C:
			if err := w.send(frame{Type: typeBeat}); err != nil {
				return fmt.Errorf("send to feed: %w", err)
			}
		}
	}
}

func (c *Client) sendWaiting(w *writer) error {
	for {
		seq, report, ok := c.reports.next()
		if !ok {
			return nil
		}
		err := w.send(frame{Type: typeReport, Seq: seq, Report: &report})
		if errors.Is(err, errTooLarge) {
			orDiscard(c.Log).Error("report is too large and was dropped", "error", err)
			c.reports.done(seq)
			continue
		}
		if err != nil {
			return err
		}
	}
}
