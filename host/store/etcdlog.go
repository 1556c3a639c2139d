package store

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// failure is the first thing that etcd could not go on after, such as a full
// disk. etcd would end the process; this ends the goroutine instead, and
// callers see an engine that is away.
type failure struct {
	once sync.Once
	text string
	ctx  context.Context // ends when it happens
	end  context.CancelFunc
}

func newFailure(ctx context.Context) *failure {
	f := &failure{}
	f.ctx, f.end = context.WithCancel(context.WithoutCancel(ctx))
	return f
}

// OnWrite is called by zap after it has written an entry of level panic or
// fatal. It does not return.
func (f *failure) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	f.once.Do(func() {
		f.text = entry.Message
		for _, field := range fields {
			if err, ok := field.Interface.(error); ok {
				f.text += ": " + err.Error()
			}
		}
		f.end()
	})
	runtime.Goexit()
}

func (f *failure) err() error {
	if f.ctx.Err() == nil {
		return nil
	}
	return errors.New(f.text)
}

func newZap(log *slog.Logger, f *failure) *zap.Logger {
	return zap.New(&slogCore{log: log}, zap.WithFatalHook(f), zap.WithPanicHook(f))
}

// slogCore writes etcd's entries to a slog.Logger. What etcd warns of, its
// peers or a slow disk, nobody needs to look at here; its errors are warnings,
// since the store goes on.
type slogCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func (c *slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{c.log, slices.Concat(c.fields, fields)}
}

func (c *slogCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(enc)
	}
	say := c.log.Debug
	if e.Level >= zapcore.ErrorLevel {
		say = c.log.Warn
	}
	say("etcd", "message", e.Message, "fields", enc.Fields)
	return nil
}

func (c *slogCore) Sync() error { return nil }
