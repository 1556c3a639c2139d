package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"imprint/host/cloud"
)

// NextNumber returns the next number of the counter name: 1, 2, 3 … A number
// is given once, also over restarts; one that its caller does not use leaves a
// gap. Errors are those of [Store.Commit].
func (s *Store) NextNumber(ctx context.Context, name string) (int64, error) {
	if s.readOnly {
		return 0, fmt.Errorf("next number of %s: %w", name, ErrReadOnly)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	key := countRoot + url.PathEscape(name)
	s.counting.Lock()
	defer s.counting.Unlock()
	for {
		n, err := s.count(ctx, key)
		var lost *CompareError
		if errors.As(err, &lost) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("next number of %s: %w", name, err)
		}
		return n, nil
	}
}

func (s *Store) count(ctx context.Context, key string) (int64, error) {
	last, err := s.engine.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	if last.Revision != 0 {
		if n, err = strconv.ParseInt(string(last.Value), 10, 64); err != nil || n < 0 {
			return 0, cloud.Errorf(cloud.Internal, "read %s: not a number", key)
		}
	}
	n++
	_, err = s.engine.Txn(ctx, EngineTxn{
		If:   []Compare{{Key: key, Revision: last.Revision}},
		Then: []Op{{Key: key, Value: strconv.AppendInt(nil, n, 10)}},
	})
	return n, err
}
