package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func waitForCancel(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestRun(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		tasks []Task
		want  string
	}{
		"all done":          {[]Task{{"a", func(context.Context) error { return nil }}}, ""},
		"error cancels":     {[]Task{{"a", waitForCancel}, {"b", func(context.Context) error { return broken }}}, "b: broken"},
		"stop is no error":  {[]Task{{"a", waitForCancel}, {"b", func(context.Context) error { return ErrStop }}}, ""},
		"late error counts": {[]Task{{"a", func(ctx context.Context) error { <-ctx.Done(); return broken }}, {"b", func(context.Context) error { return ErrStop }}}, "a: broken"},
		"stuck is named":    {[]Task{{"a", func(context.Context) error { select {} }}, {"b", func(context.Context) error { return ErrStop }}}, "tasks [a] did not end within 1s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), nil, time.Second, tc.tasks...)
			if got := errText(err); got != tc.want {
				t.Errorf("Run = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRunEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := Run(ctx, nil, time.Second, Task{"a", waitForCancel}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Run(cancelled, nil, time.Second, Task{"a", waitForCancel}); err != nil {
			t.Errorf("Run after cancel = %v, want nil", err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckStatus(t *testing.T) {
	clean := "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" +
		"CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	tests := map[string]struct {
		status, want string
	}{
		"clean":       {clean, ""},
		"bounding":    {strings.Replace(clean, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400", 1), "CapBnd"},
		"may gain":    {strings.Replace(clean, "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1), "no_new_privs"},
		"unknown":     {"Name:\tx\n", "not known"},
		"one missing": {strings.Replace(clean, "CapAmb", "CapXxx", 1), "not known"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := checkStatus(tc.status)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("checkStatus = %v, want %q", err, tc.want)
			}
		})
	}
}
