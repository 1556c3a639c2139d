package main

import (
	"log/slog"
	"os"

	"imprint/base/daemon"
	"imprint/host/config"
)

// logSetup says how the log is written.
type logSetup struct{ level, format string }

func logOf(c config.Config) logSetup { return logSetup{c.Log.Level, c.Log.Format} }

// slogLevel is the level; an unknown one, which the configuration refuses, is info.
func (s logSetup) slogLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(s.level)) != nil {
		return slog.LevelInfo
	}
	return level
}

func (s logSetup) logger() *slog.Logger {
	return daemon.NewLogger(os.Stderr, s.slogLevel(), s.format == "json")
}
