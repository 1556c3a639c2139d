package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"imprint/host/config"
)

// listeners are the TCP listeners of the services, all open before anything
// is changed on the machine.
type listeners struct {
	identity, compute, image, network, metadata net.Listener
}

// listen opens them all, or none.
func listen(c config.Config) (listeners, error) {
	var l listeners
	for _, one := range []struct {
		key  string
		to   *net.Listener
		host string
		port int
	}{
		{"api.identity_port", &l.identity, c.API.Listen, c.API.Identity},
		{"api.compute_port", &l.compute, c.API.Listen, c.API.Compute},
		{"api.image_port", &l.image, c.API.Listen, c.API.Image},
		{"api.network_port", &l.network, c.API.Listen, c.API.Network},
		{"metadata.port", &l.metadata, "127.0.0.1", c.Metadata.Port},
	} {
		opened, err := net.Listen("tcp", hostPort(one.host, one.port))
		if err != nil {
			l.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return listeners{}, fmt.Errorf("port %s is in use by another program (configuration key %s)", hostPort(one.host, one.port), one.key)
			}
			return listeners{}, fmt.Errorf("listen for %s: %w", one.key, err)
		}
		*one.to = opened
	}
	return l, nil
}

func (l listeners) close() {
	for _, one := range []net.Listener{l.identity, l.compute, l.image, l.network, l.metadata} {
		if one != nil {
			one.Close()
		}
	}
}
