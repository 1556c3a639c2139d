package computeagent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/configdrive"
)

// driveFile is the config drive in an instance's folder, by Nova's name.
const driveFile = "disk.config"

// driveWait is how long the documents of a new instance's drive may follow the
// instance itself: they come by another way.
const driveWait = 30 * time.Second

func (w *worker) driveFile() string {
	return filepath.Join(w.agent.config.Dir, string(w.id), driveFile)
}

// makeDrive makes the config drive of an instance that is to have one and has
// none, or one that a loss of power cut off, or, where that is set, one of other
// documents; otherwise a drive is kept. False without an error means that the
// documents are still to come: the worker looks again.
func (w *worker) makeDrive(d cloud.DesiredInstance, m *memory) (ready bool, err error) {
	if !d.ConfigDrive {
		return true, nil
	}
	whole, err := configdrive.Whole(w.driveFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look at the config drive: %w", err)
	}
	changed := w.agent.config.RefreshDrives && d.Drive != nil && digest(d.Drive) != m.Documents
	if whole && !changed {
		return true, nil
	}
	if d.Drive == nil {
		return false, w.awaitDocuments()
	}
	w.awaiting = time.Time{}
	if err := w.writeDrive(d, m); err != nil {
		return false, err
	}
	return true, nil
}

// refreshDrive makes a drive anew when that was asked for since it was made, the
// instance running or not: one that runs keeps the old one until it boots. The
// instance is none the worse for a failure; it is tried again.
func (w *worker) refreshDrive(d cloud.DesiredInstance, m *memory) {
	if !d.ConfigDrive || d.Drive == nil || d.DriveGeneration <= m.DriveGeneration {
		return
	}
	if _, err := os.Lstat(w.driveFile()); err != nil {
		return // the first start makes it
	}
	err := w.writeDrive(d, m)
	if err == nil {
		err = w.remember(*m)
	}
	if err != nil {
		w.agent.log.Error("config drive not made anew", "server_id", w.id, "error", err)
		w.retry = time.After(retryPause)
	}
}

// writeDrive makes the drive, beside the old one if there is one, and notes of
// what in m.
func (w *worker) writeDrive(d cloud.DesiredInstance, m *memory) error {
	instance, err := openstack.ParseInstance(d.Drive)
	if err != nil {
		return fmt.Errorf("%w: %w", cloud.Errorf(cloud.Invalid, "the documents of the config drive are not in order"), err)
	}
	volume := w.agent.config.Drive
	volume.Created = time.Now()
	if err = os.MkdirAll(filepath.Dir(w.driveFile()), 0o700); err == nil {
		err = volume.WriteFile(w.driveFile(), instance)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", cloud.Errorf(cloud.Unavailable, "the node could not make the config drive"), err)
	}
	m.DriveGeneration, m.Documents = d.DriveGeneration, digest(d.Drive)
	w.agent.log.Info("config drive made", "server_id", w.id, "format", volume.Format, "generation", d.DriveGeneration)
	return nil
}

func digest(documents []byte) string {
	sum := sha256.Sum256(documents)
	return hex.EncodeToString(sum[:])
}

// awaitDocuments has the worker look again when the documents are overdue, and
// then says so. If they come, another slice wakes it.
func (w *worker) awaitDocuments() error {
	if w.awaiting.IsZero() {
		w.awaiting = time.Now()
	}
	left := driveWait - time.Since(w.awaiting)
	if left <= 0 {
		return cloud.Errorf(cloud.Unavailable, "the documents of the config drive did not reach the node")
	}
	w.retry = time.After(left)
	return nil
}
