package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pageSize is how many keys one request of List asks for.
const pageSize = 2000

// calls makes the requests of an [Engine] to an etcd, wherever it runs.
type calls struct {
	kv clientv3.KV
	// bounded bounds one request, in time and by the end of the engine.
	bounded func(context.Context) (context.Context, context.CancelFunc)
	// inWords puts an error of etcd in the store's words.
	inWords func(error) error
}

func (c *calls) Get(ctx context.Context, key string) (KV, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	resp, err := c.kv.Get(ctx, key)
	if err != nil {
		return KV{}, c.inWords(err)
	}
	if len(resp.Kvs) == 0 {
		return KV{Key: key}, nil
	}
	return asKV(resp.Kvs[0]), nil
}

func (c *calls) List(ctx context.Context, prefix string) ([]KV, int64, error) {
	for {
		kvs, rev, err := c.list(ctx, prefix)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return kvs, rev, err
		}
	}
}

// list reads page by page, all at the revision of the first.
func (c *calls) list(ctx context.Context, prefix string) ([]KV, int64, error) {
	var kvs []KV
	from, end, rev := prefix, clientv3.GetPrefixRangeEnd(prefix), int64(0)
	for {
		resp, err := c.page(ctx, from, end, rev)
		if err != nil {
			return nil, 0, c.inWords(err)
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

func (c *calls) page(ctx context.Context, from, end string, rev int64) (*clientv3.GetResponse, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.kv.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(rev), clientv3.WithLimit(pageSize))
}

// txn is Engine.Txn without the limits.
func (c *calls) txn(ctx context.Context, t EngineTxn) (int64, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	conditions, reads := conditionsOf(t.If)
	resp, err := c.kv.Txn(ctx).If(conditions...).Then(changesOf(t.Then)...).Else(reads...).Commit()
	if err != nil {
		return 0, c.inWords(err)
	}
	if !resp.Succeeded {
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
