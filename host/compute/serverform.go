package compute

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Limits of what a launch may carry. nova: quota.py and
// api/openstack/compute/schemas/servers.py, 26.2.2.
const (
	maxUserData    = 65535 // characters of base64
	maxMetadata    = 128   // items
	maxFiles       = 5
	maxFileContent = 10 << 10 // bytes
	maxFilePath    = 255
	maxAtOnce      = 100 // servers of one request
	maxNICs        = 16
)

var (
	metadataKey  = regexp.MustCompile(`^[a-zA-Z0-9_:. -]+$`)
	hostnameForm = regexp.MustCompile(`^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$`)
)

// serverForm is what a request for servers asks.
type serverForm struct {
	name, hostname, description string
	image                       cloud.ImageID
	flavor, key                 string
	userData                    []byte
	files                       []file
	metadata                    map[string]string
	configDrive                 bool
	place                       place
	groups                      []string
	nics                        []nic
	networks                    string // "none", "auto", "" for the only one, "list" for nics
	min, max                    int
	onlyReservation             bool
}

// file is a personality file before its bytes are kept.
type file struct {
	path     string
	contents []byte
}

// nic is a network interface that was asked for.
type nic struct {
	network cloud.NetworkID
	port    cloud.PortID
	wish    cloud.FixedIP
}

func readServer(req *api.Request) (*serverForm, error) {
	root, err := req.Object("")
	if err != nil {
		return nil, err
	}
	root.Require("server")
	root.Refuse("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints")
	o := root.Object("server")
	o.Require("name", "flavorRef")
	f := &serverForm{name: o.Name("name", 255), flavor: lastPart(o.Text("flavorRef", 1, 512)), key: o.Text("key_name", 1, 255),
		configDrive: o.Bool("config_drive", false), onlyReservation: o.Bool("return_reservation_id", false)}
	f.readImage(o)
	f.readCounts(o)
	f.userData = readBase64(o, "user_data", maxUserData)
	f.readGuest(o, req.Version)
	f.readNetworks(o, req.Version)
	for _, g := range o.Objects("security_groups", maxNICs) {
		g.Require("name")
		f.groups = append(f.groups, g.Text("name", 1, 255))
	}
	o.Enum("OS-DCF:diskConfig", "AUTO", "MANUAL")
	o.Refuse("adminPass", "accessIPv4", "accessIPv6", "tags", "trusted_image_certificates", "block_device_mapping", "host", "hypervisor_hostname")
	f.place, err = parsePlace(o.Text("availability_zone", 1, 255))
	if formErr := o.Err(); formErr != nil {
		return nil, formErr
	}
	return f, err
}

// lastPart is the id at the end of a reference that may be a URL.
func lastPart(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// readImage reads the image, which may also come as the one boot device.
func (f *serverForm) readImage(o *api.Object) {
	f.image = cloud.ImageID(o.UUID("imageRef"))
	devices := o.Objects("block_device_mapping_v2", maxNICs)
	for _, d := range devices {
		d.Enum("source_type", "image")
		d.Enum("destination_type", "local")
		d.Int("boot_index", 0, 0, 0)
		d.Bool("delete_on_termination", true)
		id := cloud.ImageID(d.UUID("uuid"))
		if len(devices) > 1 || (f.image != "" && f.image != id) {
			o.Fail("block_device_mapping_v2", "The image is the only disk that a server can have.")
		}
		f.image = id
	}
	if f.image == "" {
		o.Fail("imageRef", "A server needs an image.")
	}
}

func (f *serverForm) readCounts(o *api.Object) {
	f.min = o.Int("min_count", 1, 1, maxAtOnce)
	f.max = o.Int("max_count", f.min, 1, maxAtOnce)
	if f.min > f.max {
		o.Fail("min_count", "min_count must be <= max_count")
	}
}

// readGuest reads what the guest will be told, user data excepted.
func (f *serverForm) readGuest(o *api.Object, v api.Version) {
	if o.Has("metadata") {
		f.metadata = readPairs(o.Object("metadata"), metadataKey, maxMetadata)
	}
	if !v.AtLeast(2, 57) {
		f.readFiles(o)
	}
	if v.AtLeast(2, 19) {
		f.description = o.Multiline("description", 0, 255)
	}
	if v.AtLeast(2, 90) {
		f.hostname = o.Text("hostname", 2, maxHostname)
		if f.hostname != "" && !hostnameForm.MatchString(f.hostname) {
			o.Fail("hostname", "It may have letters, digits and dashes inside.")
		}
		if f.hostname != "" && f.max > 1 {
			o.Fail("hostname", "One host name cannot be given to several servers.")
		}
	}
}

func (f *serverForm) readFiles(o *api.Object) {
	for _, p := range o.Objects("personality", maxFiles) {
		p.Require("path", "contents")
		f.files = append(f.files, file{path: p.Text("path", 1, maxFilePath), contents: readBase64(p, "contents", 4*maxFileContent)})
		if n := len(f.files[len(f.files)-1].contents); n > maxFileContent {
			p.Fail("contents", "It may have at most %d bytes.", maxFileContent)
		}
	}
}

// readBase64 reads bytes in base64, which may be broken into lines.
func readBase64(o *api.Object, name string, max int) []byte {
	data, err := base64.StdEncoding.DecodeString(o.Multiline(name, 0, max))
	if err != nil {
		o.Fail(name, "It is not valid base64.")
	}
	return data
}

func (f *serverForm) readNetworks(o *api.Object, v api.Version) {
	if v.AtLeast(2, 37) {
		o.Require("networks")
		if o.IsText("networks") {
			f.networks = o.Enum("networks", "none", "auto")
			return
		}
	}
	for _, n := range o.Objects("networks", maxNICs) {
		f.networks = "list"
		asked := nic{port: cloud.PortID(n.UUID("port")), wish: cloud.FixedIP{Addr: n.Addr("fixed_ip")}}
		if asked.port == "" {
			n.Require("uuid")
			asked.network = cloud.NetworkID(n.UUID("uuid"))
		}
		n.Ignore("uuid") // a port says its network itself
		n.Refuse("tag")
		if f.max > 1 && asked.port != "" {
			o.Fail("networks", "A single port cannot be used for several servers.")
		}
		if f.max > 1 && asked.wish.Addr.IsValid() {
			o.Fail("networks", "max_count cannot be greater than 1 if an fixed_ip is specified.")
		}
		if asked.port != "" && slices.ContainsFunc(f.nics, func(n nic) bool { return n.port == asked.port }) {
			o.Fail("networks", "A port can be used once only.")
		}
		f.nics = append(f.nics, asked)
	}
}
