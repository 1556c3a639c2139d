package metadataagent

import (
	"context"
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
	turn      atomic.Uint32
}

// dial connects to the replica whose turn it is, or to the next one that can
// be reached. http.Transport calls it.
func (r *replicas) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	first := int(r.turn.Add(1) % uint32(len(r.addresses)))
	var failed error
	for i := range r.addresses {
		c, err := dialer.DialContext(ctx, "tcp", r.addresses[(first+i)%len(r.addresses)])
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
