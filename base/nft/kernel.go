package nft

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"

	"imprint/base/netns"
)

// ErrNotFound says that there is no such table.
var ErrNotFound = errors.New("table not found")

// A transaction and its acknowledgements go through the socket at once: room
// for some thousand rules.
const (
	socketBuffer = 8 << 20
	callTimeout  = 15 * time.Second
)

func connect(ns *netns.NS) (*nftables.Conn, error) {
	c, err := nftables.New(nftables.WithNetNSFd(ns.FD()), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer), c.SetDeadline(time.Now().Add(callTimeout)))
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables in namespace %s: %w", ns.Name(), err)
	}
	return c, nil
}

// Read returns the table of ns as it is, with counters; [ErrNotFound].
func Read(ns *netns.NS, family Family, name string) (Table, error) {
	c, err := connect(ns)
	if err != nil {
		return Table{}, err
	}
	t, err := read(c, family, name)
	if err != nil {
		return Table{}, fmt.Errorf("read table %s in namespace %s: %w", name, ns.Name(), err)
	}
	return t, nil
}

func read(c *nftables.Conn, family Family, name string) (Table, error) {
	table, err := find(c, family, name)
	if err != nil {
		return Table{}, err
	}
	chains, err := c.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return Table{}, err
	}
	t := Table{Family: family, Name: name}
	for _, chain := range chains {
		if chain.Table.Name != name {
			continue
		}
		rules, err := c.GetRules(table, chain)
		if err != nil {
			return Table{}, fmt.Errorf("chain %s: %w", chain.Name, err)
		}
		t.Chains = append(t.Chains, chainFromKernel(chain, rules))
	}
	return t, nil
}

func find(c *nftables.Conn, family Family, name string) (*nftables.Table, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamily(family))
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.Name == name {
			return t, nil
		}
	}
	return nil, ErrNotFound
}

func chainFromKernel(k *nftables.Chain, rules []*nftables.Rule) Chain {
	c := Chain{Name: k.Name}
	if k.Hooknum != nil && k.Priority != nil {
		c.Hook = Hook{Type: ChainType(k.Type), Point: HookPoint(*k.Hooknum), Priority: int(*k.Priority)}
		c.Hook.Drop = k.Policy != nil && *k.Policy == nftables.ChainPolicyDrop
	}
	for _, r := range rules {
		c.Rules = append(c.Rules, ruleFromKernel(r))
	}
	return c
}

// ruleFromKernel moves what was counted out of the expressions.
func ruleFromKernel(k *nftables.Rule) Rule {
	comment, _ := userdata.GetString(k.UserData, userdata.TypeComment)
	r := Rule{Comment: comment, exprs: k.Exprs}
	for i, e := range r.exprs {
		if counter, ok := e.(*expr.Counter); ok {
			r.Counted = Count{counter.Packets, counter.Bytes}
			r.exprs[i] = &expr.Counter{}
		}
	}
	return r
}

func chainToKernel(t *nftables.Table, c Chain) *nftables.Chain {
	k := &nftables.Chain{Name: c.Name, Table: t}
	if c.Hook == (Hook{}) {
		return k
	}
	policy := nftables.ChainPolicyAccept
	if c.Hook.Drop {
		policy = nftables.ChainPolicyDrop
	}
	k.Type, k.Policy = nftables.ChainType(c.Hook.Type), &policy
	k.Hooknum = nftables.ChainHookRef(nftables.ChainHook(c.Hook.Point))
	k.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(c.Hook.Priority))
	return k
}

func ruleToKernel(t *nftables.Table, c *nftables.Chain, r Rule) *nftables.Rule {
	k := &nftables.Rule{Table: t, Chain: c, Exprs: r.exprs}
	if r.Comment != "" {
		k.UserData = userdata.AppendString(nil, userdata.TypeComment, r.Comment)
	}
	return k
}
