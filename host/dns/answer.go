package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes of messages over UDP. RFC 1035 4.2.1; what fits into every packet:
// the DNS flag day of 2020.
const (
	plainSize = 512
	edns0Size = 1232
)

// ttl of the network's own records: a port may change at any time. It is
// dnsmasq's default too (--local-ttl).
const ttl = 0

// query is one question that is understood.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string // lower case, without the last dot
	edns     bool
	version  byte
	size     int // of the answer over UDP
}

// parse reads a query. ok is false for what is not even one, and gets no
// answer; code is not success for one that is answered with an error.
func parse(packet []byte) (q query, code dnsmessage.RCode, ok bool) {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil || header.Response {
		return q, 0, false
	}
	q.header, q.size = header, plainSize
	if header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, true
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 || header.Truncated {
		return q, dnsmessage.RCodeFormatError, true
	}
	q.question = questions[0]
	q.name = strings.ToLower(strings.TrimSuffix(q.question.Name.String(), "."))
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	for {
		r, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return q, dnsmessage.RCodeSuccess, true
		}
		if err != nil || p.SkipAdditional() != nil {
			return q, dnsmessage.RCodeFormatError, true
		}
		if r.Type == dnsmessage.TypeOPT {
			q.edns, q.version = true, byte(r.TTL>>16)
			q.size = max(plainSize, min(int(r.Class), edns0Size))
		}
	}
}

// badVersion is the extended code for an EDNS version that is not 0. RFC 6891 9
const badVersion dnsmessage.RCode = 16

// verdict is what becomes of a query.
type verdict uint8

const (
	answered verdict = iota
	ignored
	forwarded
)

// answer decides about one packet. limit bounds the reply in bytes; 0 leaves it
// to what the query allows over UDP.
func (z *Zone) answer(packet []byte, limit int) (reply []byte, v verdict) {
	q, code, ok := parse(packet)
	if !ok {
		return nil, ignored
	}
	if limit > 0 {
		q.size = limit
	}
	switch {
	case code != dnsmessage.RCodeSuccess:
	case q.version != 0:
		code = badVersion
	case q.question.Class != dnsmessage.ClassINET:
		code = dnsmessage.RCodeRefused
	case z.own(q.name):
		return q.reply(z.records(q))
	case len(z.upstream) > 0:
		return nil, forwarded
	default:
		code = dnsmessage.RCodeRefused
	}
	return q.reply(code, nil)
}

// records are those that the zone has for a name of its own.
func (z *Zone) records(q query) (dnsmessage.RCode, []dnsmessage.ResourceBody) {
	all := q.question.Type == dnsmessage.TypeALL
	if a, ok := reversed(q.name); ok {
		name, known := z.byAddr[a]
		if !known {
			return dnsmessage.RCodeNameError, nil
		}
		target, err := dnsmessage.NewName(name + ".")
		if err != nil || !all && q.question.Type != dnsmessage.TypePTR {
			return dnsmessage.RCodeSuccess, nil
		}
		return dnsmessage.RCodeSuccess, []dnsmessage.ResourceBody{&dnsmessage.PTRResource{PTR: target}}
	}
	addrs, known := z.byName[q.name]
	if !known && q.name != z.domain {
		return dnsmessage.RCodeNameError, nil
	}
	var list []dnsmessage.ResourceBody
	for _, a := range addrs {
		switch {
		case a.Is4() && (all || q.question.Type == dnsmessage.TypeA):
			list = append(list, &dnsmessage.AResource{A: a.As4()})
		case a.Is6() && (all || q.question.Type == dnsmessage.TypeAAAA):
			list = append(list, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	return dnsmessage.RCodeSuccess, list
}

// reply writes a message; one that does not fit is cut down to its question and
// says so.
func (q query) reply(code dnsmessage.RCode, records []dnsmessage.ResourceBody) ([]byte, verdict) {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired,
		RecursionAvailable: true, RCode: code & 0xf,
		Authoritative: code == dnsmessage.RCodeNameError || len(records) > 0,
	}}
	if q.question.Type != 0 {
		m.Questions = []dnsmessage.Question{q.question}
	}
	for _, r := range records {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl}, Body: r,
		})
	}
	if q.edns {
		opt := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(".")}, Body: &dnsmessage.OPTResource{}}
		if opt.Header.SetEDNS0(edns0Size, code, false) == nil {
			m.Additionals = append(m.Additionals, opt)
		}
	}
	b, err := m.Pack()
	if err == nil && len(b) > q.size {
		m.Truncated, m.Answers = true, nil
		b, err = m.Pack()
	}
	if err != nil {
		return nil, ignored
	}
	return b, answered
}

// failure is the answer to a query that no upstream server answered.
func failure(packet []byte) []byte {
	q, code, ok := parse(packet)
	if !ok || code != dnsmessage.RCodeSuccess {
		return nil
	}
	b, _ := q.reply(dnsmessage.RCodeServerFailure, nil)
	return b
}

// answers reports whether b may be the answer to packet: same question, and
// the id that it was sent with.
func answers(packet, b []byte, id uint16) bool {
	var theirs, ours dnsmessage.Parser
	h, err := theirs.Start(b)
	if err != nil || !h.Response || h.ID != id {
		return false
	}
	if _, err := ours.Start(packet); err != nil {
		return false
	}
	want, err := ours.Question()
	if err != nil {
		return false
	}
	got, err := theirs.Question()
	return err == nil && got.Type == want.Type && got.Class == want.Class && strings.EqualFold(got.Name.String(), want.Name.String())
}

// client is the address of a peer as the zone knows it.
func client(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }
