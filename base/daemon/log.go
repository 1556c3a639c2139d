package daemon

import (
	"io"
	"log/slog"
	"maps"
	"slices"
)

// NewLogger returns a logger that writes to w, one line a record: JSON or
// logfmt-like text. level may be a *slog.LevelVar that a reload changes; nil
// is Info. Safe for concurrent use.
func NewLogger(w io.Writer, level slog.Leveler, json bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

func names(set map[string]bool) []string {
	return slices.Sorted(maps.Keys(set))
}
