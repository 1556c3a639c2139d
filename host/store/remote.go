package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// Remote says where a store that another process serves is found.
type Remote struct {
	// Endpoints are the members' addresses, as https://host:port; at least one.
	Endpoints []string
	// TLS has this process's certificate, of [RoleAPI] or [RoleMetadata], and
	// in RootCAs the authority of the store's. A store whose certificate names
	// another role than [RoleStore] is not believed.
	TLS *tls.Config
	// Log gets etcd's errors as warnings and its warnings as debug; nil discards.
	Log *slog.Logger
}

const (
	// patience is how long a call waits for a connection before it fails.
	patience = 2 * time.Second
	// How long to wait before the next attempt to connect.
	firstRetry, lastRetry = 50 * time.Millisecond, time.Second
	connectTimeout        = 3 * time.Second
	// A store that is silent for the sum of both is away.
	aliveProbe, aliveTimeout = 10 * time.Second, 5 * time.Second
)

// remote is an [Engine] on the other side of a network.
type remote struct {
	calls
	client *clientv3.Client
	watch  etcdserverpb.WatchClient
	ctx    context.Context // ends with the engine
	cancel context.CancelFunc
}

// OpenRemote returns an engine that another process serves: by [Etcd.Serve],
// or a cluster of stock etcd. It has been reached once when OpenRemote
// returns, and is reconnected to from then on. An error of kind
// cloud.Unavailable is worth another try, unless it is [ErrRefused].
//
// An acknowledged transaction is durable there. One whose connection broke
// before the answer has happened or has not, and its error is of kind
// cloud.Unavailable. A call waits for 2 s for a connection and takes 7 s at
// most. Watch ends with the connection; the next one goes on from the revision
// that its caller has reached.
func OpenRemote(ctx context.Context, o Remote) (Engine, error) {
	r, err := connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open remote store: %w", err)
	}
	if err := r.reach(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open remote store %s: %w", o.Endpoints, err), r.Close())
	}
	return r, nil
}

// reach proves that the store can be read. A refusal is told at once, anything
// else gets a second chance.
func (r *remote) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	first, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := r.kv.Get(first, sealKey)
	if err == nil {
		return nil
	}
	if err = remoteError(err); !errors.Is(err, ErrRefused) {
		_, err = r.Get(ctx, sealKey)
	}
	return err
}

func connect(ctx context.Context, o Remote) (*remote, error) {
	conf, err := clientTLS(o.TLS)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoints(o.Endpoints); err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &remote{}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.client, err = clientv3.New(clientv3.Config{
		Context: r.ctx, Endpoints: o.Endpoints,
		DialKeepAliveTime: aliveProbe, DialKeepAliveTimeout: aliveTimeout,
		Logger:      zap.New(&slogCore{log: log}),
		DialOptions: dialOptions(conf),
	})
	if err != nil {
		r.cancel()
		return nil, err
	}
	// The client's own calls would wait for a connection to the last, and their
	// errors would not say why there is none.
	conn := r.client.ActiveConnection()
	r.watch = etcdserverpb.NewWatchClient(conn)
	kv := clientv3.NewKVFromKVClient(etcdserverpb.NewKVClient(conn), nil)
	r.calls = calls{kv: kv, bounded: r.call, inWords: remoteError}
	return r, nil
}

func checkEndpoints(endpoints []string) error {
	if len(endpoints) == 0 {
		return errors.New("no endpoint is given")
	}
	for _, endpoint := range endpoints {
		u, err := url.Parse(endpoint)
		if err != nil {
			return fmt.Errorf("endpoint %w", err)
		}
		if u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != endpoint {
			return fmt.Errorf("endpoint %q is not of the form https://host:port", endpoint)
		}
	}
	return nil
}

func dialOptions(conf *tls.Config) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(alertCreds{credentials.NewTLS(conf)}),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(maxRequest), grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRetry},
			MinConnectTimeout: connectTimeout,
		}),
	}
}

func (r *remote) Close() error {
	r.cancel()
	return ignoreCanceled(r.client.Close())
}

// settle waits until there is a connection, for a while.
func (r *remote) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn := r.client.ActiveConnection()
	for state := conn.GetState(); state != connectivity.Ready && state != connectivity.Shutdown; state = conn.GetState() {
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}
