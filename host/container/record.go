package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// Phase is how far an instance is.
type Phase string

// The phases of an instance.
const (
	Absent  Phase = ""        // never started, or destroyed
	Booting Phase = "booting" // its init runs the boot commands
	Running Phase = "running" // all boot commands have ended, well or not
	Exited  Phase = "exited"
)

// State is what is known of an instance without asking it: its init reports to
// the shim over a socket that nothing else inside has.
type State struct {
	Phase Phase `json:"phase"`
	// Boots counts the starts of the instance, this one included.
	Boots     int       `json:"boots"`
	StartedAt time.Time `json:"started_at"` // of the init's going ahead
	BootedAt  time.Time `json:"booted_at"`  // of the end of the boot; zero before
	ExitedAt  time.Time `json:"exited_at"`  // zero while it runs
	// Commands are the boot commands that have ended, in their order.
	Commands []Command `json:"commands,omitempty"`
	// Exit says how the init ended: its status, "0" when it halted; the signal
	// that killed it; "lost" when nobody was there to see.
	Exit string `json:"exit,omitempty"`
}

// Command is a boot command that has ended.
type Command struct {
	Name string        `json:"name"`
	Exit int           `json:"exit"` // its status, or 128 + the signal that ended it
	Took time.Duration `json:"took"`
}

// record is the file shim.json.
type record struct {
	State
	Shim Process `json:"shim"`
	Init Process `json:"init"`
}

const recordFile = "shim.json"

// exitLost is the State.Exit of an instance whose shim did not see its end.
const exitLost = "lost"

func readRecord(dir string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return r, fmt.Errorf("read shim's record: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read shim's record in %s: %w", dir, err)
	}
	return r, nil
}

func (r record) write(dir string) error { return writeJSON(filepath.Join(dir, recordFile), r) }

// writeJSON replaces the file in one step.
func writeJSON(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp := name + ".new"
	if err := os.WriteFile(temp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// State returns what is known of the instance. The shim and not the file has
// the last word: without it nothing runs.
func (d *Driver) State(id cloud.ServerID) (State, error) {
	dir, err := d.folder(id)
	if err != nil {
		return State{}, err
	}
	r, err := readRecord(dir)
	if errors.Is(err, os.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	if r.Phase != Exited && !r.Shim.Alive() {
		// It may have written its last word since.
		if r, err = readRecord(dir); err == nil && r.Phase != Exited {
			r.Phase, r.Exit = Exited, exitLost
		}
	}
	return r.State, err
}

// stop halts what the record names, by force after grace, and waits for the
// shim's end.
func (r record) stop(ctx context.Context, grace time.Duration) error {
	shim, err := r.Shim.open()
	if err != nil {
		return err
	}
	if shim == nil {
		return r.Init.kill()
	}
	defer shim.Close()
	if grace > 0 {
		if err := r.Shim.signal(unix.SIGTERM); err != nil {
			return err
		}
		soft, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		if readable(soft, shim) == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := r.Init.kill(); err != nil {
		return err
	}
	// The shim has little left to do; one that hangs must not keep the instance.
	last, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if readable(last, shim) == nil {
		return nil
	}
	return r.Shim.kill()
}
