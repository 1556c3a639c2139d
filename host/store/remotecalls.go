package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func (r *remote) Txn(ctx context.Context, t EngineTxn) (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	return r.txn(ctx, t)
}

// Watch uses a stream of its own: the client's Watch would hide that the
// connection was lost, and that the store has come back in an earlier state.
func (r *remote) Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error {
	streamCtx, cancel := r.bound(ctx)
	defer cancel()
	r.settle(streamCtx)
	stream, err := r.watch.Watch(clientv3.WithRequireLeader(streamCtx))
	if err != nil {
		err = remoteError(err)
	} else {
		stream.Send(watchRequest(prefix, from)) // what fails here is told by Recv
		err = passOn(stream, from, on)
	}
	if ctx.Err() != nil && r.ctx.Err() == nil {
		return ctx.Err()
	}
	return err
}

func watchRequest(prefix string, from int64) *etcdserverpb.WatchRequest {
	return &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{
			Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), StartRevision: from,
		},
	}}
}

// passOn calls on with what comes until something ends it.
func passOn(stream etcdserverpb.Watch_WatchClient, from int64, on func([]Event) error) error {
	for {
		resp, err := stream.Recv()
		switch {
		case err != nil:
			return remoteError(err)
		case resp.CompactRevision != 0, resp.Created && resp.Header.Revision+1 < from:
			return ErrCompacted
		case resp.Canceled:
			return remoteError(errors.New("the watch ended: " + resp.CancelReason))
		}
		if err := byRevision(resp.Events, on); err != nil {
			return err
		}
	}
}

// bound ends with ctx or with the engine.
func (r *remote) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// call bounds one request, and waits for a connection first.
func (r *remote) call(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, timeout := context.WithTimeout(ctx, callTimeout)
	ctx, cancel := r.bound(ctx)
	r.settle(ctx)
	return ctx, func() { cancel(); timeout() }
}
