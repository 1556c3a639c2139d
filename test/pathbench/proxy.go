package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"imprint/base/daemon"
	"imprint/host/nsproxy"
)

// worker is the namespace proxy.
func worker(agentSocket string) error {
	control, err := daemon.EnterWorker()
	if err != nil {
		return err
	}
	if err := nsproxy.Run(context.Background(), control, agentSocket, nil); !errors.Is(err, daemon.ErrStop) {
		return err
	}
	return nil
}

// measured is what the proxy costs.
type measured struct {
	perNamespace, all float64 // bytes
	start             time.Duration
}

// measureProxy starts a proxy, hands it listeners of all places, asks through
// each, and compares with its memory when it had served a few.
func measureProxy(dir string, all []place) (measured, error) {
	const few = 10
	socket := filepath.Join(dir, "control")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Supervise(ctx, nil, socket, daemon.Command{
			Args: []string{workerName, agentSocket(dir)}, UID: workerUserID, GID: workerUserID, Log: os.Stderr, Grace: time.Second,
		}, nil)
	}()
	defer func() { cancel(); <-ended }()
	began := time.Now()
	owner, err := dial(ctx, socket)
	if err != nil {
		return measured{}, err
	}
	defer owner.Close()
	if err := serve(ctx, owner, all[:few]); err != nil {
		return measured{}, err
	}
	pid, err := owner.PID(ctx)
	if err != nil {
		return measured{}, err
	}
	before, err := private(pid)
	if err != nil {
		return measured{}, err
	}
	if err := serve(ctx, owner, all[few:]); err != nil {
		return measured{}, err
	}
	m := measured{start: time.Since(began)}
	m.all, err = private(pid)
	m.perNamespace = (m.all - before) / float64(len(all)-few)
	return m, err
}

// askers ask at a time.
const askers = 8

// serve hands the places' sockets over, and returns when each was answered.
func serve(ctx context.Context, owner *daemon.Handover, places []place) error {
	for _, p := range places {
		files, err := p.open()
		if err == nil {
			err = owner.Put(ctx, daemon.Item{Key: p.key()}, files...)
		}
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			return err
		}
	}
	var asked errgroup.Group
	asked.SetLimit(askers)
	for _, p := range places {
		asked.Go(p.ask)
	}
	return asked.Wait()
}

// dial waits for the worker's socket.
func dial(ctx context.Context, socket string) (*daemon.Handover, error) {
	for range 1000 {
		owner, err := daemon.DialHandover(ctx, socket)
		if err == nil {
			return owner, nil
		}
		time.Sleep(time.Millisecond)
	}
	return nil, fmt.Errorf("no worker behind %s", socket)
}
