package openstack

// Types of a [Device].
const (
	DeviceNIC   = "nic"
	DeviceDisk  = "disk"
	DeviceShare = "share" // since Epoxy
)

// Device is an entry of meta_data.json's devices: what the user marked with a
// tag, and NICs with a VLAN. The order of the fields is the document's.
// nova: api/metadata/base.py, _get_device_metadata.
type Device struct {
	VLAN      int    `json:"vlan,omitempty"`       // of a NIC, since Ocata
	VFTrusted *bool  `json:"vf_trusted,omitempty"` // of a NIC, since Rocky
	Type      string `json:"type"`
	MAC       string `json:"mac,omitempty"`
	Serial    string `json:"serial,omitempty"`
	Path      string `json:"path,omitempty"`
	ShareID   string `json:"share_id,omitempty"`
	Tag       string `json:"tag,omitempty"` // of a share: what it is mounted by
	Bus       string `json:"bus"`           // pci, usb, scsi, ide, xen, none
	Address   string `json:"address"`
	// Tags are absent when nil, not when empty.
	Tags []string `json:"tags,omitzero"`
}

// devices returns what version v tells of all; never nil.
func devices(all []Device, v Version) []Device {
	told := []Device{}
	for _, d := range all {
		switch d.Type {
		case DeviceNIC:
			if d = nic(d, v); d.Tags == nil && d.VLAN == 0 && d.VFTrusted == nil {
				continue
			}
		case DeviceShare:
			if !v.Has(Epoxy) {
				continue
			}
		}
		told = append(told, d)
	}
	return told
}

func nic(d Device, v Version) Device {
	if !v.Has(Ocata) {
		d.VLAN = 0
	}
	if !v.Has(Rocky) {
		d.VFTrusted = nil
	} else if d.VFTrusted == nil {
		d.VFTrusted = new(bool)
	}
	return d
}
