package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"imprint/host/cloud"
)

// pageSize is how many keys one request of List asks for.
const pageSize = 2000

func (e *Etcd) Get(ctx context.Context, key string) (KV, error) {
	ctx, cancel := e.call(ctx)
	defer cancel()
	resp, err := e.client.Get(ctx, key)
	if err != nil {
		return KV{}, e.away(err)
	}
	if len(resp.Kvs) == 0 {
		return KV{Key: key}, nil
	}
	return asKV(resp.Kvs[0]), nil
}

func (e *Etcd) List(ctx context.Context, prefix string) ([]KV, int64, error) {
	for {
		kvs, rev, err := e.list(ctx, prefix)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return kvs, rev, err
		}
	}
}

// list reads page by page, all at the revision of the first.
func (e *Etcd) list(ctx context.Context, prefix string) ([]KV, int64, error) {
	var kvs []KV
	from, end, rev := prefix, clientv3.GetPrefixRangeEnd(prefix), int64(0)
	for {
		resp, err := e.page(ctx, from, end, rev)
		if err != nil {
			return nil, 0, e.away(err)
		}
		if rev == 0 {
			rev = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			kvs = append(kvs, asKV(kv))
		}
		if !resp.More {
			return kvs, rev, nil
		}
		from = kvs[len(kvs)-1].Key + "\x00"
	}
}

func (e *Etcd) page(ctx context.Context, from, end string, rev int64) (*clientv3.GetResponse, error) {
	ctx, cancel := e.call(ctx)
	defer cancel()
	return e.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(rev), clientv3.WithLimit(pageSize))
}

func (e *Etcd) Txn(ctx context.Context, t EngineTxn) (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if err := checkSpace(e.dir, runReserve); err != nil {
		return 0, err
	}
	ctx, cancel := e.call(ctx)
	defer cancel()
	conditions, reads := conditionsOf(t.If)
	resp, err := e.client.Txn(ctx).If(conditions...).Then(changesOf(t.Then)...).Else(reads...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		e.askForRoom()
		return 0, cloud.Errorf(cloud.Unavailable, "the store has reached its space quota of %d bytes", e.quota)
	case err != nil:
		return 0, e.away(err)
	case !resp.Succeeded:
		return 0, failedCompare(t.If, resp)
	}
	return resp.Header.Revision, nil
}

func conditionsOf(compares []Compare) (conditions []clientv3.Cmp, reads []clientv3.Op) {
	for _, c := range compares {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Revision))
		reads = append(reads, clientv3.OpGet(c.Key, clientv3.WithKeysOnly()))
	}
	return conditions, reads
}

func changesOf(ops []Op) []clientv3.Op {
	var changes []clientv3.Op
	for _, op := range ops {
		if op.Delete {
			changes = append(changes, clientv3.OpDelete(op.Key))
		} else {
			changes = append(changes, clientv3.OpPut(op.Key, string(op.Value)))
		}
	}
	return changes
}

func failedCompare(compares []Compare, resp *clientv3.TxnResponse) error {
	for i, c := range compares {
		revision := int64(0)
		if kvs := resp.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
			revision = kvs[0].ModRevision
		}
		if revision != c.Revision {
			return &CompareError{c.Key}
		}
	}
	return errors.New("etcd: a transaction failed although its conditions hold")
}

func (e *Etcd) Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	watch := e.client.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	for {
		select {
		case resp, ok := <-watch:
			if err := e.watched(ctx, resp, ok, on); err != nil {
				return err
			}
		case <-e.failure.ctx.Done():
			return e.away(e.failure.err())
		}
	}
}

func (e *Etcd) watched(ctx context.Context, resp clientv3.WatchResponse, ok bool, on func([]Event) error) error {
	switch {
	case resp.CompactRevision != 0:
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

// byRevision calls on once for each revision. etcd never splits one between
// responses unless asked to.
func byRevision(events []*clientv3.Event, on func([]Event) error) error {
	var batch []Event
	for i, ev := range events {
		batch = append(batch, Event{KV: asKV(ev.Kv), Deleted: ev.Type == clientv3.EventTypeDelete})
		if i+1 < len(events) && events[i+1].Kv.ModRevision == ev.Kv.ModRevision {
			continue
		}
		if err := on(batch); err != nil {
			return err
		}
		batch = nil
	}
	return nil
}

func asKV(kv *mvccpb.KeyValue) KV {
	return KV{Key: string(kv.Key), Value: kv.Value, Revision: kv.ModRevision}
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
