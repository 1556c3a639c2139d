package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/metadata"
	"imprint/host/store"
)

// switched is an engine that can be away; its data stays.
type switched struct {
	store.Engine

	mu   sync.Mutex
	on   bool
	gone chan struct{} // closed when it goes away
}

func (s *switched) turn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on && !on {
		close(s.gone)
	}
	if s.on = on; on {
		s.gone = make(chan struct{})
	}
}

func (s *switched) state() (bool, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on, s.gone
}

var errAway = cloud.Errorf(cloud.Unavailable, "the store is away")

func (s *switched) Txn(ctx context.Context, t store.EngineTxn) (int64, error) {
	if on, _ := s.state(); !on {
		return 0, errAway
	}
	return s.Engine.Txn(ctx, t)
}

func (s *switched) Watch(ctx context.Context, prefix string, from int64, f func([]store.Event) error) error {
	on, gone := s.state()
	if !on {
		return errAway
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.Engine.Watch(ctx, prefix, from, f); err != nil {
		return errAway
	}
	return nil
}

// replica is a metadata service with an index and a store's reader of its own.
func replica(t *testing.T, s *store.Store) (url string, index *metadata.Index) {
	t.Helper()
	index = metadata.NewIndex(metadata.Site{Domain: "novalocal"}, s, noBlobs{}, nil)
	service, err := metadata.New(metadata.Options{Instances: index, Secret: hopSecret, Passwords: metadata.StoredPasswords(s)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { index.Run(ctx) })
	running.Go(func() {
		if err := service.Run(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	<-index.Ready()
	return "http://" + l.Addr().String(), index
}

func askReplica(t *testing.T, method, url, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(cloud.HeaderInstanceID, "s")
	r.Header.Set(cloud.HeaderTenantID, "p")
	r.Header.Set(cloud.HeaderInstanceSignature, cloud.Signature(hopSecret, "s"))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// TestMetadataWhileTheStoreIsAway: two replicas on one store; while it is away
// reads go on and a password is refused with a time to come back, and when it
// is back nothing is lost.
func TestMetadataWhileTheStoreIsAway(t *testing.T) {
	engine := &switched{Engine: store.NewMemory(), on: true, gone: make(chan struct{})}
	s, err := store.Open(t.Context(), store.Options{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	server := &cloud.Server{ServerID: "s", ProjectID: "p", Name: "one", HostName: "one", Metadata: map[string]string{"a": "b"}}
	if err := s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{server}}); err != nil {
		t.Fatal(err)
	}
	var urls []string
	var indexes []*metadata.Index
	for range 2 {
		url, index := replica(t, s)
		urls, indexes = append(urls, url), append(indexes, index)
	}
	await := func(what string, told func(*openstack.Instance) bool) {
		t.Helper()
		for n, x := range indexes {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			for range x.Changes(ctx) {
				if i, err := x.Instance("s"); err == nil && told(i) {
					break
				}
			}
			if ctx.Err() != nil {
				t.Errorf("replica %d: never %s", n, what)
			}
			cancel()
		}
	}
	alike := func(paths ...string) string {
		t.Helper()
		var all [2]string
		for n, url := range urls {
			for _, path := range paths {
				status, _, body := askReplica(t, "GET", url+path, "")
				all[n] += fmt.Sprintln(path, status, body)
			}
		}
		if all[0] != all[1] {
			t.Errorf("the replicas differ:\n%s\n%s", all[0], all[1])
		}
		return all[0]
	}
	await("told", func(i *openstack.Instance) bool { return i.Name == "one" })
	reads := []string{"/", "/openstack", "/openstack/2012-08-10/meta_data.json", "/latest/meta-data/", "/latest/meta-data/hostname", "/openstack/latest/password", "/nope"}
	before := alike(reads...)
	if !strings.Contains(before, "one.novalocal") {
		t.Errorf("what is told: %s", before)
	}

	engine.turn(false)
	if during := alike(reads...); during != before {
		t.Errorf("while the store is away:\n%s\nbefore:\n%s", during, before)
	}
	status, header, _ := askReplica(t, "POST", urls[0]+"/openstack/latest/password", "secret")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("a password while the store is away: %d, Retry-After %q", status, header.Get("Retry-After"))
	}

	engine.turn(true)
	if status, _, body := askReplica(t, "POST", urls[1]+"/openstack/latest/password", "secret"); status != http.StatusOK {
		t.Fatalf("a password when the store is back: %d %s", status, body)
	}
	await("told the password", func(i *openstack.Instance) bool { return i.Password == "secret" })
	if got := alike("/openstack/latest/password"); got != "/openstack/latest/password 200 secret\n" {
		t.Errorf("the password is %s", got)
	}
	if got := alike(reads[:5]...); !strings.HasPrefix(before, got) {
		t.Errorf("something is lost:\n%s\nbefore:\n%s", got, before)
	}
}
