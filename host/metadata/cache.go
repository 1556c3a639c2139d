package metadata

import (
	"container/list"
	"sync"
)

// toldCost is what an instance's facts take, in bytes, without its documents.
const toldCost = 2 << 10

// cache bounds the rendered documents: those of the instances that were asked
// for least recently go first. Safe for concurrent use.
type cache struct {
	limit int // bytes

	mu    sync.Mutex
	order *list.List // of *Told
	size  int        // bytes
}

// place is an instance's place in a cache; guarded by it.
type place struct {
	at     *list.Element
	size   int
	gone   bool
	forget func() // has the owner let go of it
}

func newCache(limit int) *cache { return &cache{limit: limit, order: list.New()} }

// grow notes that t has n bytes more, and makes room.
func (c *cache) grow(t *Told, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.owner.gone {
		return
	}
	if t.owner.at == nil {
		t.owner.at = c.order.PushBack(t)
	}
	t.owner.size += n
	c.size += n
	for c.size > c.limit {
		oldest := c.order.Front()
		o := oldest.Value.(*Told)
		if o.used.Swap(false) {
			c.order.MoveToBack(oldest)
			continue
		}
		c.remove(o)
	}
}

// drop takes t out; it is no longer told.
func (c *cache) drop(t *Told) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.owner.gone {
		c.remove(t)
	}
}

// remove needs c.mu.
func (c *cache) remove(t *Told) {
	if t.owner.at != nil {
		c.order.Remove(t.owner.at)
	}
	c.size -= t.owner.size
	t.owner.gone = true
	if t.owner.forget != nil {
		t.owner.forget()
	}
}

// usage returns the instances and the bytes that are kept.
func (c *cache) usage() (instances, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len(), c.size
}
