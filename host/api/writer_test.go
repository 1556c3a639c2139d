package api_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/api"
	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

// TestWritersDecideAgain lets writers of several processes add to one record.
func TestWritersDecideAgain(t *testing.T) {
	store := apitest.NewStore(time.Now)
	store.Seed(&cloud.Node{Name: "n"})
	var wg sync.WaitGroup
	for i := range 4 {
		w := api.NewWriter(store)
		for j := range 8 {
			wg.Go(func() {
				err := w.Change(t.Context(), func(m *cloud.Model) (cloud.Txn, error) {
					n := *m.Nodes["n"]
					n.AvailabilityZone += fmt.Sprintf(" %d%d", i, j)
					return cloud.Txn{Put: []cloud.Record{&n}}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	store.View(func(m *cloud.Model) {
		if zone := m.Nodes["n"].AvailabilityZone; len(zone) != 4*8*3 {
			t.Errorf("changes were lost: %q", zone)
		}
	})
}

type contested struct{ api.Store }

func (contested) Commit(context.Context, cloud.Txn) error { return cloud.ErrConflict }

func TestWriterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := api.NewWriter(contested{apitest.NewStore(time.Now)}).Change(t.Context(), func(*cloud.Model) (cloud.Txn, error) {
			tries++
			return cloud.Txn{Put: []cloud.Record{&cloud.Node{Name: "n"}}}, nil
		})
		if cloud.KindOf(err) != cloud.Unavailable || tries < 5 || tries > 50 {
			t.Errorf("after %d tries: %v", tries, err)
		}
	})
}

func TestWriterStops(t *testing.T) {
	w := api.NewWriter(apitest.NewStore(time.Now))
	refusal := errors.New("no")
	if err := w.Change(t.Context(), func(*cloud.Model) (cloud.Txn, error) { return cloud.Txn{}, refusal }); err != refusal {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Change(ctx, func(*cloud.Model) (cloud.Txn, error) {
		return cloud.Txn{Put: []cloud.Record{&cloud.Node{Name: "n"}}}, nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
