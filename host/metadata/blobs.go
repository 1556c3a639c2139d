package metadata

import (
	"imprint/host/cloud"
)

// blobs are the bytes that servers were given, read once and kept as long as
// one of them is told. Of one goroutine.
type blobs struct {
	from    Blobs
	held    map[cloud.Digest]*blob
	waiting map[cloud.ServerID]bool // servers whose blobs are not all loaded
}

type blob struct {
	data   []byte
	loaded bool
	users  int // entries
}

func (b *blobs) get(d cloud.Digest) (data []byte, loaded bool) {
	if one := b.held[d]; one != nil {
		return one.data, one.loaded
	}
	return nil, false
}

// hold notes that e needs its blobs.
func (b *blobs) hold(e *entry) {
	if b.waiting == nil {
		b.waiting = map[cloud.ServerID]bool{}
	}
	for _, d := range e.facts.blobs() {
		if b.held[d] == nil {
			b.held[d] = &blob{}
		}
		b.held[d].users++
	}
}

// release drops the blobs that nobody needs when e is gone.
func (b *blobs) release(e *entry) {
	delete(b.waiting, e.facts.server.ServerID)
	for _, d := range e.facts.blobs() {
		one := b.held[d]
		if one.users--; one.users == 0 {
			delete(b.held, d)
		}
	}
}

// load reads a blob that is held.
func (b *blobs) load(d cloud.Digest) error {
	data, err := b.from.ReadAll(d, MaxUserData)
	if err != nil {
		return err
	}
	one := b.held[d]
	one.data, one.loaded = data, true
	return nil
}
