package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"imprint/host/cloud"
)

func (e *Etcd) Txn(ctx context.Context, t EngineTxn) (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if err := checkSpace(e.dir, runReserve); err != nil {
		return 0, err
	}
	rev, err := e.txn(ctx, t)
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return 0, e.overQuota()
	}
	return rev, err
}

// overQuota has the file made smaller and returns what a writer is told.
func (e *Etcd) overQuota() error {
	e.askForRoom()
	return cloud.Errorf(cloud.Unavailable, "the store has reached its space quota of %d bytes", e.quota)
}

func (e *Etcd) Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	watch := e.client.Watch(clientv3.WithRequireLeader(ctx), prefix,
		clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithCreatedNotify())
	for {
		select {
		case resp, ok := <-watch:
			if err := e.watched(ctx, resp, ok, from, on); err != nil {
				return err
			}
		case <-e.failure.ctx.Done():
			return e.away(e.failure.err())
		}
	}
}

func (e *Etcd) watched(ctx context.Context, resp clientv3.WatchResponse, ok bool, from int64, on func([]Event) error) error {
	switch {
	case resp.CompactRevision != 0, resp.Created && resp.Header.Revision+1 < from:
		return ErrCompacted
	case ctx.Err() != nil && e.ctx.Err() == nil:
		return ctx.Err()
	case !ok:
		return e.away(errors.New("the watch ended"))
	case resp.Err() != nil:
		return e.away(resp.Err())
	}
	return byRevision(resp.Events, on)
}

// bound ends with ctx or with the engine.
func (e *Etcd) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// call bounds one request: by ctx, the engine's end and failure, and 7 s,
// which is more than etcd itself waits.
func (e *Etcd) call(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	closed, failed := context.AfterFunc(e.ctx, cancel), context.AfterFunc(e.failure.ctx, cancel)
	return ctx, func() { closed(); failed(); cancel() }
}
