package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"imprint/host/cloud"
)

// How long a client waits before it connects again, give or take a half.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Client is a node's side of the feed. Its fields are set before Run and not
// changed after.
type Client struct {
	// Dial connects to the server; it may take 10 s.
	Dial func(context.Context) (net.Conn, error)
	Log  *slog.Logger // nil discards
	// Console answers a question for the last lines of an instance's console, all
	// that is kept with a negative number; of the answer, the last 2 MiB are sent.
	// The server is told the kind and the text of its error. It is called from
	// several goroutines, and must return soon after ctx ends: with the
	// connection, or after a minute. nil answers that there is none.
	Console func(ctx context.Context, id cloud.ServerID, lines int) (string, error)

	reports queue
}

// Run keeps connected until ctx ends, and then returns nil. on gets every new
// slice, whole; when it is slower than they come it gets the newest. It is
// called from one goroutine, and its slice is its own to keep but not to
// change. While the server is away nothing is called: the last slice holds.
func (c *Client) Run(ctx context.Context, on func(cloud.Slice)) error {
	g, ctx := errgroup.WithContext(ctx)
	box := make(chan cloud.Slice, 1)
	g.Go(func() error { deliver(ctx, box, on); return nil })
	g.Go(func() error { c.connect(ctx, box); return nil })
	return g.Wait()
}

// Report sends r, now or when the server is there, until the server has taken
// it. A report of the same instance or port that still waits is replaced.
// Of more than 65,536 that wait the oldest is dropped. Safe for concurrent
// use, before Run and during it; it never blocks.
func (c *Client) Report(r cloud.Report) {
	if !c.reports.add(r) {
		orDiscard(c.Log).Warn("too many reports wait for the server, the oldest was dropped", "limit", maxPending)
	}
}

func deliver(ctx context.Context, box <-chan cloud.Slice, on func(cloud.Slice)) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-box:
			on(s)
		}
	}
}

func (c *Client) connect(ctx context.Context, box chan cloud.Slice) {
	log, wait, told := orDiscard(c.Log), firstPause, false
	for {
		synced, err := c.once(ctx, box)
		if ctx.Err() != nil {
			return
		}
		if synced {
			wait, told = firstPause, false
		}
		level := slog.LevelWarn
		if told {
			level = slog.LevelDebug
		}
		log.Log(ctx, level, "feed is away, the last slice holds", "error", err)
		told = true
		pause(ctx, wait/2+rand.N(wait))
		wait = min(2*wait, lastPause)
	}
}

// once is one connection; it reports whether the slice came whole, and why the
// connection ended.
func (c *Client) once(ctx context.Context, box chan cloud.Slice) (synced bool, err error) {
	conn, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.reports.reset()
	hold := make(chan struct{}, 1)
	a := newAnswers(c.Console, g.Go)
	r := &receiver{client: c, box: box, hold: hold, slice: cloud.NewSlice(), ask: func(f frame) error { return a.begin(ctx, f) }}
	g.Go(func() error { return r.run(conn) })
	g.Go(func() error { return c.send(ctx, conn, hold, a) })
	err = g.Wait()
	return r.revision > 0, err
}

// open connects and says hello.
func (c *Client) open(ctx context.Context) (net.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	conn, err := c.Dial(dialCtx)
	if err != nil {
		return nil, fmt.Errorf("connect to feed: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(helloTimeout))
	err = writeFrame(conn, frame{Type: typeHello, Version: version}, maxReport)
	if err == nil {
		err = c.greeted(conn)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hello to feed: %w", err), conn.Close())
	}
	return conn, nil
}

func (c *Client) greeted(conn net.Conn) error {
	hello, err := readFrame(conn, maxReport)
	switch {
	case err != nil:
		return err
	case hello.Type == typeRefuse:
		return errors.New("refused: " + hello.Error)
	case hello.Type != typeHello || hello.Version != version:
		return fmt.Errorf("protocol version %d is wanted, %s %d came", version, hello.Type, hello.Version)
	}
	orDiscard(c.Log).Info("feed connected", "node", hello.Node)
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
