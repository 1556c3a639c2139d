package store

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

const (
	callTimeout = 7 * time.Second
	// historyKept is how many revisions survive etcd's own compaction, which it
	// does every five minutes.
	historyKept = "10000"
	tendEvery   = 10 * time.Minute
	// The file is defragmented when it is larger than this and less than half
	// of it is in use.
	defragFrom = 64 << 20
	// What has to stay free on the disk: etcd ends when it cannot lengthen a
	// file, so the store refuses writes before that. Its log comes in pieces of
	// 64 MB, two of which a new one makes at once.
	startReserve = 160 << 20
	runReserve   = 96 << 20
)

// Compact forgets the history up to and with revision.
func (e *Etcd) Compact(ctx context.Context, revision int64) error {
	ctx, cancel := e.call(ctx)
	defer cancel()
	if _, err := e.client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return e.away(err)
	}
	return nil
}

// tend looks after the size of the file until the engine is closed.
func (e *Etcd) tend() {
	timer := time.NewTicker(tendEvery)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-e.ctx.Done():
			return
		case <-timer.C:
			err = e.defragment(e.ctx)
		case <-e.full:
			err = e.makeRoom(e.ctx)
		}
		if err != nil && e.ctx.Err() == nil {
			e.log.Warn("store's file could not be tended", "error", err)
		}
	}
}

func (e *Etcd) askForRoom() {
	select {
	case e.full <- struct{}{}:
	default:
	}
}

// defragment gives free pages back to the file system when there are many.
// Writes wait meanwhile, for about a second per GiB in use.
func (e *Etcd) defragment(ctx context.Context) error {
	status, err := e.client.Status(ctx, "")
	if err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if status.DbSize < defragFrom || status.DbSizeInUse > status.DbSize/2 {
		return nil
	}
	return e.defragmentNow()
}

// defragmentNow asks the server itself: the in-process client's call panics
// (etcd: api/v3client 3.7.3 passes no health notifier).
func (e *Etcd) defragmentNow() error {
	if err := e.server.Server.Defragment(); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	e.log.Info("store's file was defragmented")
	return nil
}

// makeRoom forgets all history after the quota was hit, and takes writes again
// when that has helped.
func (e *Etcd) makeRoom(ctx context.Context) error {
	status, err := e.client.Status(ctx, "")
	if err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if err := e.Compact(ctx, status.Header.Revision); err != nil {
		e.log.Debug("history was not compacted", "error", err)
	}
	if err := e.defragmentNow(); err != nil {
		return err
	}
	if status, err = e.client.Status(ctx, ""); err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if status.DbSize > e.quota/10*9 {
		return fmt.Errorf("%d bytes of a quota of %d are in use; writes are refused", status.DbSize, e.quota)
	}
	alarm := clientv3.AlarmMember{MemberID: status.Header.MemberId, Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := e.client.AlarmDisarm(ctx, &alarm); err != nil {
		return fmt.Errorf("take writes again: %w", err)
	}
	e.log.Warn("store had reached its space quota; its history was dropped to make room", "bytes", status.DbSize)
	return nil
}

// checkSpace returns an error of kind cloud.Unavailable when less than reserve
// bytes are free where dir lies.
func checkSpace(dir string, reserve uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < reserve {
		return fmt.Errorf("%s: %w", dir,
			cloud.Errorf(cloud.Unavailable, "the store's disk is full: %d MiB are free, %d are needed", free>>20, reserve>>20))
	}
	return nil
}
