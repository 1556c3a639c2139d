package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Worker is what an owner needs of one; [Handover] is a worker.
type Worker interface {
	Put(context.Context, Item, ...*os.File) error
	Remove(ctx context.Context, key string) error
	List(context.Context) ([]Item, error)
}

// Holding is what a worker holds of one owner's, as it was when listed: for
// one round of making it what it should be.
type Holding struct {
	w    Worker
	held map[string]Item
}

// ListHolding asks the worker for the items whose keys begin with prefix.
func ListHolding(ctx context.Context, w Worker, prefix string) (*Holding, error) {
	items, err := w.List(ctx)
	if err != nil {
		return nil, err
	}
	h := &Holding{w: w, held: map[string]Item{}}
	for _, i := range items {
		if strings.HasPrefix(i.Key, prefix) {
			h.held[i.Key] = i
		}
	}
	return h, nil
}

// Ensure makes the worker hold item. Sockets that are bound to what
// item.Sockets says stay; others are closed first and opened anew by open,
// whose files Ensure closes, also those that come with an error.
func (h *Holding) Ensure(ctx context.Context, item Item, open func() ([]*os.File, error)) error {
	held, known := h.held[item.Key]
	switch {
	case known && held.Sockets == item.Sockets && bytes.Equal(held.Data, item.Data):
		return nil
	case known && held.Sockets == item.Sockets:
		return h.put(ctx, item)
	case known:
		if err := h.w.Remove(ctx, item.Key); err != nil {
			return err
		}
		delete(h.held, item.Key)
	}
	files, err := open()
	defer closeAll(files)
	if err != nil {
		return fmt.Errorf("open sockets of %s: %w", item.Key, err)
	}
	return h.put(ctx, item, files...)
}

func (h *Holding) put(ctx context.Context, item Item, files ...*os.File) error {
	if err := h.w.Put(ctx, item, files...); err != nil {
		return err
	}
	h.held[item.Key] = item
	return nil
}

// Prune makes the worker close everything of the holding that keep does not
// name.
func (h *Holding) Prune(ctx context.Context, keep map[string]bool) error {
	var failed error
	for _, key := range slices.Sorted(maps.Keys(h.held)) {
		if keep[key] {
			continue
		}
		err := h.w.Remove(ctx, key)
		failed = errors.Join(failed, err)
		if err == nil {
			delete(h.held, key)
		}
	}
	return failed
}

// Files returns duplicates of sockets' descriptors, as for [Handover.Put],
// and closes the sockets.
func Files(sockets ...interface {
	File() (*os.File, error)
	Close() error
}) ([]*os.File, error) {
	var files []*os.File
	var failed error
	for _, s := range sockets {
		f, err := s.File()
		failed = errors.Join(failed, err, s.Close())
		if err == nil {
			files = append(files, f)
		}
	}
	if failed != nil {
		closeAll(files)
		return nil, failed
	}
	return files, nil
}
