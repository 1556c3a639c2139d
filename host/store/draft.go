package store

import (
	"fmt"
	"strings"
	"time"

	"imprint/host/cloud"
)

// draft is a transaction on its way from records to keys.
type draft struct {
	state *state
	codec *codec
	now   time.Time
	txn   EngineTxn
	// texts says for each compared key what its failure means.
	texts map[string]string
	seen  map[string]bool
	// took and freed are the records that gain and lose a claim, by claim key.
	took, freed map[string]string
	claims      []string // the keys of both, in order
}

func newDraft(s *state, c *codec, now time.Time, t cloud.Txn) (*draft, error) {
	d := &draft{
		state: s, codec: c, now: now,
		texts: map[string]string{}, seen: map[string]bool{},
		took: map[string]string{}, freed: map[string]string{},
	}
	for _, r := range t.Put {
		if err := d.put(r); err != nil {
			return nil, err
		}
	}
	for _, r := range t.Delete {
		if err := d.remove(r); err != nil {
			return nil, err
		}
	}
	for _, r := range t.Unchanged {
		if err := d.unchanged(r); err != nil {
			return nil, err
		}
	}
	d.settleClaims()
	return d, d.txn.check()
}

func (d *draft) put(r cloud.Record) error {
	key, err := d.enter(r)
	if err != nil {
		return err
	}
	head := r.Head()
	stored := d.state.model.Get(r.Kind(), r.ID())
	if stored == r {
		return fmt.Errorf("commit %s: the shared record was put, not a copy", key)
	}
	if err := d.current(key, r); err != nil {
		return err
	}
	head.Schema, head.CreatedAt, head.UpdatedAt = cloud.Schema, d.now, d.now
	if stored != nil {
		head.Schema = max(head.Schema, stored.Head().Schema)
		head.CreatedAt = stored.Head().CreatedAt
	}
	value, err := d.codec.encode(r, d.state.extra[key])
	if err != nil {
		return err
	}
	d.txn.Then = append(d.txn.Then, Op{Key: key, Value: value})
	return d.moveClaims(key, r.Claims())
}

func (d *draft) remove(r cloud.Record) error {
	key, err := d.enter(r)
	if err != nil {
		return err
	}
	if r.Head().Revision == 0 {
		return fmt.Errorf("commit %s: it cannot be deleted before it is stored", key)
	}
	if err := d.current(key, r); err != nil {
		return err
	}
	d.txn.Then = append(d.txn.Then, Op{Key: key, Delete: true})
	return d.moveClaims(key, nil)
}

func (d *draft) unchanged(r cloud.Record) error {
	key := keyOf(r)
	if d.seen[key] {
		return nil
	}
	d.seen[key] = true
	return d.current(key, r)
}

// enter checks that r may be written and is written once.
func (d *draft) enter(r cloud.Record) (string, error) {
	key := keyOf(r)
	if r.ID() == "" || cloud.NewRecord(r.Kind()) == nil {
		return "", fmt.Errorf("commit %s: not a record with a kind and an id", key)
	}
	if d.seen[key] {
		return "", fmt.Errorf("commit %s: the record is in the transaction twice", key)
	}
	d.seen[key] = true
	return key, nil
}

// current demands that the stored version is the one that r was made from. The
// model must agree, since what the record holds is known from there.
func (d *draft) current(key string, r cloud.Record) error {
	revision := r.Head().Revision
	text := fmt.Sprintf("%s %s has changed meanwhile", r.Kind(), r.ID())
	switch {
	case revision == 0:
		text = fmt.Sprintf("%s %s exists already", r.Kind(), r.ID())
	case d.state.known[key] == 0:
		text = fmt.Sprintf("%s %s is gone", r.Kind(), r.ID())
	}
	if d.state.known[key] != revision {
		return cloud.Errorf(cloud.Conflict, "%s", text)
	}
	d.texts[key] = text
	d.txn.If = append(d.txn.If, Compare{Key: key, Revision: revision})
	return nil
}

// moveClaims notes what the record at key takes, and what it lets go of.
func (d *draft) moveClaims(key string, wanted []cloud.Claim) error {
	keep := map[string]bool{}
	for _, c := range wanted {
		ck := claimKey(c)
		if keep[ck] {
			continue
		}
		keep[ck] = true
		if d.state.holder[ck] == key {
			continue
		}
		if d.took[ck] != "" {
			return cloud.Errorf(cloud.Conflict, "%s is wanted by two records", c)
		}
		d.took[ck] = key
		d.claims = append(d.claims, ck)
	}
	for ck := range d.state.held[key] {
		if !keep[ck] {
			d.freed[ck] = key
			d.claims = append(d.claims, ck)
		}
	}
	return nil
}

// settleClaims adds conditions and changes for the claims. One that a record
// frees and another takes in the same transaction is handed over.
func (d *draft) settleClaims() {
	done := map[string]bool{}
	for _, ck := range d.claims {
		if done[ck] {
			continue
		}
		done[ck] = true
		taker, freed := d.took[ck], d.freed[ck] != ""
		if taker == "" {
			d.txn.Then = append(d.txn.Then, Op{Key: ck, Delete: true})
			continue
		}
		revision := int64(0)
		if freed {
			revision = d.state.known[ck]
		}
		d.txn.If = append(d.txn.If, Compare{Key: ck, Revision: revision})
		d.texts[ck] = strings.TrimPrefix(ck, claimRoot) + " is taken"
		d.txn.Then = append(d.txn.Then, Op{Key: ck, Value: []byte(strings.TrimPrefix(taker, root))})
	}
}
