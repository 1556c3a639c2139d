package openstack

import (
	"errors"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
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
	// Seed is where in Body the SeedLen characters of random_seed begin; 0 in a
	// document without. They are to be filled in anew for each request.
	Seed int
	// Password marks the document that alone can be written.
	Password bool
	// Vendor marks vendor_data2.json, where the answers of dynamic targets
	// stand beside the static data that Body has.
	Vendor bool
	// Passing says that the document depends on more than its instance and its
	// path, so that another request may get another.
	Passing bool
}

// Request is what a document depends on besides its instance.
type Request struct {
	// Path is the URL's path, percent escapes decoded. Slashes at the end or in
	// a row and the elements "." and ".." are resolved first.
	Path string
	// Peer is the address that asks; it stands in for local-ipv4 of an instance
	// without an IPv4 address. It may be invalid.
	Peer netip.Addr
	// Now hides later versions of the OpenStack tree from its list; they can
	// still be asked for. The zero time hides none.
	Now time.Time
}

// IsRoot reports whether p is the path of the list of EC2 versions, the one
// document that does not depend on who asks. nova: api/metadata/handler.py.
func IsRoot(p string) bool { return Clean(p) == "/" }

// Root returns that list.
func Root() Document { return text(strings.Join(append(EC2Versions(), Latest), "\n")) }

// Lookup returns the document at r.Path. The error is [ErrNoDocument]. A path
// without a tree's name belongs to the EC2 tree.
// nova: api/metadata/base.py, lookup. Where Nova's look-up crashes (below a
// leaf) there is no document here.
func (i *Instance) Lookup(r Request) (Document, error) {
	tokens := strings.Split(strings.TrimPrefix(Clean(r.Path), "/"), "/")
	if tokens[0] == "openstack" {
		return i.lookupOpenStack(tokens[1:], r.Now)
	}
	if tokens[0] == "ec2" || tokens[0] == "" {
		tokens = tokens[1:]
	}
	return i.lookupEC2(tokens, r.Peer)
}

// Clean returns the one form of all paths that mean the same document.
func Clean(p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	return path.Clean("/" + p)
}

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
		if n, ok = n.find(t); !ok {
			return Document{}, ErrNoDocument
		}
	}
	if n.dir != nil {
		return text(n.listing()), nil
	}
	passing := tokens[len(tokens)-1] == "local-ipv4" && !i.firstIPv4().IsValid()
	return Document{Type: TypeText, Body: n.body, Passing: passing}, nil
}

func (i *Instance) lookupOpenStack(tokens []string, now time.Time) (Document, error) {
	if len(tokens) == 0 {
		return versionList(now), nil
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
	if name == nameVendorData && i.VendorData.off {
		return Document{}, ErrNoDocument
	}
	if name == nameMetaData {
		return i.seeded(v), nil
	}
	return i.document(name), nil
}

// versionList hides the versions that lie in the future. nova:
// api/metadata/base.py, lookup.
func versionList(now time.Time) Document {
	names := versionNames()
	all := len(names)
	if today := now.UTC().Format(time.DateOnly); !now.IsZero() {
		names = slices.DeleteFunc(names, func(v string) bool { return v > today })
	}
	d := text(strings.Join(append(names, Latest), "\n"))
	d.Passing = len(names) < all
	return d
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

// document is one that is the same in all versions that have it.
func (i *Instance) document(name string) Document {
	switch name {
	case nameUserData:
		return Document{Type: TypeText, Body: i.UserData}
	case namePassword:
		return Document{Type: TypeHTML, Body: []byte(i.Password), Password: true}
	case nameVendorData:
		return Document{Type: TypeJSON, Body: i.VendorData.Encode()}
	case nameNetworkData:
		return Document{Type: TypeText, Body: i.NetworkData().Encode()}
	default:
		return Document{Type: TypeJSON, Body: i.VendorData.Encode2(), Vendor: true}
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
