//go:build !race

package metadata

// raced says that the race detector is on.
const raced = false
