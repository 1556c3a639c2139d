package nsproxy

import (
	"context"
	"fmt"
	"os"
	"time"
)

// grace is how long requests may take to end when the proxy does.
const grace = 3 * time.Second

// Give returns duplicates of an item's sockets, for the proxy that comes after
// this one. From then on every connection ends with its next answer.
func (p *Proxy) Give(key string) ([]*os.File, error) {
	p.given.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[key]
	if h == nil {
		return nil, fmt.Errorf("%s is not held", key)
	}
	var files []*os.File
	for _, g := range h.gates {
		f, err := g.File()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Close closes all listeners, lets requests end for some seconds, and waits
// for the proxy's goroutines. What was given to a successor ends gently: open
// connections are served until they have had their next answer, or have been
// idle for as long as they may be anyway.
func (p *Proxy) Close() {
	p.mu.Lock()
	for _, h := range p.held {
		h.stopListening()
	}
	p.mu.Unlock()
	p.listening.Wait()
	if p.given.Load() {
		p.awaitConnections(p.limits.IdleTime + p.limits.WriteTime)
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		p.log.Warn("requests cut off", "error", err)
		p.server.Close()
	}
	p.agent.CloseIdleConnections()
}

// awaitConnections waits until none is open. No new one comes any more.
func (p *Proxy) awaitConnections(atMost time.Duration) {
	none := make(chan struct{})
	go func() { p.open.Wait(); close(none) }() // Close ends the rest
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}
