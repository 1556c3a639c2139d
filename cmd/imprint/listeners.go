package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"imprint/host/config"
)

// place is where a service listens, and the configuration key that says so.
type place struct {
	key, host string
	port      int
}

// apiPlaces are those of the API services: identity, compute, image, network.
func apiPlaces(c config.Config) []place {
	return []place{
		{"api.identity_port", c.API.Listen, c.API.Identity},
		{"api.compute_port", c.API.Listen, c.API.Compute},
		{"api.image_port", c.API.Listen, c.API.Image},
		{"api.network_port", c.API.Listen, c.API.Network},
	}
}

func metadataPlace(c config.Config) place {
	return place{"metadata.port", "127.0.0.1", c.Metadata.Port}
}

// tryListen finds out whether listeners can be opened, for a process that does
// not open them before it can answer: whoever connects earlier would wait.
func (p *process) tryListen(places ...place) error {
	l, err := p.listen(places...)
	for _, l := range l {
		l.Close()
	}
	return err
}

// listen opens listeners at all places, or none; they are closed with the
// process.
func (p *process) listen(places ...place) ([]net.Listener, error) {
	var opened []net.Listener
	for _, at := range places {
		l, err := net.Listen("tcp", hostPort(at.host, at.port))
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("port %s is in use by another program (configuration key %s)", hostPort(at.host, at.port), at.key)
		}
		if err != nil {
			return nil, fmt.Errorf("listen for %s: %w", at.key, err)
		}
		opened = append(opened, l)
		p.closers = append(p.closers, func() error { return ignoreClosed(l.Close()) })
	}
	return opened, nil
}

// ignoreClosed passes over that something was closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
