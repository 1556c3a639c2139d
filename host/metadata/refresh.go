package metadata

import (
	"time"

	"imprint/host/cloud"
)

// look is what a view of the model showed.
type look struct {
	present []facts
	gone    []cloud.ServerID
	newest  time.Time // commit among the changes
}

// refresh publishes the present state, and reports whether all blobs are
// there. Servers with blobs to read follow those without.
func (x *Index) refresh() bool {
	var l look
	x.nouns.View(func(m *cloud.Model) { l = x.look(m) })
	var next []*entry
	for _, f := range l.present {
		if old := x.entries[f.server.ServerID]; old != nil && old.loaded && old.facts.same(f) {
			continue
		}
		next = append(next, newEntry(f, &x.blobs))
	}
	x.publish(next, l.gone)
	if !l.newest.IsZero() {
		x.lag.Store(int64(max(0, time.Since(l.newest))))
	}
	return x.load()
}

// look collects the servers that changes may have touched: all of them when
// more has happened than the model remembers.
func (x *Index) look(m *cloud.Model) look {
	changes, count, ok := m.Since(x.seen)
	x.seen = count
	var l look
	if !ok {
		for _, s := range m.Servers {
			l.present = append(l.present, factsOf(m, s))
		}
		for id := range x.entries {
			if m.Servers[id] == nil {
				l.gone = append(l.gone, id)
			}
		}
		return l
	}
	touched := map[cloud.ServerID]bool{}
	for _, c := range changes {
		x.touch(m, c.Record, touched)
		if at := c.Record.Head().UpdatedAt; at.After(l.newest) {
			l.newest = at
		}
	}
	for id := range touched {
		if s := m.Servers[id]; s != nil {
			l.present = append(l.present, factsOf(m, s))
		} else {
			l.gone = append(l.gone, id)
		}
	}
	return l
}

// touch adds the servers that are told of a record.
func (x *Index) touch(m *cloud.Model, r cloud.Record, touched map[cloud.ServerID]bool) {
	ports := func(n cloud.NetworkID) {
		for _, p := range m.PortsOn(n) {
			if id, ok := x.users[p.PortID]; ok {
				touched[id] = true
			}
		}
	}
	switch r := r.(type) {
	case *cloud.Server:
		touched[r.ServerID] = true
	case *cloud.Port:
		if id, ok := x.users[r.PortID]; ok {
			touched[id] = true
		}
	case *cloud.Network:
		ports(r.NetworkID)
	case *cloud.Subnet:
		ports(r.NetworkID)
	}
}

// load reads blobs and publishes the servers that waited for them; it reports
// whether none waits on.
func (x *Index) load() bool {
	failed := map[cloud.Digest]bool{}
	var next []*entry
	for id := range x.blobs.waiting {
		e := x.entries[id]
		for _, d := range e.facts.blobs() {
			if _, loaded := x.blobs.get(d); loaded || failed[d] {
				continue
			}
			if err := x.blobs.load(d); err != nil {
				x.log.Warn("user data or file not read", "server_id", id, "error", err)
				failed[d] = true
			}
		}
		if e = newEntry(e.facts, &x.blobs); e.loaded {
			next = append(next, e)
		}
	}
	if len(next) > 0 {
		x.publish(next, nil)
	}
	return len(failed) == 0
}

// publish makes next what is told. Run alone calls it.
func (x *Index) publish(next []*entry, gone []cloud.ServerID) {
	dropped := x.replace(next, gone)
	for _, e := range dropped {
		if t := e.told.Load(); t != nil {
			x.cache.drop(t)
		}
	}
	if len(next)+len(dropped) > 0 {
		x.tellWatchers()
	}
}

// replace returns the entries that are told no longer.
func (x *Index) replace(next []*entry, gone []cloud.ServerID) []*entry {
	var dropped []*entry
	for _, e := range next { // before anything is let go: they may share it
		x.blobs.hold(e)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.filled {
		x.filled = true
		close(x.ready)
	}
	take := func(id cloud.ServerID) {
		old := x.entries[id]
		if old == nil {
			return
		}
		x.addresses.remove(&old.facts)
		old.facts.ports(func(p cloud.PortID) { delete(x.users, p) })
		delete(x.entries, id)
		x.blobs.release(old)
		dropped = append(dropped, old)
	}
	for _, id := range gone {
		take(id)
	}
	for _, e := range next {
		take(e.facts.server.ServerID)
	}
	for _, e := range next {
		s := e.facts.server
		e.facts.ports(func(p cloud.PortID) { x.users[p] = s.ServerID })
		x.addresses.add(&e.facts)
		x.entries[s.ServerID] = e
		if !e.loaded {
			x.blobs.waiting[s.ServerID] = true
		}
	}
	return dropped
}
