package cloud

// journalSize is how many changes a model remembers.
const journalSize = 1 << 13

// journal is a ring of the last changes.
type journal struct {
	changes []Change
	count   uint64 // of all changes ever
}

func (j *journal) add(c Change) {
	if j.changes == nil {
		j.changes = make([]Change, journalSize)
	}
	j.changes[j.count%journalSize] = c
	j.count++
}

// Since returns the changes after the first n, oldest first, and the number of
// all changes so far, which is n of the next call; 0 is before the first one.
// It is how a reader that keeps an index of its own learns what to look at
// again. A model remembers some thousand changes; when older ones would have
// to be told, ok is false and the reader looks at everything. A record that
// was changed several times appears as often.
func (m *Model) Since(n uint64) (changes []Change, count uint64, ok bool) {
	j := &m.journal
	if n > j.count || j.count-n > journalSize {
		return nil, j.count, false
	}
	for ; n < j.count; n++ {
		changes = append(changes, j.changes[n%journalSize])
	}
	return changes, j.count, true
}
