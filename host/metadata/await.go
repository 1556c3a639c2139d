package metadata

import (
	"context"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// settleTime bounds how long an answer waits for its own change.
const settleTime = 2 * time.Second

// Await returns when what is told of a server is as told wants it, so that who
// made a change sees it in the next answer; after some seconds it returns all
// the same.
func (x *Index) Await(ctx context.Context, id cloud.ServerID, told func(*openstack.Instance) bool) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for range x.Changes(ctx) {
		if i, err := x.Instance(id); err != nil || told(i) {
			return
		}
	}
}
