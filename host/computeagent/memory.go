package computeagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imprint/host/cloud"
)

// memory is the file instance.json of an instance's folder.
type memory struct {
	Phase phase `json:"phase"`
	// Rebooted is the last reboot generation that was done.
	Rebooted int64 `json:"rebooted"`
	// Rebuilt is the last rebuild generation whose disk was removed. A memory
	// that is lost with the disk has none, so that the removal is repeated.
	Rebuilt int64 `json:"rebuilt,omitempty"`
	// DriveGeneration is that of the config drive, and Documents what it was
	// made of: the SHA-256 of their JSON form, in hexadecimal digits.
	DriveGeneration int64  `json:"drive_generation,omitempty"`
	Documents       string `json:"documents,omitempty"`
	// Ports may be plugged.
	Ports []cloud.PortID `json:"ports,omitempty"`
}

func (w *worker) memoryFile() string {
	return filepath.Join(w.agent.config.Dir, string(w.id), "instance.json")
}

// recall reads the instance's memory; there is none before its first start.
func (w *worker) recall() (memory, error) {
	var m memory
	text, err := os.ReadFile(w.memoryFile())
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read instance: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read instance %s: %w", w.memoryFile(), err)
	}
	return m, nil
}

// remember replaces the instance's memory in one step.
func (w *worker) remember(m memory) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := w.memoryFile()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("write instance: %w", err)
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write instance: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write instance: %w", err)
	}
	return nil
}
