package cloud

import (
	"strconv"
	"testing"
)

func TestSince(t *testing.T) {
	m := NewModel()
	add := func(n int) {
		for i := range n {
			m.Apply(Change{Record: &Server{ServerID: ServerID(strconv.Itoa(i))}})
		}
	}
	since := func(n uint64, changes int, count uint64, ok bool) {
		t.Helper()
		c, got, complete := m.Since(n)
		if len(c) != changes || got != count || complete != ok {
			t.Errorf("since %d: %d changes of %d, %v; want %d of %d, %v", n, len(c), got, complete, changes, count, ok)
		}
	}
	since(0, 0, 0, true)
	since(1, 0, 0, false)
	add(2)
	m.Apply(Change{Record: &Server{ServerID: "0"}, Deleted: true})
	since(0, 3, 3, true)
	if c, _, _ := m.Since(2); len(c) != 1 || !c[0].Deleted || c[0].Record.ID() != "0" {
		t.Errorf("the last change is %+v", c)
	}
	since(3, 0, 3, true)
	add(journalSize)
	since(3, journalSize, journalSize+3, true)
	since(2, 0, journalSize+3, false)
}
