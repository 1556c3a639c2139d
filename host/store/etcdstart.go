package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// How long to wait for etcd to start, to stop, and for one that has failed to
// stop, whose goroutines may be gone.
const (
	startTimeout  = time.Minute
	stopTimeout   = 10 * time.Second
	failedTimeout = 2 * time.Second
)

// start returns a server that takes writes, or leaves none behind.
func (e *Etcd) start(ctx context.Context, dir string) (*embed.Etcd, error) {
	server, err := startServer(e.config(dir), e.failure)
	if err != nil {
		return nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
		if err = onlyMember(server); err == nil {
			return server, nil
		}
	case <-server.Server.StopNotify():
		err = errors.New("it stopped at once")
	case <-e.failure.ctx.Done():
		err = e.failure.err()
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startTimeout):
		err = fmt.Errorf("it was not ready after %v", startTimeout)
	}
	return nil, errors.Join(err, e.stop(server))
}

// onlyMember refuses a directory that has become part of a larger cluster,
// whose other members could not reach this one.
func onlyMember(server *embed.Etcd) error {
	if n := len(server.Server.Cluster().Members()); n != 1 {
		return fmt.Errorf("it belongs to a cluster of %d members; run etcd itself on it", n)
	}
	return nil
}

// startServer runs in a goroutine of its own because etcd ends the goroutine,
// by way of the failure, in which something goes wrong for good; that may be
// another one, for which etcd's start would wait for ever.
func startServer(cfg *embed.Config, f *failure) (*embed.Etcd, error) {
	type result struct {
		server *embed.Etcd
		err    error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("etcd gave up")}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("etcd cannot read its files: %v", p)}
			}
			done <- r
		}()
		r.server, r.err = embed.StartEtcd(cfg)
	}()
	select {
	case r := <-done:
		return r.server, errors.Join(f.err(), r.err)
	case <-f.ctx.Done():
		return nil, f.err()
	}
}

func (e *Etcd) stop(server *embed.Etcd) error {
	timeout := stopTimeout
	if e.failure.err() != nil {
		timeout = failedTimeout
	}
	done := make(chan struct{})
	go func() { server.Close(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("etcd did not stop within %v", timeout)
	}
}
