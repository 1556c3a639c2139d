package openstack

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
)

// MetaData is meta_data.json. The order of the fields is the document's.
// nova: api/metadata/base.py, _metadata_as_json.
type MetaData struct {
	UUID string            `json:"uuid"`
	Meta map[string]string `json:"meta,omitempty"`
	// Files and AdminPass are on the config drive only.
	Files         []File            `json:"files,omitempty"`
	AdminPass     string            `json:"admin_pass,omitempty"`
	NetworkConfig *ContentRef       `json:"network_config,omitempty"`
	PublicKeys    map[string]string `json:"public_keys,omitempty"`
	Keys          []Key             `json:"keys,omitempty"`
	Hostname      string            `json:"hostname"`
	Name          string            `json:"name"`
	LaunchIndex   int               `json:"launch_index"`
	// AvailabilityZone may be null in a document; that reads as "".
	AvailabilityZone string `json:"availability_zone"`
	// RandomSeed is base64 of 512 random bytes, new with every request.
	RandomSeed string `json:"random_seed,omitempty"`
	ProjectID  string `json:"project_id,omitempty"`
	// Devices and DedicatedCPUs are absent when nil, not when empty.
	Devices       []Device `json:"devices,omitzero"`
	DedicatedCPUs []int    `json:"dedicated_cpus,omitzero"`
}

// File is an injected file: its place in the instance and its bytes' place
// below openstack/ on the drive ("/content/0000").
type File struct {
	Path        string `json:"path"`
	ContentPath string `json:"content_path"`
}

// ContentRef names a content document.
type ContentRef struct {
	Name        string `json:"name"`
	ContentPath string `json:"content_path"`
}

// Encode returns the document's bytes.
func (m MetaData) Encode() []byte { return encode(m) }

const seedBytes = 512

// SeedLen is the number of characters of random_seed.
const SeedLen = (seedBytes + 2) / 3 * 4

// NewSeed fills seed, SeedLen characters long, with what a random_seed is: 512
// bytes of random in base64. The error is that of random.
func NewSeed(seed []byte, random io.Reader) error {
	var raw [seedBytes]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return fmt.Errorf("random seed: %w", err)
	}
	base64.StdEncoding.Encode(seed, raw[:])
	return nil
}

// seeded is meta_data.json with a seed that is still to be filled in. No text
// can hold an unescaped quote, and no key of that name follows.
func (i *Instance) seeded(v Version) Document {
	const key = `"random_seed": "`
	m, _ := i.MetaData(v, zeros{}) // zeros never end
	d := Document{Type: TypeJSON, Body: m.Encode()}
	if m.RandomSeed != "" {
		d.Seed = bytes.LastIndex(d.Body, []byte(key)) + len(key)
	}
	return d
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// MetaData returns the instance's meta_data.json of version v. random is the
// source of the seed; its error is returned.
func (i *Instance) MetaData(v Version, random io.Reader) (MetaData, error) {
	m := MetaData{
		UUID: i.UUID, Meta: i.Meta, Hostname: i.Hostname, Name: i.Name,
		LaunchIndex: i.LaunchIndex, AvailabilityZone: i.AvailabilityZone,
	}
	if len(i.Content()) > 0 {
		m.NetworkConfig = &ContentRef{Name: "network_config", ContentPath: contentPath(0)}
	}
	if i.Key != nil {
		m.PublicKeys = map[string]string{i.Key.Name: i.Key.Data}
		m.Keys = []Key{*i.Key}
	}
	if v.Has(Grizzly) {
		seed := make([]byte, SeedLen)
		if err := NewSeed(seed, random); err != nil {
			return MetaData{}, err
		}
		m.RandomSeed = string(seed)
	}
	if v.Has(Liberty) {
		m.ProjectID = i.ProjectID
	}
	if v.Has(NewtonOne) {
		m.Devices = devices(i.Devices, v)
	}
	if v.Has(Victoria) {
		m.DedicatedCPUs = append([]int{}, i.DedicatedCPUs...)
	}
	return m, nil
}

// Content returns the documents below openstack/content/, in the order of
// their numbers: the network configuration of [Port.Injected] networks. It is
// empty for most instances. On the config drive the injected files follow.
func (i *Instance) Content() [][]byte {
	if c := interfaces(i.Ports); c != nil {
		return [][]byte{c}
	}
	return nil
}
