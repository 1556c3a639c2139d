package cloud

import (
	"strconv"
	"time"
)

// KeyPair is the public half of an SSH key. It belongs to a user, as in Nova
// (nova: objects/keypair.py, 26.2.2); the private half is never kept.
type KeyPair struct {
	Meta
	UserID UserID `json:"user_id"`
	Name   string `json:"name"`
	// Type is "ssh" or "x509".
	Type string `json:"type"`
	// PublicKey is the line that goes into authorized_keys, as it was given.
	PublicKey string `json:"public_key"`
	// Fingerprint is the MD5 of the key in colon form, as Nova's API gives it.
	Fingerprint string `json:"fingerprint"`
	// Number is the integer id that the API shows.
	Number int64 `json:"number"`
}

func (k *KeyPair) Kind() RecordKind { return KindKeyPair }

// ID is the user and the name.
func (k *KeyPair) ID() string      { return KeyPairID(k.UserID, k.Name) }
func (k *KeyPair) Claims() []Claim { return nil }

// KeyPairID is the record id of a user's key pair.
func KeyPairID(u UserID, name string) string { return string(claim(string(u), name)) }

// Image is what a server's disk starts from. glance: v2 image schema.
type Image struct {
	Meta
	ImageID         ImageID   `json:"id"`
	Owner           ProjectID `json:"owner"`
	Name            string    `json:"name"`
	Status          string    `json:"status"` // queued, active
	Visibility      string    `json:"visibility"`
	DiskFormat      string    `json:"disk_format"`
	ContainerFormat string    `json:"container_format"`
	MinDisk         int64     `json:"min_disk"` // GiB
	MinRAM          int64     `json:"min_ram"`  // MiB
	Protected       bool      `json:"protected"`
	Hidden          bool      `json:"hidden"`
	Tags            []string  `json:"tags,omitempty"`
	// Size is the number of bytes, Blob names them; both are unset while queued.
	Size   int64  `json:"size"`
	Blob   Digest `json:"blob,omitempty"`
	MD5    string `json:"md5,omitempty"`
	SHA512 string `json:"sha512,omitempty"`
	// Properties are the extra top-level keys of the image document.
	Properties map[string]string `json:"properties,omitempty"`
}

func (i *Image) Kind() RecordKind { return KindImage }
func (i *Image) ID() string       { return string(i.ImageID) }
func (i *Image) Claims() []Claim  { return nil }

// VisibleTo reports whether c may use the image.
func (i *Image) VisibleTo(c Caller) bool { return i.Visibility == "public" || c.Sees(i.Owner) }

// TreeProperty is the image property that names a root file system of the
// node's own list ("host" is built in) as the disk of a container.
const TreeProperty = "imprint_tree"

// DriveProperty is the image property that asks for a config drive where its
// value is DriveMandatory. nova: objects/fields.py, ConfigDrivePolicy.
const (
	DriveProperty  = "img_config_drive"
	DriveMandatory = "mandatory"
)

// Flavor is a size of server.
type Flavor struct {
	Meta
	FlavorID    FlavorID          `json:"id"`
	Name        string            `json:"name"`
	VCPUs       int               `json:"vcpus"`
	RAM         int               `json:"ram"`       // MiB
	Disk        int               `json:"disk"`      // GiB
	Ephemeral   int               `json:"ephemeral"` // GiB
	Swap        int               `json:"swap"`      // MiB
	RXTXFactor  float64           `json:"rxtx_factor"`
	Private     bool              `json:"private,omitempty"`
	Description string            `json:"description,omitempty"`
	ExtraSpecs  map[string]string `json:"extra_specs,omitempty"`
}

func (f *Flavor) Kind() RecordKind { return KindFlavor }
func (f *Flavor) ID() string       { return string(f.FlavorID) }

// Claims: names are unique, as in Nova.
func (f *Flavor) Claims() []Claim { return []Claim{claim("flavor-name", f.Name)} }

