// Package metadata answers "what is this instance told?": it keeps the
// documents of every server in memory, fed by the change feed, and serves them
// over HTTP as Nova's metadata API does (nova: api/metadata, 26.2.2).
//
// [Index] follows the nouns, for config drives too; [Service] answers requests
// that a metadata agent signed (service_metadata_proxy). A request is answered
// from memory alone, so answers keep coming while the store is away.
package metadata
