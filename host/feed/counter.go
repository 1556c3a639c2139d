package feed

import "sync"

// counter counts connections, by a key and all. The zero value has none. Safe
// for concurrent use.
type counter struct {
	mu    sync.Mutex
	all   int
	byKey map[string]int
}

// enter counts one more unless there are perKey with this key or most in all.
func (c *counter) enter(key string, perKey, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= most || c.byKey[key] >= perKey {
		return false
	}
	if c.byKey == nil {
		c.byKey = map[string]int{}
	}
	c.all++
	c.byKey[key]++
	return true
}

func (c *counter) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.byKey[key]--; c.byKey[key] == 0 {
		delete(c.byKey, key)
	}
}
