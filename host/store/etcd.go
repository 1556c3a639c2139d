package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// EtcdOptions say where an embedded etcd lies.
type EtcdOptions struct {
	// Dir is made with mode 0700 when it does not exist.
	Dir string
	// Quota bounds the size of the database file in bytes; 0 is 2 GiB.
	Quota int64
	// Log gets etcd's errors as warnings and its warnings as debug; nil discards.
	Log *slog.Logger
}

const (
	defaultQuota = 2 << 30
	etcdDir      = "etcd" // below EtcdOptions.Dir
	// memberName and memberHost are those of the only member. Nothing listens
	// at the address; it takes the place of a real one until there are more.
	memberName = "imprint"
	memberHost = "127.0.0.1:2380"
	// maxRequest is etcd's own limit in bytes, which counts its framing too; the
	// records' limit comes first.
	maxRequest = MaxBytes + 512<<10
)

// Etcd is an [Engine]: a single-member etcd inside this process. It listens on
// no socket, unless [Etcd.Serve] lets other processes in.
type Etcd struct {
	calls
	dir     string
	quota   int64
	log     *slog.Logger
	lock    *os.File
	server  *embed.Etcd
	client  *clientv3.Client
	failure *failure

	ctx     context.Context // ends with the engine
	cancel  context.CancelFunc
	tending sync.WaitGroup
	full    chan struct{} // the quota was hit; capacity 1
}

// OpenEtcd opens the etcd in o.Dir, or makes a new one, and returns when it
// takes writes. Another process in the directory is [ErrInUse].
func OpenEtcd(ctx context.Context, o EtcdOptions) (*Etcd, error) {
	if err := prepareDir(o.Dir); err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	e := &Etcd{dir: o.Dir, quota: o.Quota, log: o.Log, lock: lock, failure: newFailure(ctx), full: make(chan struct{}, 1)}
	if e.quota == 0 {
		e.quota = defaultQuota
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open etcd in %s: %w", o.Dir, err), lock.Close())
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.tending.Go(e.tend)
	return e, nil
}

// prepareDir makes the directory and proves that it can be written to, and
// that a new store has room.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return &os.PathError{Op: "write to", Path: dir, Err: err}
	}
	if _, err := os.Stat(filepath.Join(dir, etcdDir)); err == nil {
		return nil
	}
	return checkSpace(dir, startReserve)
}

// open makes the directory of a new store under another name first: an etcd
// that was killed in its first moments never starts again.
func (e *Etcd) open(ctx context.Context) error {
	dir := filepath.Join(e.dir, etcdDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := e.make(ctx, dir); err != nil {
			return err
		}
	}
	server, err := e.start(ctx, dir)
	if err != nil {
		return err
	}
	e.server, e.client = server, v3client.New(server.Server)
	e.calls = calls{kv: e.client.KV, bounded: e.call, inWords: e.away}
	return nil
}

func (e *Etcd) make(ctx context.Context, dir string) error {
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	server, err := e.start(ctx, unfinished)
	if err != nil {
		return err
	}
	if err := e.stop(server); err != nil {
		return err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return err
	}
	return syncDir(e.dir)
}

func (e *Etcd) config(dir string) *embed.Config {
	cfg := embed.NewConfig()
	advertised := url.URL{Scheme: "http", Host: memberHost}
	cfg.Name = memberName
	cfg.Dir = dir
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls = []url.URL{advertised}
	cfg.AdvertiseClientUrls = nil
	cfg.InitialCluster = memberName + "=" + advertised.String()
	cfg.EnableGRPCGateway = false
	// Without peers an election needs no patience.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.MaxTxnOps = MaxOps
	cfg.MaxRequestBytes = maxRequest
	cfg.QuotaBackendBytes = e.quota
	cfg.AutoCompactionMode = embed.CompactorModeRevision
	cfg.AutoCompactionRetention = historyKept
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(e.log, e.failure))
	return cfg
}

// Close ends Serve, stops etcd and lets go of the directory. When etcd had
// failed and does not stop, the directory stays taken until the process ends.
func (e *Etcd) Close() error {
	defer e.failure.end()
	e.cancel()
	e.tending.Wait()
	err := errors.Join(ignoreCanceled(e.client.Close()), e.stop(e.server))
	if err != nil {
		return fmt.Errorf("close etcd in %s: %w", e.dir, err)
	}
	return e.lock.Close()
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// away wraps an error of etcd in the kind that callers decide on.
func (e *Etcd) away(err error) error {
	if failed := e.failure.err(); failed != nil {
		err = failed
	}
	return fmt.Errorf("%w: etcd: %w", cloud.Errorf(cloud.Unavailable, "the store is away"), err)
}
