package nsproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
)

const rootUID = 0

// Run serves what owners hand over on the control listener (see package
// daemon), and passes requests to the metadata agent that listens on the unix
// socket agentSocket, until ctx ends (nil) or an owner asks it to stop
// ([daemon.ErrStop]). Only root may hand over. It refuses to run with any
// privilege itself, and gives up the system calls that it does not need. A nil
// log discards.
func Run(ctx context.Context, control net.Listener, agentSocket string, log *slog.Logger) error {
	if err := giveUp(); err != nil {
		return err
	}
	p := New(agentSocket, DefaultLimits(), log)
	defer p.Close()
	return daemon.ServeHandover(ctx, control, log, p, rootUID)
}

// giveUp asserts that the process has no privileges, and closes what it does not
// need of the kernel.
func giveUp() error {
	err := daemon.CheckUnprivileged()
	if err == nil {
		err = daemon.Confine()
	}
	if err != nil {
		return fmt.Errorf("namespace proxy: %w", err)
	}
	return nil
}

// Proxy holds listeners and serves them. It is a [daemon.Giver], whose calls
// come one at a time.
type Proxy struct {
	limits    Limits
	log       *slog.Logger
	agent     *http.Transport
	server    *http.Server
	total     chan struct{} // a place per connection
	requests  chan struct{} // a place per request
	listening sync.WaitGroup
	open      sync.WaitGroup // connections
	given     atomic.Bool    // to a successor

	mu   sync.Mutex
	held map[string]*held
}

// held is an item with its sockets.
type held struct {
	item  daemon.Item
	way   *way
	gates []*gate
}

// New returns a proxy that holds nothing. All of l must be set. A nil log
// discards.
func New(agentSocket string, l Limits, log *slog.Logger) *Proxy {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{
		limits: l, log: log, agent: newTransport(agentSocket, l),
		total: make(chan struct{}, l.Connections), requests: make(chan struct{}, l.Requests),
		held: map[string]*held{},
	}
	p.server = &http.Server{
		Handler:                      p,
		ConnContext:                  withConn,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            l.HeadTime,
		ReadTimeout:                  l.ReadTime,
		WriteTimeout:                 l.WriteTime,
		IdleTimeout:                  l.IdleTime,
		MaxHeaderBytes:               l.Header,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p
}

// Put takes listeners over. With new sockets for a key that is held, those
// take the place of the old ones, whose connections go on.
func (p *Proxy) Put(item daemon.Item, files []*os.File) error {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.held[item.Key]
	if len(files) == 0 {
		if old == nil {
			return fmt.Errorf("%s: no sockets", item.Key)
		}
		old.item = item
		return nil
	}
	h, err := p.newHeld(item, old, files)
	if err != nil {
		return fmt.Errorf("%s: %w", item.Key, err)
	}
	p.held[item.Key] = h
	old.stopListening()
	for _, g := range h.gates {
		p.listening.Go(func() { p.serve(h, g) })
	}
	p.log.Info("listening", "netns", item.Key, "sockets", len(h.gates))
	return nil
}

func (p *Proxy) newHeld(item daemon.Item, old *held, files []*os.File) (*held, error) {
	h := &held{item: item}
	if old != nil {
		h.way = old.way
	} else {
		var err error
		if h.way, err = newWay(item.Key, p.limits); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		l, err := listener(f)
		if err != nil {
			h.stopListening()
			return nil, err
		}
		h.gates = append(h.gates, &gate{TCPListener: l, way: h.way, proxy: p})
	}
	return h, nil
}

// listener makes a listener of a file, which stays open.
func listener(f *os.File) (*net.TCPListener, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var listening int
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		listening, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	})
	if err = errors.Join(err, sockErr); err != nil {
		return nil, fmt.Errorf("not a socket: %w", err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("not a listener: %w", err)
	}
	tcp, is := l.(*net.TCPListener)
	if !is || listening == 0 {
		l.Close()
		return nil, errors.New("not a listening TCP socket")
	}
	return tcp, nil
}

// serve accepts on one listener until it is closed. One that fails takes its
// item with it, so that its owner sees that it is missing.
func (p *Proxy) serve(h *held, g *gate) {
	err := p.server.Serve(g)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return
	}
	p.log.Error("listener failed", "netns", h.item.Key, "error", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[h.item.Key] == h {
		delete(p.held, h.item.Key)
		h.stopListening()
	}
}

// Remove closes an item's listeners and connections.
func (p *Proxy) Remove(key string) error {
	p.mu.Lock()
	h := p.held[key]
	delete(p.held, key)
	p.mu.Unlock()
	if h == nil {
		return nil
	}
	h.stopListening()
	h.way.closeAll()
	p.log.Info("no longer listening", "netns", key)
	return nil
}

// List returns what is held, sorted by key.
func (p *Proxy) List() []daemon.Item {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items []daemon.Item
	for _, key := range slices.Sorted(maps.Keys(p.held)) {
		items = append(items, p.held[key].item)
	}
	return items
}

// stopListening closes the listeners; h may be nil.
func (h *held) stopListening() {
	if h == nil {
		return
	}
	for _, g := range h.gates {
		g.Close()
	}
}
