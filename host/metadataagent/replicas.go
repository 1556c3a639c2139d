package metadataagent

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// dialTimeout bounds the wait for one replica.
const dialTimeout = 3 * time.Second

// replicas are the addresses of the metadata service.
type replicas struct {
	addresses []string
	tls       *tls.Config // nil: no TLS
	turn      atomic.Uint32
}

// dial connects to the replica whose turn it is, or to the next one that can
// be reached. http.Transport calls it.
func (r *replicas) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return r.next(func(address string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	})
}

// dialTLS is dial for https: each replica is known by its own name.
func (r *replicas) dialTLS(ctx context.Context, _, _ string) (net.Conn, error) {
	return r.next(func(address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return (&tls.Dialer{Config: r.tls}).DialContext(ctx, "tcp", address)
	})
}

func (r *replicas) next(dial func(address string) (net.Conn, error)) (net.Conn, error) {
	first := int(r.turn.Add(1) % uint32(len(r.addresses)))
	var failed error
	for i := range r.addresses {
		c, err := dial(r.addresses[(first+i)%len(r.addresses)])
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
