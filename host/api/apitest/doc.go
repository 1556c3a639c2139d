// Package apitest is the fake ground that tests of the API roles stand on: a
// store and a blob store in memory, callers by token, and a client that reads
// like a transcript. It knows no role.
package apitest
