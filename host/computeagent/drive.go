package computeagent

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// driveFile is the config drive in an instance's folder, by Nova's name.
const driveFile = "disk.config"

// driveWait is how long the documents of a new instance's drive may follow the
// instance itself: they come by another way.
const driveWait = 30 * time.Second

// makeDrive makes the config drive of an instance that is to have one and has
// none. A drive is kept for the instance's life, whatever its documents become.
// False without an error means that they are still to come: the worker looks
// again.
func (w *worker) makeDrive(d cloud.DesiredInstance) (ready bool, err error) {
	dir := filepath.Join(w.agent.config.Dir, string(w.id))
	if _, err := os.Lstat(filepath.Join(dir, driveFile)); !d.ConfigDrive || err == nil {
		return true, nil
	}
	if d.Drive == nil {
		return false, w.awaitDocuments()
	}
	w.awaiting = time.Time{}
	instance, err := openstack.ParseInstance(d.Drive)
	if err != nil {
		return false, fmt.Errorf("%w: %w", cloud.Errorf(cloud.Invalid, "the documents of the config drive are not in order"), err)
	}
	volume := w.agent.config.Drive
	volume.Created = time.Now()
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = volume.WriteFile(filepath.Join(dir, driveFile), instance)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", cloud.Errorf(cloud.Unavailable, "the node could not make the config drive"), err)
	}
	w.agent.log.Info("config drive made", "server_id", w.id, "format", volume.Format)
	return true, nil
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
