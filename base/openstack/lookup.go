package openstack

import (
	"errors"
	"io"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ErrNoDocument says that an instance has no document at a path.
var ErrNoDocument = errors.New("no such document")

// Content types as Nova gives them: network_data.json is plain text there.
const (
	TypeText = "text/plain; charset=UTF-8"
	TypeHTML = "text/html; charset=UTF-8"
	TypeJSON = "application/json"
)

// Document is an answer to a request.
type Document struct {
	Type string // the Content-Type
	Body []byte // not to be changed
	// Password marks the document that alone can be written. It is empty: the
	// instance's own password is not among the values here.
	Password bool
}

// Request is what a document depends on besides its instance.
type Request struct {
	// Path is the URL's path, percent escapes decoded. Slashes at the end or in
	// a row and the elements "." and ".." are resolved first.
	Path string
	// Peer is the address that asks; it stands in for local-ipv4 of an instance
	// without an IPv4 address. It may be invalid.
	Peer netip.Addr
	// Random is the source of random_seed.
	Random io.Reader
}

// IsRoot reports whether p is the path of the list of EC2 versions, the one
// document that does not depend on who asks. nova: api/metadata/handler.py.
func IsRoot(p string) bool { return clean(p) == "/" }

// Root returns that list.
func Root() Document { return text(strings.Join(append(EC2Versions(), Latest), "\n")) }

// Lookup returns the document at r.Path. The error is [ErrNoDocument], or one
// of r.Random. A path without a tree's name belongs to the EC2 tree.
// nova: api/metadata/base.py, lookup. Where Nova's look-up crashes (below a
// leaf) there is no document here.
func (i *Instance) Lookup(r Request) (Document, error) {
	tokens := strings.Split(strings.TrimPrefix(clean(r.Path), "/"), "/")
	if tokens[0] == "openstack" {
		return i.lookupOpenStack(tokens[1:], r.Random)
	}
	if tokens[0] == "ec2" || tokens[0] == "" {
		tokens = tokens[1:]
	}
	return i.lookupEC2(tokens, r.Peer)
}

func clean(p string) string { return path.Clean("/" + p) }

func (i *Instance) lookupEC2(tokens []string, peer netip.Addr) (Document, error) {
	if len(tokens) == 0 {
		return Root(), nil
	}
	version, ok := parseEC2Version(tokens[0])
	if !ok {
		return Document{}, ErrNoDocument
	}
	n := i.ec2Tree(version, peer)
	for _, t := range tokens[1:] {
		if n, ok = n.dir[t]; !ok {
			return Document{}, ErrNoDocument
		}
	}
	if n.dir != nil {
		return text(n.listing()), nil
	}
	return Document{Type: TypeText, Body: n.body}, nil
}

func (i *Instance) lookupOpenStack(tokens []string, random io.Reader) (Document, error) {
	if len(tokens) == 0 {
		return versionList(), nil
	}
	if tokens[0] == "content" {
		return i.content(tokens[1:])
	}
	v, ok := ParseVersion(tokens[0])
	if !ok {
		return Document{}, ErrNoDocument
	}
	name := strings.Join(tokens[1:], "/")
	if name == "" {
		return text(strings.Join(i.documents(v), "\n")), nil
	}
	// Nova answers network_data.json also where it does not list it.
	if name != nameNetworkData && !slices.Contains(i.documents(v), name) {
		return Document{}, ErrNoDocument
	}
	return i.document(name, v, random)
}

func versionList() Document {
	return text(strings.Join(append(versionNames(), Latest), "\n"))
}

func versionNames() []string {
	var names []string
	for _, v := range Versions() {
		names = append(names, string(v))
	}
	return names
}

// Names of the documents of the OpenStack tree.
const (
	nameMetaData    = "meta_data.json"
	nameUserData    = "user_data"
	namePassword    = "password"
	nameVendorData  = "vendor_data.json"
	nameNetworkData = "network_data.json"
	nameVendorData2 = "vendor_data2.json"
)

// documents lists what version v has, in the order of its listing.
// nova: api/metadata/base.py, _handle_version.
func (i *Instance) documents(v Version) []string {
	names := []string{nameMetaData}
	if i.UserData != nil {
		names = append(names, nameUserData)
	}
	for _, d := range []struct {
		since Version
		name  string
	}{
		{Grizzly, namePassword}, {Havana, nameVendorData}, {Liberty, nameNetworkData}, {NewtonTwo, nameVendorData2},
	} {
		if v.Has(d.since) {
			names = append(names, d.name)
		}
	}
	return names
}

func (i *Instance) document(name string, v Version, random io.Reader) (Document, error) {
	switch name {
	case nameMetaData:
		m, err := i.MetaData(v, random)
		return Document{Type: TypeJSON, Body: m.Encode()}, err
	case nameUserData:
		return Document{Type: TypeText, Body: i.UserData}, nil
	case namePassword:
		return Document{Type: TypeHTML, Password: true}, nil
	case nameVendorData:
		return Document{Type: TypeJSON, Body: i.VendorData.Encode()}, nil
	case nameNetworkData:
		return Document{Type: TypeText, Body: i.NetworkData().Encode()}, nil
	default:
		return Document{Type: TypeJSON, Body: i.VendorData.Encode2()}, nil
	}
}

// content finds openstack/content/NNNN; there is no listing.
func (i *Instance) content(tokens []string) (Document, error) {
	if len(tokens) != 1 || len(tokens[0]) != 4 {
		return Document{}, ErrNoDocument
	}
	n, err := strconv.ParseUint(tokens[0], 10, 16)
	all := i.Content()
	if err != nil || n >= uint64(len(all)) {
		return Document{}, ErrNoDocument
	}
	return Document{Type: TypeText, Body: all[n]}, nil
}

func text(s string) Document { return Document{Type: TypeText, Body: []byte(s)} }
