package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"

	"imprint/base/netns"
)

// Apply makes the table of ns what want says, in one transaction, and reports
// whether that changed anything. Only chains that differ are touched; a
// changed hook replaces the table.
func Apply(ns *netns.NS, want Table) (changed bool, err error) {
	c, err := connect(ns)
	if err != nil {
		return false, err
	}
	have, err := read(c, want.Family, want.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		have = Table{}
	case err != nil:
		have = Table{Name: want.Name, Chains: []Chain{{Name: "unreadable", Hook: Hook{Type: "?"}}}}
	case have.Equal(want):
		return false, nil
	}
	queue(c, have, want)
	if err := c.Flush(); err != nil {
		return false, fmt.Errorf("apply table %s in namespace %s: %w", want.Name, ns.Name(), err)
	}
	return true, nil
}

// Delete removes a table; one that does not exist is no error.
func Delete(ns *netns.NS, family Family, name string) error {
	c, err := connect(ns)
	if err != nil {
		return err
	}
	table, err := find(c, family, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		c.DelTable(table)
		err = c.Flush()
	}
	if err != nil {
		return fmt.Errorf("delete table %s in namespace %s: %w", name, ns.Name(), err)
	}
	return nil
}

// queue puts the difference into c's transaction: new chains first, so that
// rules can jump to them, old ones last, when nothing jumps there any more.
func queue(c *nftables.Conn, have, want Table) {
	table := &nftables.Table{Family: nftables.TableFamily(want.Family), Name: want.Name}
	if !sameHooks(have, want) {
		if have.Name != "" {
			c.DelTable(table)
		}
		have = Table{}
	}
	c.AddTable(table)
	old, wanted := have.byName(), want.byName()
	var fill []Chain
	for _, chain := range want.Chains {
		before, exists := old[chain.Name]
		switch {
		case !exists:
			c.AddChain(chainToKernel(table, chain))
			fill = append(fill, chain)
		case !before.Equal(chain):
			c.FlushChain(chainToKernel(table, chain))
			fill = append(fill, chain)
		}
	}
	for _, chain := range fill {
		k := chainToKernel(table, chain)
		for _, r := range chain.Rules {
			c.AddRule(ruleToKernel(table, k, r))
		}
	}
	for _, chain := range have.Chains {
		if _, keep := wanted[chain.Name]; !keep {
			c.FlushChain(chainToKernel(table, chain))
		}
	}
	for _, chain := range have.Chains {
		if _, keep := wanted[chain.Name]; !keep {
			c.DelChain(chainToKernel(table, chain))
		}
	}
}

func sameHooks(have, want Table) bool {
	wanted := want.byName()
	for _, c := range have.Chains {
		if w, keep := wanted[c.Name]; keep && w.Hook != c.Hook || !keep && c.Hook != (Hook{}) {
			return false
		}
	}
	return true
}
