// Package nft holds an nftables table as a value: apply it in one transaction,
// read it back, compare.
//
// A table belongs wholly to whoever applies it. Applying touches only the
// chains that differ, so the counters of the others go on, and applying twice
// changes nothing.
package nft

import (
	"maps"
	"reflect"
	"slices"

	"github.com/google/nftables/expr"
)

// Family says which packets a table sees. linux/netfilter.h, NFPROTO_*
type Family uint8

// The families.
const (
	Inet   Family = 1 // both IPv4 and IPv6
	IPv4   Family = 2
	Bridge Family = 7
	IPv6   Family = 10
)

// Table is a named set of chains. Names are of letters, digits, _ . / and -.
type Table struct {
	Family Family
	Name   string
	Chains []Chain // in any order, names unique
}

// Chain is a list of rules; with a Hook the kernel starts at it.
type Chain struct {
	Name  string
	Hook  Hook // the zero value: a chain to jump to
	Rules []Rule
}

// Hook is where packets enter a chain.
type Hook struct {
	Type     ChainType
	Point    HookPoint
	Priority int  // lower runs earlier
	Drop     bool // what becomes of a packet that no rule decides
}

// ChainType is what a base chain may do.
type ChainType string

// The types of base chains.
const (
	Filter ChainType = "filter"
	NAT    ChainType = "nat"
)

// HookPoint is a place on a packet's way. linux/netfilter.h, NF_INET_*
type HookPoint uint32

// The places.
const (
	Prerouting HookPoint = iota
	Input
	Forward
	Output
	Postrouting
)

// Rule is matches and what to do when all of them hold. Two rules are equal
// whatever was counted.
type Rule struct {
	Comment string // shown by `nft list ruleset`; at most 127 bytes
	Counted Count  // as read; ignored when applied
	exprs   []expr.Any
}

// Count is what a [Counter] saw.
type Count struct {
	Packets, Bytes uint64
}

// NewRule joins parts to a rule, in order.
func NewRule(comment string, parts ...Part) Rule {
	r := Rule{Comment: comment}
	for _, p := range parts {
		r.exprs = append(r.exprs, p...)
	}
	return r
}

// Equal reports whether r and o do the same under the same comment.
func (r Rule) Equal(o Rule) bool {
	return r.Comment == o.Comment && reflect.DeepEqual(r.exprs, o.exprs)
}

// Equal reports whether c and o are the same chain with the same rules.
func (c Chain) Equal(o Chain) bool {
	return c.Name == o.Name && c.Hook == o.Hook && slices.EqualFunc(c.Rules, o.Rules, Rule.Equal)
}

// Equal reports whether t and o are the same table, whatever the order of
// their chains.
func (t Table) Equal(o Table) bool {
	return t.Family == o.Family && t.Name == o.Name && maps.EqualFunc(t.byName(), o.byName(), Chain.Equal)
}

// Chain returns the chain called name.
func (t Table) Chain(name string) (Chain, bool) {
	i := slices.IndexFunc(t.Chains, func(c Chain) bool { return c.Name == name })
	if i < 0 {
		return Chain{}, false
	}
	return t.Chains[i], true
}

// Count returns what the first rule with this comment has counted.
func (t Table) Count(comment string) (Count, bool) {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if r.Comment == comment {
				return r.Counted, true
			}
		}
	}
	return Count{}, false
}

func (t Table) byName() map[string]Chain {
	m := make(map[string]Chain, len(t.Chains))
	for _, c := range t.Chains {
		m[c.Name] = c
	}
	return m
}
