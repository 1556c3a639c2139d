package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Bounds on the store's clients.
const (
	maxClients       = 1024             // connections
	maxStreams       = 1024             // requests at once on one of them
	handshakeTimeout = 5 * time.Second  // for TLS and the preface of HTTP/2
	drainTimeout     = 5 * time.Second  // for requests that are under way at the end
	idleProbe        = 30 * time.Second // then a silent client is asked for a sign of life
	probeTimeout     = 10 * time.Second
	probesAllowed    = 5 * time.Second // clients may ask the same this often
)

// Serve lets other processes use the engine through [OpenRemote], over TLS 1.3
// on l, which it closes. conf has the store's certificate, of [RoleStore], and
// in ClientCAs the authority of the clients'; a client is let in with a
// certificate of [RoleAPI] or [RoleMetadata], and with no other.
//
// It returns nil when ctx or the engine ends, after requests that are under
// way have finished (5 s at most), and an error when the engine has failed or
// l does; the engine is then to be closed.
func (e *Etcd) Serve(ctx context.Context, l net.Listener, conf *tls.Config) error {
	defer l.Close()
	conf, err := serverTLS(conf)
	if err != nil {
		return fmt.Errorf("serve store on %s: %w", l.Addr(), err)
	}
	if e.ctx.Err() != nil {
		return nil
	}
	e.tending.Add(1) // Close waits
	defer e.tending.Done()
	ctx, cancel := e.bound(ctx)
	defer cancel()
	server := e.newServer(ctx, conf)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(l, maxClients)) }()
	select {
	case err = <-ended:
	case <-e.failure.ctx.Done():
		err = e.away(e.failure.err())
	case <-ctx.Done():
	}
	cancel()
	drain(server)
	if err != nil {
		return fmt.Errorf("serve store on %s: %w", l.Addr(), err)
	}
	return nil
}

// newServer offers reads, transactions and watches, and nothing else of etcd.
func (e *Etcd) newServer(ctx context.Context, conf *tls.Config) *grpc.Server {
	g := &gate{engine: e, ctx: ctx}
	server := grpc.NewServer(
		grpc.Creds(newDoorkeeper(conf, e.log)),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: idleProbe, Timeout: probeTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: probesAllowed, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
	)
	etcdserverpb.RegisterKVServer(server, v3rpc.NewQuotaKVServer(e.server.Server))
	etcdserverpb.RegisterWatchServer(server, v3rpc.NewWatchServer(e.server.Server))
	return server
}

// drain stops the server. Handlers of an engine that has failed may be stuck.
func drain(server *grpc.Server) {
	stop := time.AfterFunc(drainTimeout, server.Stop)
	defer stop.Stop()
	done := make(chan struct{})
	go func() { server.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTimeout + failedTimeout):
	}
}
