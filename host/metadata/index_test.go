package metadata

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/cloud"
)

// fakeNouns holds a model and tells of its changes as the store does.
type fakeNouns struct {
	mu      sync.Mutex
	model   *cloud.Model
	changed chan struct{}
}

func newFakeNouns(m *cloud.Model) *fakeNouns {
	n := &fakeNouns{model: m, changed: make(chan struct{}, 1)}
	n.changed <- struct{}{}
	return n
}

func (n *fakeNouns) View(f func(*cloud.Model)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.model)
}

func (n *fakeNouns) Changes(context.Context) <-chan struct{} { return n.changed }

func (n *fakeNouns) apply(changes ...cloud.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		n.model.Apply(c)
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// fakeBlobs holds bytes by their digest.
type fakeBlobs struct{ held sync.Map }

func (b *fakeBlobs) add(data []byte) cloud.Digest {
	d := cloud.DigestOf(data)
	b.held.Store(d, data)
	return d
}

func (b *fakeBlobs) ReadAll(d cloud.Digest, limit int64) ([]byte, error) {
	data, ok := b.held.Load(d)
	if !ok || int64(len(data.([]byte))) > limit {
		return nil, errors.New("away, or too large")
	}
	return data.([]byte), nil
}

func TestIndexFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nouns, blobs := newFakeNouns(cloud.NewModel()), &fakeBlobs{}
		x := NewIndex(Site{}, nouns, blobs, nil)
		if _, err := x.Instance("s"); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("before the first fill: %v, want unavailable", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go x.Run(ctx)
		<-x.Ready()
		if _, err := x.Instance("s"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("unknown server: %v", err)
		}

		data := []byte("#cloud-config\n")
		server := cloud.Server{ServerID: "s", Name: "one", UserData: cloud.DigestOf(data)}
		plain := cloud.Server{ServerID: "plain"}
		nouns.apply(cloud.Change{Record: &server}, cloud.Change{Record: &plain})
		synctest.Wait()
		if _, err := x.Instance("s"); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("user data away: %v, want unavailable", err)
		}
		if _, err := x.Instance("plain"); err != nil {
			t.Errorf("a server without user data waits for another's: %v", err)
		}
		blobs.add(data)
		time.Sleep(firstRetry)
		synctest.Wait()
		if i, err := x.Instance("s"); err != nil || string(i.UserData) != string(data) {
			t.Fatalf("user data is back: %v", err)
		}

		before, _ := x.Instance("plain")
		renamed := server
		renamed.Name = "two"
		nouns.apply(cloud.Change{Record: &renamed})
		synctest.Wait()
		if i, err := x.Instance("s"); err != nil || i.Name != "two" || string(i.UserData) != string(data) {
			t.Errorf("renamed server: %v", err)
		}
		if after, _ := x.Instance("plain"); after != before {
			t.Error("an unchanged server was made anew")
		}

		nouns.apply(cloud.Change{Record: &renamed, Deleted: true})
		synctest.Wait()
		if _, err := x.Instance("s"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("deleted server: %v", err)
		}
		if len(x.userData) != 0 {
			t.Error("the deleted server's user data is kept")
		}
		close(nouns.changed)
		synctest.Wait()
		if _, err := x.Instance("plain"); err != nil {
			t.Errorf("after the last change: %v", err)
		}
		cancel()
	})
}

func TestUserDataIsBounded(t *testing.T) {
	m, blobs := cloud.NewModel(), &fakeBlobs{}
	for id, size := range map[cloud.ServerID]int{"whole": MaxUserData, "more": MaxUserData + 1} {
		m.Apply(cloud.Change{Record: &cloud.Server{ServerID: id, UserData: blobs.add(make([]byte, size))}})
	}
	x := NewIndex(Site{}, newFakeNouns(m), blobs, nil)
	if x.refresh() {
		t.Error("an index with too large user data is complete")
	}
	if _, err := x.Instance("whole"); err != nil {
		t.Error(err)
	}
	if _, err := x.Instance("more"); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("error %v, want unavailable", err)
	}
}
