package store

import (
	"net/url"
	"strings"

	"imprint/host/cloud"
)

// Every key begins with root. What follows is a record's kind and id, or one
// of the words below, which are no kinds.
const (
	root      = "/imprint/v1/"
	claimRoot = root + "claim/"
	countRoot = root + "counter/"
	sealKey   = root + "seal"
)

// recordKey is where a record lies. The id is escaped, so that it is one part.
func recordKey(k cloud.RecordKind, id string) string {
	return root + string(k) + "/" + url.PathEscape(id)
}

func keyOf(r cloud.Record) string { return recordKey(r.Kind(), r.ID()) }

// claimKey is where the holder of c is noted. Claims are escaped already.
func claimKey(c cloud.Claim) string { return claimRoot + string(c) }

// splitKey is the inverse of recordKey; ok is false for other keys and for
// kinds that this program does not know.
func splitKey(key string) (k cloud.RecordKind, id string, ok bool) {
	kind, escaped, found := strings.Cut(strings.TrimPrefix(key, root), "/")
	id, err := url.PathUnescape(escaped)
	k = cloud.RecordKind(kind)
	return k, id, found && err == nil && cloud.NewRecord(k) != nil
}
