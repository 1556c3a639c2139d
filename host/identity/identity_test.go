package identity

import (
	"strings"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

func TestPasswords(t *testing.T) {
	hash, err := HashPassword("pass word")
	if err != nil || !strings.HasPrefix(hash, "$y$j9T$") {
		t.Fatalf("%q, %v", hash, err)
	}
	if !passwordMatches(hash, "pass word") || passwordMatches(hash, "pass wore") || passwordMatches(hash, "") || passwordMatches("", "") ||
		passwordMatches("*", "*") || passwordMatches("$y$", "x") {
		t.Error("a password is judged wrongly")
	}
	if other, _ := HashPassword("pass word"); other == hash {
		t.Error("two hashes have one salt")
	}
}

func TestSealer(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, err := newSealer(make([]byte, 32), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := s.issue("user", "project", []string{"password"}, now)
	token, err := s.seal(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.open(token, now.Add(time.Hour-1)); err != nil || got.User != "user" || got.Project != "project" || got.Audit != c.Audit {
		t.Errorf("%+v, %v", got, err)
	}
	other, _ := newSealer([]byte(strings.Repeat("k", 32)), time.Hour)
	if _, err := other.open(token, now); err == nil {
		t.Error("a token of another key is taken")
	}
	if _, err := s.open(token, now.Add(time.Hour)); err == nil {
		t.Error("an expired token is taken")
	}
	for i := range token {
		forged := token[:i] + string('A'+(token[i]-'A'+1)%26) + token[i+1:]
		if _, err := s.open(forged, now); err == nil && forged != token {
			t.Fatalf("a token that was changed at %d is taken", i)
		}
	}
	if _, err := newSealer(make([]byte, 16), time.Hour); err == nil {
		t.Error("a short key is taken")
	}
}

func FuzzOpenToken(f *testing.F) {
	s, err := newSealer(make([]byte, 32), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	token, err := s.seal(s.issue("u", "p", nil, time.Unix(0, 0)))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{token, "", "gAAAAA", strings.Repeat("A", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := s.open(text, time.Unix(1, 0)); err == nil && (c.User != "u" || c.Project != "p") {
			t.Fatalf("%q is taken for %+v", text, c)
		}
	})
}

func TestRevocationsAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRevocations(func() time.Time { return now })
	for i := range MaxRevoked {
		if err := r.add(claims{Audit: cloud.NewHexID(), Expires: now.Add(time.Duration(i%2) * time.Hour).UnixMicro()}); err != nil {
			t.Fatal(err)
		}
	}
	last := claims{Audit: "last", Expires: now.Add(time.Hour).UnixMicro()}
	if err := r.add(last); err != nil || !r.has(last) || len(r.until) != MaxRevoked/2+1 {
		t.Errorf("%v, %d are kept", err, len(r.until)) // those that have expired are forgotten
	}
	for range MaxRevoked / 2 {
		_ = r.add(claims{Audit: cloud.NewHexID(), Expires: now.Add(time.Hour).UnixMicro()})
	}
	if err := r.add(claims{Audit: "one more"}); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestBootstrap(t *testing.T) {
	store := apitest.NewStore(time.Now)
	for range 2 {
		if err := Bootstrap(t.Context(), store, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	store.View(func(m *cloud.Model) {
		if len(m.Users) != 1 || len(m.Projects) != 1 {
			t.Errorf("%d users, %d projects", len(m.Users), len(m.Projects))
		}
		for _, u := range m.Users {
			if strings.Contains(u.PasswordHash, "secret") || !passwordMatches(u.PasswordHash, "secret") {
				t.Errorf("hash %q", u.PasswordHash)
			}
		}
	})
	if err := Bootstrap(t.Context(), apitest.NewStore(time.Now), ""); err == nil {
		t.Error("an empty password is taken")
	}
}

// BenchmarkLogin is the price of a password.
func BenchmarkLogin(b *testing.B) {
	hash, err := HashPassword("pass word")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		passwordMatches(hash, "pass word")
	}
}
