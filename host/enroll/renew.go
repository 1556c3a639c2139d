package enroll

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// How long a renewal waits after a failure, give or take a half.
const (
	firstPause = time.Minute
	lastPause  = time.Hour
)

// Run renews the certificate at the authority at base whenever two thirds of
// its time are over, until ctx ends, and then returns nil. A renewal by another
// process counts. A nil log discards.
func (i *Identity) Run(ctx context.Context, base string, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pause := firstPause
	for ctx.Err() == nil {
		// Not in one go: the clock may be set, and the file renewed, meanwhile.
		if wait := i.renewAt().Sub(i.now()); wait > 0 {
			sleep(ctx, min(wait, lastPause))
			continue
		}
		err := i.Renew(ctx, base)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			log.Warn("certificate not renewed", "expires", i.Peer().NotAfter, "error", err)
			sleep(ctx, pause/2+rand.N(pause))
			pause = min(2*pause, lastPause)
			continue
		}
		log.Info("certificate renewed", "peer", i.Peer().String(), "expires", i.Peer().NotAfter)
		pause = firstPause
	}
	return nil
}

func (i *Identity) renewAt() time.Time {
	leaf := i.present().leaf
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// writable checks that an identity could be saved in dir.
func writable(dir string) error {
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	probe := filepath.Join(dir, IdentityFile+".new")
	if err := os.Remove(probe); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(probe))
}
