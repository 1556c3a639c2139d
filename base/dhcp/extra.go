package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Option is one more option for a client, as it goes onto the wire.
type Option struct {
	// Code is the option's number; [OptionNextServer] is none but the header's
	// field siaddr.
	Code uint16
	// Value is empty for an option that is not to be sent, even if the network
	// has one.
	Value []byte
	// IPXE limits the option to clients that are iPXE ("ipxe") or are not
	// ("!ipxe"); "" is for all.
	IPXE string
}

// OptionNextServer is dnsmasq's own number for "server-ip-address".
const OptionNextServer = 255

// form is how the text of an option's value becomes bytes.
type form uint8

const (
	formGuess form = iota
	formAddrs
	formText
	formNames  // RFC 1035 names, uncompressed
	formRoutes // prefix, gateway, …
	form1      // whole numbers of so many bytes
	form2
	form4
)

type known struct {
	code uint16
	form form
}

// names4 are the names that an operator may write. dnsmasq 2.90:
// dhcp-common.c, opttab; those that are the server's own business are left out.
var names4 = map[string]known{
	"time-offset": {2, form4}, "router": {3, formAddrs}, "dns-server": {6, formAddrs},
	"log-server": {7, formAddrs}, "lpr-server": {9, formAddrs}, "boot-file-size": {13, form2}, "domain-name": {15, formText},
	"swap-server": {16, formAddrs}, "root-path": {17, formText}, "extension-path": {18, formText},
	"ip-forward-enable": {19, form1}, "non-local-source-routing": {20, form1}, "policy-filter": {21, formAddrs},
	"max-datagram-reassembly": {22, form2}, "default-ttl": {23, form1}, "mtu": {26, form2}, "all-subnets-local": {27, form1},
	"router-discovery": {31, form1}, "router-solicitation": {32, formAddrs}, "static-route": {33, formAddrs},
	"trailer-encapsulation": {34, form1}, "arp-timeout": {35, form4}, "ethernet-encap": {36, form1}, "tcp-ttl": {37, form1},
	"tcp-keepalive": {38, form4}, "nis-domain": {40, formText}, "nis-server": {41, formAddrs}, "ntp-server": {42, formAddrs},
	"netbios-ns": {44, formAddrs}, "netbios-dd": {45, formAddrs}, "netbios-nodetype": {46, form1}, "netbios-scope": {47, formGuess},
	"x-windows-fs": {48, formAddrs}, "x-windows-dm": {49, formAddrs}, "vendor-class": {60, formGuess}, "nis+-domain": {64, formText},
	"nis+-server": {65, formAddrs}, "tftp-server": {66, formText}, "bootfile-name": {67, formText},
	"mobile-ip-home": {68, formAddrs}, "smtp-server": {69, formAddrs}, "pop3-server": {70, formAddrs}, "nntp-server": {71, formAddrs},
	"irc-server": {74, formAddrs}, "user-class": {77, formGuess}, "client-arch": {93, form2}, "client-interface-id": {94, formGuess},
	"client-machine-id": {97, formGuess}, "posix-timezone": {100, formText}, "tzdb-timezone": {101, formText},
	"ipv6-only": {108, form4}, "domain-search": {119, formNames}, "sip-server": {120, formGuess},
	"classless-static-route": {121, formRoutes}, "vendor-id-encap": {125, formGuess}, "tftp-server-address": {150, formAddrs},
	"server-ip-address": {OptionNextServer, formAddrs},
}

// names6 are those of DHCPv6. dnsmasq 2.90: dhcp-common.c, opttab6
var names6 = map[string]known{
	"sip-server-domain": {21, formNames}, "sip-server": {22, formAddrs}, "dns-server": {23, formAddrs}, "domain-search": {24, formNames},
	"nis-server": {27, formAddrs}, "nis+-server": {28, formAddrs}, "nis-domain": {29, formNames}, "nis+-domain": {30, formNames},
	"sntp-server": {31, formAddrs}, "information-refresh-time": {32, form4}, "posix-timezone": {41, formText},
	"tzdb-timezone": {42, formText}, "bootfile-url": {59, formText},
}

// own4 and own6 are options that only the server itself can know.
var (
	own4 = map[uint16]bool{0: true, 1: true, 12: true, 28: true, 50: true, 51: true, 52: true, 53: true, 54: true, 55: true, 56: true, 57: true, 58: true, 59: true, 61: true, 81: true, 82: true, 118: true}
	own6 = map[uint16]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 11: true, 12: true, 13: true, 14: true, 18: true, 19: true, 20: true, 25: true, 26: true, 39: true}
)

// maxValue bounds an option's value, in bytes, on the wire.
const maxValue = 1024

