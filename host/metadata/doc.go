// Package metadata answers "what is this instance told?": it keeps the
// documents of every server in memory, fed by the change feed, and serves them
// over HTTP as Nova's metadata API does (nova: api/metadata, 26.2.2). What is
// done in another way stands in docs/departures.md.
//
// [Index] follows the nouns, for config drives too; [Fixture] reads instances
// from files; [Service] answers requests in one of three modes of [Trust];
// [FromNova] makes a service of the settings in a nova.conf. A request is
// answered from memory alone, so answers keep coming while the store is away;
// only setting a password and dynamic vendor data ask anyone else.
package metadata
