package enroll

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRenew(t *testing.T) {
	s := newSite(t)
	for _, id := range []*Identity{s.enrol(t, "n1", ComputeNode), s.issue(t, Store, "store.example")} {
		old := id.present()
		other := load(t, id.dir) // of another process
		s.ahead.Add(int64(time.Minute))
		if err := id.Renew(t.Context(), s.url); err != nil {
			t.Fatal(err)
		}
		for _, i := range []*Identity{id, other} {
			now := i.present()
			if now.leaf.Equal(old.leaf) || sameKey(now.leaf.PublicKey, old.leaf.PublicKey) {
				t.Error("it is the old one")
			}
			if d := now.peer.NotAfter.Sub(old.peer.NotAfter); d < time.Minute-time.Second || d > time.Minute+10*time.Second {
				t.Errorf("it is good for %v more", d)
			}
			want, got := old.peer, now.peer
			want.NotAfter, got.NotAfter = time.Time{}, time.Time{}
			if diff := cmp.Diff(want, got) + cmp.Diff(old.leaf.DNSNames, now.leaf.DNSNames); diff != "" {
				t.Error(diff)
			}
		}
		s.ahead.Store(0)
		if _, _, err := connect(t, s.service.ServerConfig(s.Revocations(), anyone), other.ClientConfig(API)); err != nil {
			t.Error(err)
		}
	}
}

func TestRenewRefused(t *testing.T) {
	s := newSite(t)
	node := s.enrol(t, "n1")
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	body, err := newRequest("", key)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := send(t, s.url+"/renew", nil, string(body)); status != http.StatusForbidden {
		t.Errorf("without a certificate: %d %s", status, text)
	}
	s.ahead.Store(int64(31 * 24 * time.Hour))
	if status, text := send(t, s.url+"/renew", nil, string(body)); status != http.StatusForbidden {
		t.Errorf("without a certificate: %d %s", status, text)
	}
	if err := node.Renew(t.Context(), s.url); err == nil || !strings.Contains(err.Error(), "node n1") {
		t.Errorf("expired: %v", err)
	}
}

// records passes messages on.
type records struct {
	slog.Handler
	c chan string
}

func (r records) Enabled(context.Context, slog.Level) bool        { return true }
func (r records) Handle(_ context.Context, rec slog.Record) error { r.c <- rec.Message; return nil }

func TestRunRenewsInTime(t *testing.T) {
	s := newSite(t)
	node := s.enrol(t, "n1")
	began := time.Now()
	if d := node.renewAt().Sub(began); d < 19*24*time.Hour || d > 20*24*time.Hour {
		t.Errorf("renewed after %v", d)
	}
	node.now = func() time.Time { return time.Now().Add(25 * 24 * time.Hour) }
	s.ahead.Store(int64(25 * 24 * time.Hour))
	old := node.Peer().NotAfter
	said := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx, s.url, slog.New(records{slog.DiscardHandler, said})) }()
	if m := <-said; m != "certificate renewed" {
		t.Error(m)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := node.Peer().NotAfter.Sub(old); d < 24*24*time.Hour {
		t.Errorf("good for %v more", d)
	}
}

func TestDamagedFileLeavesTheOldIdentity(t *testing.T) {
	s := newSite(t)
	node := s.enrol(t, "n1")
	if err := os.WriteFile(node.file.path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := connect(t, s.service.ServerConfig(s.Revocations(), anyone), node.ClientConfig(API)); err != nil {
		t.Error(err)
	}
}

func TestEnrollLimits(t *testing.T) {
	s := newSite(t)
	h := s.Handler()
	call := func(remote string, secure bool) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "http://x/enroll", strings.NewReader("{}"))
		r.RemoteAddr = remote
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := call("192.0.2.9:1", false); w.Code != http.StatusForbidden {
		t.Errorf("without TLS: %d", w.Code)
	}
	for i := range requestBurst {
		if w := call("[2001:db8::1]:1", true); w.Code != http.StatusBadRequest {
			t.Errorf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	w := call("[2001:db8::2]:9", true) // the same network of length 64
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one too many: %d %v", w.Code, w.Header())
	}
	for _, remote := range []string{"192.0.2.1:1", "[2001:db8:0:1::1]:1"} {
		if w := call(remote, true); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", remote, w.Code)
		}
	}
	s.ahead.Store(int64(2 * requestEvery))
	if w := call("[2001:db8::1]:1", true); w.Code != http.StatusBadRequest {
		t.Errorf("later: %d", w.Code)
	}
}

func TestLimitsAreBounded(t *testing.T) {
	l := newLimits(time.Now)
	for i := range 2 * maxAddresses {
		l.allow(networkOf(fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255)))
	}
	if n := len(l.rates); n > maxAddresses {
		t.Errorf("%d addresses are kept", n)
	}
	for range atOnce {
		if _, ok := l.enter(t.Context()); !ok {
			t.Error("no place")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := l.enter(ctx); ok {
		t.Error("one too many at once")
	}
}
