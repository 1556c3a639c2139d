// Package config answers "how is this Imprint set up?": it reads the YAML file,
// fills in defaults, checks it, and says what a reload may change.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Config is the whole configuration. [Default] has every default; the zero
// value is not usable. Each key of the file is documented in its doc tag, which
// is where the reference page comes from.
type Config struct {
	Node     Node     `yaml:"node" doc:"This machine."`
	API      API      `yaml:"api" doc:"The REST services."`
	Store    Store    `yaml:"store" doc:"The store, where it is a process of its own ('imprint serve store')."`
	Nodes    Nodes    `yaml:"nodes" doc:"What 'imprint serve api' offers to nodes: enrolment, the feed, blobs."`
	Metadata Metadata `yaml:"metadata" doc:"The metadata service and the way to it."`
	DHCP     DHCP     `yaml:"dhcp" doc:"DHCP on the networks of this node. The two switches have Neutron's names and meaning."`
	Network  Network  `yaml:"network" doc:"Networks and what carries them."`
	Compute  Compute  `yaml:"compute" doc:"Instances on this node."`
	Log      Log      `yaml:"log" doc:"The log, written to standard error."`
}

// Node describes the machine.
type Node struct {
	Name             string `yaml:"name" doc:"Name of the node; empty: the host name."`
	AvailabilityZone string `yaml:"availability_zone" doc:"Zone of its servers."`
}

// API sets up the REST services.
type API struct {
	Listen   string `yaml:"listen" doc:"Address that identity, compute, image and network listen on. Anything but a loopback address is refused: the services have no TLS of their own."`
	Region   string `yaml:"region" doc:"Region in the catalog."`
	Identity int    `yaml:"identity_port" doc:"TCP port of the identity service."`
	Compute  int    `yaml:"compute_port" doc:"TCP port of the compute service."`
	Image    int    `yaml:"image_port" doc:"TCP port of the image service."`
	Network  int    `yaml:"network_port" doc:"TCP port of the network service."`
	// MaxImage is in bytes.
	MaxImage int64 `yaml:"max_image_size" doc:"Largest image file in bytes."`
}

// Store sets up the listener of a store that is a process of its own.
type Store struct {
	Listen string `yaml:"listen" doc:"Address; TLS with certificates on both sides."`
	Port   int    `yaml:"port" doc:"TCP port."`
}

// Nodes sets up the listener for nodes.
type Nodes struct {
	Listen string `yaml:"listen" doc:"Address; TLS with certificates on both sides, but for enrolment."`
	Port   int    `yaml:"port" doc:"TCP port."`
}

// Metadata sets up the metadata service.
type Metadata struct {
	Port        int    `yaml:"port" doc:"TCP port of the metadata service, on a loopback address."`
	DHCPDomain  string `yaml:"dhcp_domain" doc:"Domain of the hostname that instances are told (Nova's dhcp_domain); empty: none."`
	ProxyUser   int    `yaml:"proxy_user" doc:"Numeric user that the namespace proxy runs as; nothing else may run as it."`
	ProxySocket string `yaml:"proxy_socket" doc:"Unix socket between the namespace proxy and the metadata agent (Neutron's metadata_proxy_socket); empty: one in /run named after the state directory."`
}

// DHCP sets up the DHCP agent.
type DHCP struct {
	User          int    `yaml:"user" doc:"Numeric user that the DHCP server runs as; nothing else may run as it."`
	Domain        string `yaml:"domain" reload:"yes" doc:"Domain name given to instances (Neutron's dns_domain)."`
	LeaseSeconds  int    `yaml:"lease_seconds" reload:"yes" doc:"Length of a lease in seconds (Neutron's dhcp_lease_duration)."`
	ForceMetadata bool   `yaml:"force_metadata" reload:"yes" doc:"Metadata over the DHCP port on every network."`
	IsolatedMeta  bool   `yaml:"enable_isolated_metadata" reload:"yes" doc:"Metadata over the DHCP port on networks without a router."`
}

// Network sets up the fabric.
type Network struct {
	MTU int `yaml:"mtu" doc:"MTU of new networks in bytes; 1450 leaves room for VXLAN on Ethernet."`
	// Prefix tells several Imprints on one machine apart.
	Prefix string `yaml:"name_prefix" doc:"Put before the names of all namespaces, so that several Imprints fit on one machine; at most 8 letters, digits or dashes."`
}

// Compute sets up the compute agent.
type Compute struct {
	Guest        string            `yaml:"guest" doc:"The imprint-guest program; empty: beside this program."`
	PIDs         int               `yaml:"max_processes" doc:"Most processes of one instance."`
	FlatInjected bool              `yaml:"flat_injected" doc:"Networks without DHCP: the instance is told its addresses as a file for /etc/network/interfaces too (Nova's flat_injected)."`
	ForceDrive   bool              `yaml:"force_config_drive" doc:"Every new server of this node gets a config drive, asked for or not (Nova's force_config_drive)."`
	DriveFormat  string            `yaml:"config_drive_format" doc:"File system of new config drives: iso9660 or vfat (Nova's config_drive_format)."`
	DriveRefresh bool              `yaml:"refresh_config_drive" doc:"A config drive whose documents have changed is made anew when its instance boots; otherwise by 'imprint configdrive refresh' only."`
	DriveSkips   string            `yaml:"config_drive_skip_versions" doc:"Versions of the EC2 tree that new config drives leave out (Nova's config_drive_skip_versions)."`
	Trees        map[string]string `yaml:"trees" doc:"Root file systems that images may name in their property imprint_tree, name: directory. 'host' is built in: this machine's own /usr."`
}

// Log sets up the log.
type Log struct {
	Level  string `yaml:"level" reload:"yes" doc:"debug, info, warn or error; the processes of the proxy and of DHCP take a change at the next start."`
	Format string `yaml:"format" doc:"text or json."`
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		Node:     Node{AvailabilityZone: "nova"},
		API:      API{Listen: "127.0.0.1", Region: "RegionOne", Identity: 5000, Compute: 8774, Image: 9292, Network: 9696, MaxImage: 64 << 30},
		Store:    Store{Listen: "127.0.0.1", Port: 6779},
		Nodes:    Nodes{Listen: "127.0.0.1", Port: 6781},
		Metadata: Metadata{Port: 8775, DHCPDomain: "novalocal", ProxyUser: 61900},
		DHCP:     DHCP{User: 61901, Domain: "openstacklocal", LeaseSeconds: 86400},
		Network:  Network{MTU: 1450},
		Compute: Compute{PIDs: 1024, DriveFormat: "iso9660",
			DriveSkips: "1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01"},
		Log: Log{Level: "info", Format: "text"},
	}
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Load reads the file at path; "" gives the defaults. An error names the file,
// and the line where there is one.
func Load(path string) (Config, error) {
	if path == "" {
		return Default(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	if len(text) > maxFile {
		return Config{}, fmt.Errorf("configuration %s is larger than %d bytes", path, maxFile)
	}
	c, err := Parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration and checks it. Unknown keys, a wrong type, a
// second document and values out of range are errors that name the line or the key.
func Parse(text []byte) (Config, error) {
	c := Default()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, plain(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("more than one YAML document")
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

// plain puts the decoder's words into those of someone who edits the file.
func plain(err error) error {
	text := unknownField.ReplaceAllString(err.Error(), "unknown key $1")
	text = strings.ReplaceAll(text, "\n", " ")
	return errors.New(strings.Join(strings.Fields(text), " "))
}