// ParseOption reads an option as Neutron's extra_dhcp_opts and dnsmasq's
// dhcp-option give it: a name or a number, before it "tag:ipxe," or
// "tag:!ipxe,", and a text whose form the option decides. The value of an
// option that dnsmasq does not know by name is taken for addresses, a number,
// bytes in hexadecimal with colons, or a text, whichever it looks like.
// A control character anywhere is an error. neutron: agent/linux/dhcp.py,
// _format_option.
func ParseOption(name, value string) (Option, error) {
	return parseOption(name, value, names4, own4, 254)
}

// ParseOption6 is [ParseOption] for DHCPv6.
func ParseOption6(name, value string) (Option, error) {
	return parseOption(name, value, names6, own6, 65535)
}

func parseOption(name, value string, names map[string]known, own map[uint16]bool, most uint16) (Option, error) {
	fail := func(why string) (Option, error) {
		return Option{}, fmt.Errorf("dhcp option %.64q: %s", name, why)
	}
	if strings.IndexFunc(name+value, unicode.IsControl) >= 0 {
		return fail("control characters are not allowed")
	}
	var o Option
	key := name
	if tag, rest, tagged := strings.Cut(name, ","); tagged {
		o.IPXE, key = strings.TrimPrefix(tag, "tag:"), rest
		if o.IPXE != "ipxe" && o.IPXE != "!ipxe" {
			return fail("its tag is not ipxe")
		}
	}
	k, named := names[key]
	if n, err := strconv.ParseUint(key, 10, 16); !named && err == nil && n <= uint64(most) {
		k, named = byCode(names, uint16(n)), true
	}
	if !named {
		return fail("there is no such option")
	}
	if own[k.code] {
		return fail("the server itself sets it")
	}
	b, err := k.form.encode(value, most > 254)
	if err != nil {
		return fail(err.Error())
	}
	if len(b) > maxValue {
		return fail("its value is too long")
	}
	o.Code, o.Value = k.code, b
	return o, nil
}

func byCode(names map[string]known, code uint16) known {
	if code == 249 {
		return known{249, formRoutes}
	}
	for _, k := range names {
		if k.code == code && code != OptionNextServer {
			return k
		}
	}
	return known{code, formGuess}
}

func (f form) encode(text string, v6 bool) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	switch f {
	case formAddrs:
		return encodeAddrs(text, v6)
	case formText:
		return []byte(text), nil
	case formNames:
		var b []byte
		for part := range strings.SplitSeq(text, ",") {
			name, ok := encodeName(strings.TrimSpace(part))
			if !ok {
				return nil, fmt.Errorf("%.64q is not a name", part)
			}
			b = append(b, name...)
		}
		return b, nil
	case formRoutes:
		return parseRoutes(text)
	case form1, form2, form4:
		size := map[form]int{form1: 1, form2: 2, form4: 4}[f]
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil || n >= 1<<(8*size) || n < -1<<(8*size-1) {
			return nil, fmt.Errorf("%.64q is not a number of %d bytes", text, size)
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n))[8-size:], nil
	}
	return guess(text, v6), nil
}

// guess follows dnsmasq's option.c, parse_dhcp_opt.
func guess(text string, v6 bool) []byte {
	if b, err := encodeAddrs(text, v6); err == nil {
		return b
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		switch b := binary.BigEndian.AppendUint32(nil, uint32(n)); {
		case n < 1<<8:
			return b[3:]
		case n < 1<<16:
			return b[2:]
		default:
			return b
		}
	}
	if strings.Contains(text, ":") {
		if b, err := hex.DecodeString(strings.ReplaceAll(text, ":", "")); err == nil {
			return b
		}
	}
	return []byte(text)
}

func encodeAddrs(text string, v6 bool) ([]byte, error) {
	var b []byte
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if v6 {
			part = strings.TrimSuffix(strings.TrimPrefix(part, "["), "]")
		}
		a, err := netip.ParseAddr(part)
		if err != nil || a.Is6() != v6 || a.Zone() != "" {
			return nil, fmt.Errorf("%.64q is not an address", part)
		}
		b = append(b, a.AsSlice()...)
	}
	return b, nil
}

func parseRoutes(text string) ([]byte, error) {
	parts := strings.Split(text, ",")
	if len(parts)%2 != 0 {
		return nil, errors.New("a route has no gateway")
	}
	var routes []Route
	for i := 0; i < len(parts); i += 2 {
		to, err := netip.ParsePrefix(strings.TrimSpace(parts[i]))
		via, err2 := netip.ParseAddr(strings.TrimSpace(parts[i+1]))
		if err != nil || err2 != nil || !to.Addr().Is4() || !via.Is4() {
			return nil, fmt.Errorf("%.32q,%.32q is not a route", parts[i], parts[i+1])
		}
		routes = append(routes, Route{To: to, Via: via})
	}
	return encodeRoutes(routes), nil
}

// encodeName is the wire form of a domain name. RFC 1035 3.1
func encodeName(name string) ([]byte, bool) {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 {
			return nil, false
		}
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0), len(b) < 255
}