// Server is an instance. What the guest will read is a copy taken at creation
// (key, flavor), as in Nova.
type Server struct {
	Meta
	ServerID  ServerID  `json:"id"`
	ProjectID ProjectID `json:"project_id"`
	UserID    UserID    `json:"user_id"`
	// Number counts servers from 1; it makes the EC2 ids (i-00000001).
	Number int64 `json:"number"`
	// Name is the display name as given; HostName the sanitised host part that
	// the metadata's hostname is made of.
	Name        string  `json:"name"`
	HostName    string  `json:"hostname"`
	Description string  `json:"description,omitempty"`
	ImageID     ImageID `json:"image_id"`
	// Tree is the image's [TreeProperty] at the time of creation, or of the last
	// rebuild.
	Tree      string            `json:"tree,omitempty"`
	Flavor    Flavor            `json:"flavor"`
	KeyName   string            `json:"key_name,omitempty"`
	KeyType   string            `json:"key_type,omitempty"`
	PublicKey string            `json:"public_key,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	UserData  Digest            `json:"user_data,omitempty"`
	Files     []InjectedFile    `json:"files,omitempty"`
	// ConfigDrive says that the server has a config drive: it was asked for, by
	// the request or the image, or its node forces one.
	ConfigDrive      bool     `json:"config_drive,omitempty"`
	AvailabilityZone string   `json:"availability_zone"`
	SecurityGroups   []string `json:"security_groups,omitempty"`
	ReservationID    string   `json:"reservation_id"`
	LaunchIndex      int      `json:"launch_index"`
	// BootRoles are the roles of who launched the server, with commas between:
	// dynamic vendor data is told.
	BootRoles string `json:"boot_roles,omitempty"`
	// Password is what the instance set over the metadata service, usually
	// encrypted for its key pair; "" while it has set none.
	Password string `json:"password,omitempty"`
	// Devices are those with a tag, and NICs with a VLAN of their own.
	Devices []Device `json:"devices,omitempty"`
	// DedicatedCPUs are the host's CPUs that are the server's alone, ascending.
	DedicatedCPUs []int `json:"dedicated_cpus,omitempty"`
	// Ports in the order of the NICs.
	Ports []PortID `json:"ports"`
	// Host is the node that the server runs on.
	Host string `json:"host"`
	// What is wanted of the node.
	Power      Power  `json:"power"`
	RebootType string `json:"reboot_type,omitempty"` // SOFT or HARD
	// RebootGeneration counts asked-for reboots; the node reports which it did.
	RebootGeneration int64 `json:"reboot_generation,omitempty"`
	// DriveGeneration counts how often the config drive was asked to be made
	// anew; the node keeps which it did.
	DriveGeneration int64 `json:"drive_generation,omitempty"`
	// RebuildGeneration counts asked-for rebuilds; the node reports which it
	// did.
	RebuildGeneration int64 `json:"rebuild_generation,omitempty"`
	Deleting          bool  `json:"deleting,omitempty"`
	// What the node reported.
	State      InstanceState `json:"state"`
	Fault      string        `json:"fault,omitempty"`
	DoneReboot int64         `json:"done_reboot,omitempty"`
	// DoneRebuild is the last rebuild that was done, or failed.
	DoneRebuild int64     `json:"done_rebuild,omitempty"`
	LaunchedAt  time.Time `json:"launched_at"`
}

// Device is a piece of a server's hardware that its guest is to recognise.
// nova: objects/virt_device_metadata.py.
type Device struct {
	VLAN      int    `json:"vlan,omitempty"`
	VFTrusted *bool  `json:"vf_trusted,omitempty"`
	Type      string `json:"type"` // nic, disk, share
	MAC       string `json:"mac,omitempty"`
	Serial    string `json:"serial,omitempty"`
	Path      string `json:"path,omitempty"`
	ShareID   string `json:"share_id,omitempty"`
	Tag       string `json:"tag,omitempty"` // of a share: what it is mounted by
	Bus       string `json:"bus"`           // pci, usb, scsi, ide, xen, none
	Address   string `json:"address"`
	// Tags are told when they are not nil.
	Tags []string `json:"tags,omitzero"`
}

// InjectedFile is a personality file: written into the system once per instance.
// Only the config drive carries it.
type InjectedFile struct {
	Path string `json:"path"`
	Blob Digest `json:"blob"`
	Size int64  `json:"size"`
}

// Power is the wanted power state.
type Power string

// The power states.
const (
	PowerOn  Power = "on"
	PowerOff Power = "off"
)

func (s *Server) Kind() RecordKind { return KindServer }
func (s *Server) ID() string       { return string(s.ServerID) }

// Claims: the number is unique, so that EC2 ids are.
func (s *Server) Claims() []Claim {
	return []Claim{claim("server-number", strconv.FormatInt(s.Number, 10))}
}

// Node is a machine that runs agents.
type Node struct {
	Meta
	Name string `json:"name"`
	// Network says that the node runs the routers and DHCP of every network.
	Network bool `json:"network"`
	// Compute says that the node takes servers.
	Compute bool `json:"compute"`
	// AvailabilityZone of its servers.
	AvailabilityZone string `json:"availability_zone"`
	// ForceConfigDrive gives every new server of the node a config drive
	// (nova.conf force_config_drive).
	ForceConfigDrive bool `json:"force_config_drive,omitempty"`
}

func (n *Node) Kind() RecordKind { return KindNode }
func (n *Node) ID() string       { return n.Name }
func (n *Node) Claims() []Claim  { return nil }
