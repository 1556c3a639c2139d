package daemon

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Signals derives a context that SIGTERM or SIGINT cancels, and a channel
// that receives once for SIGHUPs not yet answered. After the first SIGTERM or
// SIGINT the next one kills the process, as if unhandled. stop undoes all of
// it and must be called.
func Signals(ctx context.Context) (_ context.Context, reload <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	term, hup := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM, unix.SIGINT)
	signal.Notify(hup, unix.SIGHUP)
	again, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				signal.Stop(term)
				return
			case <-term:
				signal.Stop(term)
				cancel()
			case <-hup:
				select {
				case again <- struct{}{}:
				default:
				}
			}
		}
	}()
	return ctx, again, func() {
		cancel()
		<-ended
		signal.Stop(hup)
	}
}
