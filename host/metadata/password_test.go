package metadata

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"imprint/base/openstack"
	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

// toldStore is a store that tells of its changes.
type toldStore struct {
	*apitest.Store

	mu      sync.Mutex
	readers []chan struct{}
}

func (s *toldStore) Changes(context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	c <- struct{}{}
	s.readers = append(s.readers, c)
	return c
}

func (s *toldStore) Commit(ctx context.Context, tx cloud.Txn) error {
	err := s.Store.Commit(ctx, tx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.readers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return err
}

// failing is a store that is away.
type failing struct{}

func (failing) SetPassword(context.Context, cloud.ServerID, string) error {
	return cloud.Errorf(cloud.Unavailable, "the store is away")
}

func post(s *Service, value string) *httptest.ResponseRecorder {
	r := signed("/openstack/latest/password")
	r.Method = http.MethodPost
	r.Body = http.NoBody
	if value != "" {
		r.Body = readCloser{strings.NewReader(value)}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func get(s *Service, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, signed(path))
	return w
}

func TestStoreAway(t *testing.T) {
	f := NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p"})
	for name, p := range map[string]Passwords{"away": failing{}, "none": nil} {
		s, err := New(Options{Instances: f, Secret: goldenSecret, Passwords: p})
		if err != nil {
			t.Fatal(err)
		}
		if w := post(s, "x"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", name, w.Code, w.Header().Get("Retry-After"))
		}
		if w := get(s, "/openstack/latest/meta_data.json"); w.Code != http.StatusOK {
			t.Errorf("%s: a read: %d", name, w.Code)
		}
		if w := get(s, "/openstack/latest/password"); w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("%s: the password reads %d %q", name, w.Code, w.Body)
		}
	}
}

// TestPasswordIsSetOnce: of many values at once one is kept, the next answer
// of the same replica has it, another replica's soon after.
func TestPasswordIsSetOnce(t *testing.T) {
	store := &toldStore{Store: apitest.NewStore(time.Now)}
	server := &cloud.Server{ServerID: someID, ProjectID: "p"}
	if err := store.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{server}}); err != nil {
		t.Fatal(err)
	}
	var replicas []*Service
	var indexes []*Index
	for range 2 {
		x := NewIndex(Site{}, store, &fakeBlobs{}, nil)
		s, err := New(Options{Instances: x, Secret: goldenSecret, Passwords: StoredPasswords(store)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { x.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		<-x.Ready()
		replicas, indexes = append(replicas, s), append(indexes, x)
	}
	var mu sync.Mutex
	var kept string
	var posts sync.WaitGroup
	for _, value := range []string{"one", "two", "three", "four"} {
		for _, s := range replicas {
			posts.Go(func() {
				switch w := post(s, value); w.Code {
				case http.StatusOK:
					mu.Lock()
					defer mu.Unlock()
					if kept != "" {
						t.Errorf("%q and %q are both taken", kept, value)
					}
					kept = value
					if got := get(s, "/openstack/latest/password").Body.String(); got != value {
						t.Errorf("the next answer is %q, want %q", got, value)
					}
				case http.StatusConflict:
				default:
					t.Errorf("%q: %d %s", value, w.Code, w.Body)
				}
			})
		}
	}
	posts.Wait()
	for i, s := range replicas {
		indexes[i].Await(t.Context(), someID, func(i *openstack.Instance) bool { return i.Password != "" })
		if got := get(s, "/openstack/2013-04-04/password").Body.String(); got != kept || kept == "" {
			t.Errorf("replica %d has %q, want %q", i, got, kept)
		}
	}
}

func TestPasswordsThroughTheAPI(t *testing.T) {
	answers := map[string]int{"s": http.StatusNoContent, "set": http.StatusConflict, "none": http.StatusNotFound, "broken": http.StatusInternalServerError}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "renewed" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		id, ok := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/os-server-password"), "/v2.1/servers/")
		if !ok || r.Method != http.MethodPost {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		w.WriteHeader(answers[id])
	}))
	t.Cleanup(server.Close)
	p := APIPasswords{ComputeURL: server.URL + "/v2.1", Tokens: renewing{}, Client: server.Client()}
	for id, want := range map[cloud.ServerID]cloud.Kind{"set": cloud.Conflict, "none": cloud.NotFound, "broken": cloud.Unavailable} {
		if err := p.SetPassword(t.Context(), id, "x"); cloud.KindOf(err) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := p.SetPassword(t.Context(), "s", "x"); err != nil {
		t.Error(err)
	}
	p.ComputeURL = "http://127.0.0.1:1"
	if err := p.SetPassword(t.Context(), "s", "x"); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("nobody answers: %v", err)
	}
}

// renewing gives a token that is refused until it is renewed.
type renewing struct{}

func (renewing) Token(_ context.Context, renew bool) (string, error) {
	if renew {
		return "renewed", nil
	}
	return "old", nil
}
