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
	"sync"
	"sync/atomic"

	"imprint/base/daemon"
	"imprint/base/dhcp"
)

// maxNetworks bounds what a worker takes.
const maxNetworks = 16384

// Serve is the DHCP worker: it takes sockets over control from owners of
// ownerUIDs and answers on them until ctx ends (nil) or an owner stops it
// ([daemon.ErrStop]). It needs no privilege, and goes on when its owner is
// gone. A nil log discards.
func Serve(ctx context.Context, control net.Listener, log *slog.Logger, ownerUIDs ...uint32) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &worker{ctx: ctx, log: log, held: map[string]*service{}}
	defer w.close()
	return daemon.ServeHandover(ctx, control, log, w, ownerUIDs...)
}

// worker is a [daemon.Handler].
type worker struct {
	ctx  context.Context
	log  *slog.Logger
	held map[string]*service
}

// service is one network's socket and what is answered there.
type service struct {
	item    daemon.Item
	conn    net.PacketConn
	network atomic.Pointer[dhcp.Network]
	stop    context.CancelFunc
	done    sync.WaitGroup
	lost    atomic.Bool // its socket; the owner is to hand over another
}

// Put implements [daemon.Handler].
func (w *worker) Put(item daemon.Item, files []*os.File) error {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var told served
	if err := json.Unmarshal(item.Data, &told); err != nil {
		return fmt.Errorf("network %s: %w", item.Key, err)
	}
	network, err := told.network()
	if err != nil {
		return fmt.Errorf("network %s: %w", item.Key, err)
	}
	if s := w.held[item.Key]; s != nil && len(files) == 0 {
		s.network.Store(network)
		s.item = item
		return nil
	}
	return w.start(item, network, files)
}

func (w *worker) start(item daemon.Item, network *dhcp.Network, files []*os.File) error {
	if len(files) != 1 {
		return fmt.Errorf("network %s: %d sockets, want one", item.Key, len(files))
	}
	if w.held[item.Key] == nil && len(w.held) >= maxNetworks {
		return errors.New("too many networks")
	}
	conn, err := net.FilePacketConn(files[0])
	if err != nil {
		return fmt.Errorf("network %s: %w", item.Key, err)
	}
	w.Remove(item.Key)
	ctx, stop := context.WithCancel(w.ctx)
	s := &service{item: item, conn: conn, stop: stop}
	s.network.Store(network)
	w.held[item.Key] = s
	log := w.log.With("key", item.Key)
	s.done.Go(func() {
		if err := dhcp.Serve(ctx, conn, s.network.Load, func(e dhcp.Event) { log.Info("dhcp", "event", e) }, log); err != nil {
			s.lost.Store(true)
			log.Error("dhcp socket lost", "error", err)
		}
	})
	return nil
}

// Remove implements [daemon.Handler].
func (w *worker) Remove(key string) error {
	if s := w.held[key]; s != nil {
		s.stop()
		s.conn.Close()
		s.done.Wait()
		delete(w.held, key)
	}
	return nil
}

// List implements [daemon.Handler]; a network whose socket is lost is not
// held any more.
func (w *worker) List() []daemon.Item {
	var items []daemon.Item
	for _, s := range w.held {
		if !s.lost.Load() {
			items = append(items, s.item)
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
