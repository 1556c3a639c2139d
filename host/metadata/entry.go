package metadata

import (
	"sync/atomic"

	"imprint/host/cloud"
)

// entry is a server's place in the index. It does not change, but for what is
// told, which is made when it is first asked for.
type entry struct {
	facts  facts
	data   map[cloud.Digest][]byte // what it was given; nil for nothing
	loaded bool                    // data has all of it
	told   atomic.Pointer[Told]
	lines  allowance
}

func newEntry(f facts, b *blobs) *entry {
	e := &entry{facts: f, loaded: true}
	for _, d := range f.blobs() {
		data, loaded := b.get(d)
		if !loaded {
			return &entry{facts: f}
		}
		if e.data == nil {
			e.data = map[cloud.Digest][]byte{}
		}
		e.data[d] = data
	}
	return e
}

// tell returns what e's server is told on a site.
func (e *entry) tell(site *siteData, c *cache) *Told {
	old := e.told.Load()
	if old != nil && old.site == site {
		old.used.Store(true)
		return old
	}
	t := &Told{instance: e.facts.instance(site.Site, e.data), site: site, lines: &e.lines}
	t.owner.forget = func() { e.told.CompareAndSwap(t, nil) }
	if !e.told.CompareAndSwap(old, t) {
		t.owner.gone = true // of two that are made at once one is kept
		return t
	}
	if old != nil {
		c.drop(old)
	}
	c.grow(t, toldCost)
	return t
}
