package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// Fixture is a set of instances from files, for tests and for trying things
// out: the same documents as an [Index] would tell, without a store. The form
// of the files stands in docs/metadata.md. Passwords are kept in memory. It is
// safe for concurrent use.
type Fixture struct {
	cache *cache

	mu        sync.RWMutex
	instances map[cloud.ServerID]*Told
}

// fixtureVendor is the file of static vendor data in a fixture's directory.
const fixtureVendor = "vendor_data.json"

const maxFixture = 64 << 20 // bytes of one file

// LoadFixture reads dir: every file *.json is an instance or a list of
// instances in the form of [openstack.ParseInstance], but vendor_data.json,
// which is the static vendor data of those that bring none. An error names
// the file.
func LoadFixture(dir string) (*Fixture, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("fixture %s: %w", dir, err)
	}
	vendor, err := readVendorFile(filepath.Join(dir, fixtureVendor))
	if err != nil && !isMissing(err) {
		return nil, fmt.Errorf("fixture: %w", err)
	}
	f := &Fixture{cache: newCache(defaultCache), instances: map[cloud.ServerID]*Told{}}
	for _, path := range paths {
		if filepath.Base(path) == fixtureVendor {
			continue
		}
		if err := f.read(path, vendor); err != nil {
			return nil, fmt.Errorf("fixture %s: %w", path, err)
		}
	}
	if len(f.instances) == 0 {
		return nil, fmt.Errorf("fixture %s: there is no instance", dir)
	}
	return f, nil
}

// NewFixture returns a set of these instances, which belong to it from then on.
func NewFixture(instances ...*openstack.Instance) *Fixture {
	f := &Fixture{cache: newCache(defaultCache), instances: map[cloud.ServerID]*Told{}}
	for _, i := range instances {
		f.put(i)
	}
	return f
}

func (f *Fixture) put(i *openstack.Instance) {
	f.instances[cloud.ServerID(i.UUID)] = &Told{instance: i, lines: &allowance{}}
}

func (f *Fixture) read(path string, vendor openstack.VendorData) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	b, err := readBounded(file, maxFixture)
	if err != nil {
		return err
	}
	list := []json.RawMessage{b}
	if strings.HasPrefix(string(bytes.TrimSpace(b)), "[") {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
	}
	for _, one := range list {
		i, err := openstack.ParseInstance(one)
		if err != nil {
			return err
		}
		if f.instances[cloud.ServerID(i.UUID)] != nil {
			return fmt.Errorf("instance %s is there already", i.UUID)
		}
		if i.VendorData == (openstack.VendorData{}) {
			i.VendorData = vendor
		}
		f.put(i)
	}
	return nil
}

// Instances lists the ids, in their order.
func (f *Fixture) Instances() []cloud.ServerID {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Sorted(maps.Keys(f.instances))
}

func (f *Fixture) documents() *cache { return f.cache }

// Told meets [Instances].
func (f *Fixture) Told(id cloud.ServerID) (*Told, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t := f.instances[id]
	if t == nil {
		return nil, cloud.ErrNotFound
	}
	t.used.Store(true)
	return t, nil
}

// At meets [Instances].
func (f *Fixture) At(a netip.Addr) (cloud.ServerID, error) {
	ids := f.holders(a, func(openstack.Subnet) bool { return true })
	if len(ids) != 1 {
		return "", cloud.ErrNotFound
	}
	return ids[0], nil
}

// Behind meets [Instances].
func (f *Fixture) Behind(provider string, a netip.Addr) (cloud.ServerID, error) {
	provided := func(s openstack.Subnet) bool { return slices.Contains(s.Providers, provider) }
	if len(f.holders(netip.Addr{}, provided)) == 0 {
		return "", noSubnets(provider)
	}
	ids := f.holders(a, provided)
	if len(ids) != 1 {
		return "", notOnePort(provider, a, len(ids))
	}
	return ids[0], nil
}

// holders lists the server of each port with an address on a subnet of that
// kind; no address means any.
func (f *Fixture) holders(a netip.Addr, kind func(openstack.Subnet) bool) []cloud.ServerID {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var ids []cloud.ServerID
	for id, t := range f.instances {
		for _, p := range t.instance.Ports {
			if slices.ContainsFunc(p.Subnets, func(s openstack.Subnet) bool {
				return kind(s) && (!a.IsValid() || slices.Contains(s.Addrs, a))
			}) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// Await meets [Instances]; a fixture changes at once.
func (f *Fixture) Await(context.Context, cloud.ServerID, func(*openstack.Instance) bool) {}

// SetPassword meets [Passwords].
func (f *Fixture) SetPassword(_ context.Context, id cloud.ServerID, password string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.instances[id]
	switch {
	case old == nil:
		return cloud.ErrNotFound
	case old.instance.Password != "":
		return cloud.Errorf(cloud.Conflict, "The server has a password.")
	}
	i := *old.instance
	i.Password = password
	f.put(&i)
	f.cache.drop(old)
	return nil
}

// SetVendorData replaces the static vendor data of all instances.
func (f *Fixture) SetVendorData(v openstack.VendorData) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range f.instances {
		i := *old.instance
		i.VendorData = v
		f.put(&i)
		f.cache.drop(old)
	}
}

// readBounded reads all of r, which more than limit bytes makes an error.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, err
}
