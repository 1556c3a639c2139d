// Package identity is the role that says who is calling: a password becomes a
// token, a token a caller, and the catalog tells where the services are. It
// speaks Keystone's API v3 (22.0.2) as far as the stock client needs it.
//
// Tokens are stateless: they are sealed with a key that all replicas share, so
// a restart keeps them. What a token may do is looked up anew on each use.
// Revocations are kept in memory only, at most [MaxRevoked], by the process that
// was asked: another replica and a restarted one accept the token until it
// expires.
package identity
