package datasource

import (
	"encoding/json"
	"fmt"

	"imprint/base/cloudconfig"
	"imprint/guest/netstate"
)

// Instance is everything that one source found. It is a plain value; it is
// kept as JSON between the stages of a boot.
type Instance struct {
	// Name is the source's: NoCloud, ConfigDrive, OpenStack, Ec2, AliYun, None.
	Name string `json:"name"`
	// Class is the source's name in status.json and logs, as cloud-init has
	// it: DataSourceOpenStack, or DataSourceOpenStackLocal if it was read
	// before there was a network.
	Class string `json:"class"`
	// Mode is net or local: the stage in which the data are applied; Version is
	// the metadata format's. Empty and zero for sources that do not tell.
	Mode    string `json:"mode,omitempty"`
	Version int    `json:"version,omitempty"`

	CloudName   string `json:"cloud_name"`
	Platform    string `json:"platform"`
	Subplatform string `json:"subplatform"`
	// URL is the metadata address that answered; Drive is the device, or the
	// directory, that a config drive was read from; Seed is where NoCloud's
	// data came from, as cloud-init says it.
	URL   string `json:"url,omitempty"`
	Drive string `json:"drive,omitempty"`
	Seed  string `json:"seed,omitempty"`

	InstanceID string `json:"instance_id"`
	// LocalHostname is the host name without domain, FQDN the same with it if
	// there is one. Both are empty if the source knows none.
	LocalHostname    string   `json:"local_hostname,omitempty"`
	FQDN             string   `json:"fqdn,omitempty"`
	PublicKeys       []string `json:"public_keys,omitempty"` // SSH, one line each
	AvailabilityZone string   `json:"availability_zone,omitempty"`
	Region           string   `json:"region,omitempty"`

	// MetaData is the source's own document, with cloud-init's instance-id
	// and local-hostname added; EC2 is the EC2 tree, nil if it was not read.
	MetaData *cloudconfig.Node `json:"meta_data,omitempty"`
	EC2      *cloudconfig.Node `json:"ec2_metadata,omitempty"`
	// Identity is Amazon's document on the instance, APIVersion that of the
	// service in EC2's manner; nil and empty elsewhere.
	Identity   *cloudconfig.Node `json:"identity_document,omitempty"`
	APIVersion string            `json:"api_version,omitempty"`
	// NetworkConfig is the configuration in one of cloud-init's own forms,
	// version 1 or 2; nil if the source has none. NetworkData is
	// network_data.json as it came. Interfaces is an older form of it, that of
	// interfaces(5). Of these the first counts.
	NetworkConfig *cloudconfig.Node `json:"network_config,omitempty"`
	NetworkData   []byte            `json:"network_data,omitempty"`
	Interfaces    []byte            `json:"interfaces,omitempty"`
	// Files are to be written into the system, once, in this order. They are
	// not kept.
	Files []File `json:"-"`

	// UserData as the user gave it; VendorData and VendorData2 in the form of
	// user data, taken out of their JSON.
	UserData    []byte `json:"user_data,omitempty"`
	VendorData  []byte `json:"vendor_data,omitempty"`
	VendorData2 []byte `json:"vendor_data2,omitempty"`

	// Problems are parts that were there and could not be used.
	Problems []string `json:"problems,omitempty"`
	// Tries are the requests that were made.
	Tries []Try `json:"tries,omitempty"`
}

// File is one to be written into the system.
type File struct {
	Path string // as the user gave it: relative ones are meant from /
	Data []byte
}

// String is how cloud-init names a source in status.json:
// "DataSourceOpenStackLocal [net,ver=2]",
// "DataSourceConfigDrive [net,ver=2][source=/dev/sr0]".
func (i *Instance) String() string {
	switch {
	case i.Seed != "":
		return fmt.Sprintf("%s [seed=%s][dsmode=%s]", i.Class, i.Seed, i.Mode)
	case i.Version == 0:
		return i.Class
	case i.Drive != "":
		return fmt.Sprintf("%s [%s,ver=%d][source=%s]", i.Class, i.Mode, i.Version, i.Drive)
	}
	return fmt.Sprintf("%s [%s,ver=%d]", i.Class, i.Mode, i.Version)
}

// Network is the configuration that the instance asks for, for a system with
// these NICs; nil without an error if it says nothing of it. The problems are
// parts that were left out.
func (i *Instance) Network(nics []netstate.NIC) (state *netstate.State, problems []string, err error) {
	if i == nil {
		return nil, nil, nil
	}
	doc, problems := i.networkConfig(nics)
	switch {
	case i.NetworkDisabled():
		return &netstate.State{}, nil, nil
	case doc != nil:
		data, err := json.Marshal(doc)
		if err != nil {
			return nil, problems, err
		}
		state, more, err := netstate.FromConfig(data, nics)
		return state, append(problems, more...), err
	case len(i.NetworkData) > 0:
		return netstate.FromNetworkData(i.NetworkData, nics)
	case len(i.Interfaces) > 0:
		return netstate.FromInterfaces(i.Interfaces, nics)
	}
	return nil, nil, nil
}

// NetworkDisabled tells that the instance asks for the network to be left alone;
// its Network is an empty one then.
// cloud-init 22.4: stages.py, _find_networking_config.
func (i *Instance) NetworkDisabled() bool { return text(i.NetworkConfig, "config") == "disabled" }

// networkConfig is the configuration in one of cloud-init's forms.
func (i *Instance) networkConfig(nics []netstate.NIC) (*cloudconfig.Node, []string) {
	if i.NetworkConfig == nil && i.Name == "Ec2" {
		return ec2Network(i.MetaData, nics)
	}
	return i.NetworkConfig, nil
}

// Line is the content of the file datasource in the instance's directory.
func (i *Instance) Line() string { return i.Class + ": " + i.String() }
