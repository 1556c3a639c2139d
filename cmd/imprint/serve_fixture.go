package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"imprint/host/config"
	"imprint/host/metadata"
)

// fixtureOptions are those of serving instances from files.
type fixtureOptions struct {
	dir    string
	files  []string // nova.conf
	listen string   // "" for what the files say
	// ready, if not nil, gets the address that is listened on.
	ready chan<- net.Addr
}

// serveFixture serves the instances of a directory, without a store.
func serveFixture(ctx context.Context, o fixtureOptions, log *slog.Logger) error {
	ini, err := config.LoadINI(o.files...)
	if err != nil {
		return err
	}
	conf, err := config.ReadNova(ini, log)
	if err != nil {
		return err
	}
	if len(o.files) == 0 && o.listen == "" {
		o.listen = "127.0.0.1:8775" // not Nova's default, which is every address
	}
	if o.listen != "" {
		conf.Listen = o.listen
	}
	fixture, err := metadata.LoadFixture(o.dir)
	if err != nil {
		return err
	}
	setup, err := metadata.FromNova(conf, fixture, fixture, log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", conf.Listen)
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	if o.ready != nil {
		o.ready <- l.Addr()
	}
	return setup.Serve(ctx, l)
}
