package partition

import (
	"errors"
	"fmt"
	"io"
)

// Addition is a partition that is worked out and not yet written.
type Addition struct {
	Partition
	writes []write
}

// write is bytes for a place on the disk.
type write struct {
	at int64
	b  []byte
}

// Disk is what an addition is written to.
type Disk interface {
	io.WriterAt
	// Sync waits until what was written is on the medium.
	Sync() error
}

// Append works out a partition at the disk's end, behind all others, at a whole
// MiB, under the number after the highest. The disk may be larger than the
// table says: the backup of a GPT goes to the disk's end. The error is
// [ErrNoRoom] with the bytes that are there, or that the table is full.
func (t *Table) Append(n New) (*Addition, error) {
	if len(n.Name) > firstNameLen || n.Size <= 0 {
		return nil, fmt.Errorf("no partition of %d bytes and the name %q", n.Size, n.Name)
	}
	number, err := t.number()
	if err != nil {
		return nil, err
	}
	end := t.lastUsable() / alignment * alignment
	free := whole(t.Partitions[len(t.Partitions)-1].end())
	size := whole(n.Size)
	if size > end-free {
		return nil, fmt.Errorf("%w: it takes %d bytes, behind partition %d there are %d",
			ErrNoRoom, size, t.Partitions[len(t.Partitions)-1].Number, max(0, end-free))
	}
	a := &Addition{Partition: Partition{Number: number, Start: end - size, Size: size}}
	if t.Scheme == GPT {
		a.writes = t.appendGPT(a.Partition, n)
	} else {
		a.writes = t.appendMBR(a.Partition, n)
	}
	return a, nil
}

// Need is how large the disk must be for Append to find room for size bytes: as
// large as it is, or so large that the new partition lies behind all that the
// disk has now.
func (t *Table) Need(size int64) int64 {
	if _, err := t.Append(New{Size: size}); !errors.Is(err, ErrNoRoom) {
		return t.size
	}
	need := whole(t.size) + whole(size)
	if t.Scheme == GPT {
		need += whole(t.size - t.lastUsable())
	}
	return need
}

// whole rounds up to whole MiB.
func whole(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

func (t *Table) lastUsable() int64 {
	if t.Scheme == GPT {
		return t.lastUsableGPT()
	}
	return t.lastUsableMBR()
}

// number is the number after the highest, or else the lowest that is free.
func (t *Table) number() (int, error) {
	count := 4
	if t.Scheme == GPT {
		count = t.gpt.count()
	}
	taken, highest := map[int]bool{}, 0
	for _, p := range t.Partitions {
		taken[p.Number], highest = true, max(highest, p.Number)
	}
	if highest < count {
		return highest + 1, nil
	}
	for n := 1; n <= count; n++ {
		if !taken[n] {
			return n, nil
		}
	}
	return 0, errors.New("the partition table is full")
}

// Commit writes the table, and of a GPT the backup first: at any moment one of
// the two is whole. What the partition is to hold should be there already.
func (a *Addition) Commit(d Disk) error {
	for i, w := range a.writes {
		if _, err := d.WriteAt(w.b, w.at); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
		if i%2 == 0 && i < len(a.writes)-1 {
			continue // an array of entries goes with its header
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
	}
	return nil
}

// Blank clears those of b, the disk's bytes from offset at on, that Commit
// changes.
func (a *Addition) Blank(b []byte, at int64) {
	for _, w := range a.writes {
		from, to := max(w.at-at, 0), min(w.at+int64(len(w.b))-at, int64(len(b)))
		if from < to {
			clear(b[from:to])
		}
	}
}
