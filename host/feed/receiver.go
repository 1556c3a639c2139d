package feed

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"imprint/host/cloud"
)

// receiver builds slices from what one connection brings.
type receiver struct {
	client   *Client
	box      chan cloud.Slice
	hold     chan<- struct{}
	ask      func(frame) error // takes a question and does not block
	slice    cloud.Slice
	revision int64 // of the last whole slice; 0: none yet
}

func (r *receiver) run(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		conn.SetReadDeadline(time.Now().Add(3 * defaultHeartbeat))
		f, err := readFrame(in, maxRecord)
		if err == nil {
			err = r.take(f)
		}
		if err != nil {
			return fmt.Errorf("receive from feed: %w", err)
		}
	}
}

// take handles one frame; types that this program does not know mean nothing.
func (r *receiver) take(f frame) error {
	switch f.Type {
	case typeSet, typeRemove:
		if err := r.inBatch(f); err != nil {
			return err
		}
		return change(r.slice, f)
	case typeSynced:
		if err := r.inBatch(f); err != nil {
			return err
		}
		r.revision = f.Revision
		offer(r.box, r.slice.Clone())
	case typeAck:
		if f.Error != "" {
			orDiscard(r.client.Log).Warn("report was refused", "error", f.Error)
		}
		r.client.reports.done(f.Seq)
	case typeAgain:
		orDiscard(r.client.Log).Debug("report could not be taken yet", "error", f.Error)
		select {
		case r.hold <- struct{}{}:
		default:
		}
		r.client.reports.again(f.Seq)
	case typeAsk:
		return r.ask(f)
	}
	return nil
}

func (r *receiver) inBatch(f frame) error {
	if f.Revision != r.revision+1 {
		return fmt.Errorf("%s frame of revision %d after slice %d", f.Type, f.Revision, r.revision)
	}
	return nil
}
