package dhcpagent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"imprint/base/daemon"
	"imprint/base/dhcp"
)

// maxServices bounds what a worker takes.
const maxServices = 32768

// Serve is the worker: it takes sockets over control from owners of ownerUIDs
// and answers on them until ctx ends (nil) or an owner stops it
// ([daemon.ErrStop]). It needs no privilege, and goes on when its owner is
// gone. A nil log discards.
//
// Its items are network/<id>, the sockets of a network's DHCP and DNS, and
// [dhcp.AdvertisementKey]<port id>, one of [dhcp.OpenAdvertiser] with a
// [dhcp.Advertisement] as data.
func Serve(ctx context.Context, control net.Listener, log *slog.Logger, ownerUIDs ...uint32) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &worker{ctx: ctx, log: log, held: map[string]*held{}}
	defer w.close()
	return daemon.ServeHandover(ctx, control, log, w, ownerUIDs...)
}

// worker is a [daemon.Handler].
type worker struct {
	ctx  context.Context
	log  *slog.Logger
	held map[string]*held
}

type held struct {
	item daemon.Item
	service
}

// service answers on some sockets.
type service interface {
	// tell replaces what is answered from.
	tell(data json.RawMessage) error
	// lost reports whether a socket can no longer be used; the owner is to hand
	// over others.
	lost() bool
	// stop ends it and closes the sockets.
	stop()
}

// Put implements [daemon.Handler].
func (w *worker) Put(item daemon.Item, files []*os.File) error {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var err error
	if h := w.held[item.Key]; h != nil && len(files) == 0 {
		if err = h.tell(item.Data); err == nil {
			h.item = item
		}
	} else {
		err = w.start(item, files)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", item.Key, err)
	}
	return nil
}

func (w *worker) start(item daemon.Item, files []*os.File) error {
	if w.held[item.Key] == nil && len(w.held) >= maxServices {
		return errors.New("too many services")
	}
	open := newNetwork
	if strings.HasPrefix(item.Key, dhcp.AdvertisementKey) {
		open = newAdvertiser
	}
	s, err := open(w.ctx, item.Data, files, w.log.With("key", item.Key))
	if err != nil {
		return err
	}
	w.Remove(item.Key)
	w.held[item.Key] = &held{item, s}
	return nil
}

// Remove implements [daemon.Handler].
func (w *worker) Remove(key string) error {
	if h := w.held[key]; h != nil {
		h.stop()
		delete(w.held, key)
	}
	return nil
}

// List implements [daemon.Handler]; what has lost a socket is not held any
// more.
func (w *worker) List() []daemon.Item {
	var items []daemon.Item
	for _, h := range w.held {
		if !h.lost() {
			items = append(items, h.item)
		}
	}
	slices.SortFunc(items, func(a, b daemon.Item) int { return cmp.Compare(a.Key, b.Key) })
	return items
}

func (w *worker) close() {
	for _, key := range slices.Sorted(maps.Keys(w.held)) {
		w.Remove(key)
	}
}
