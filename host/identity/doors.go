package identity

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Limits on guessing: wrong passwords for one user from one address, and
// logins computed at once.
const (
	wrongBurst     = 10
	wrongEvery     = 2 * time.Second
	maxDoors       = 10_000
	hashesAtOnce   = 4
	maxNameLength  = 255
	maxPasswordLen = 4096
)

// doors checks passwords, slowly for who guesses. Safe for concurrent use.
type doors struct {
	now   func() time.Time
	dummy string // the hash that unknown users are checked against
	slots chan struct{}

	mu    sync.Mutex
	wrong map[string]*rate.Limiter // by user and address, while not full
}

func newDoors(now func() time.Time) (*doors, error) {
	dummy, err := HashPassword(cloud.NewSecret(16))
	if err != nil {
		return nil, err
	}
	return &doors{now: now, dummy: dummy, slots: make(chan struct{}, hashesAtOnce), wrong: map[string]*rate.Limiter{}}, nil
}

// check reports whether password is that of user, nil for an unknown one. The
// work is the same in every case.
func (d *doors) check(ctx context.Context, who, addr string, user *cloud.User, password string) (bool, error) {
	key := who + "\x00" + addr
	if !d.open(key) {
		return false, &api.StatusError{Status: http.StatusTooManyRequests, Text: "Too many wrong passwords; try again later.",
			Header: http.Header{"Retry-After": {fmt.Sprint(int(wrongEvery / time.Second))}}}
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	hash, known := d.dummy, user != nil && !user.Disabled
	if known {
		hash = user.PasswordHash
	}
	if passwordMatches(hash, password) && known {
		return true, nil
	}
	d.count(key)
	return false, nil
}

func (d *doors) open(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.wrong[key]
	return l == nil || l.TokensAt(d.now()) >= 1
}

// count notes a wrong password. When too many doors are watched, those that
// have been quiet are forgotten, else any.
func (d *doors) count(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	l := d.wrong[key]
	if l == nil {
		if len(d.wrong) >= maxDoors {
			d.forget(now)
		}
		l = rate.NewLimiter(rate.Every(wrongEvery), wrongBurst)
		d.wrong[key] = l
	}
	l.AllowN(now, 1)
}

func (d *doors) forget(now time.Time) {
	for key, l := range d.wrong {
		if l.TokensAt(now) >= wrongBurst {
			delete(d.wrong, key)
		}
	}
	for key := range d.wrong {
		if len(d.wrong) < maxDoors {
			return
		}
		delete(d.wrong, key)
	}
}
