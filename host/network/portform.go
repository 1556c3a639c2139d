package network

import (
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

const maxFixedIPs = 16

// portForm is what a request says of a port.
type portForm struct {
	o         *api.Object
	ips       []cloud.FixedIP
	hasIPs    bool
	mac       cloud.MAC
	device    string
	owner     string
	hasDevice bool
	hasOwner  bool
	host      string
	hasHost   bool
	options   []dhcpChange
}

// readPort reads a port of project owner.
func readPort(req *api.Request, o *api.Object, owner cloud.ProjectID) (*portForm, error) {
	f := &portForm{o: o, hasIPs: o.Has("fixed_ips")}
	for _, ip := range o.Objects("fixed_ips", maxFixedIPs) {
		w := cloud.FixedIP{SubnetID: cloud.SubnetID(ip.UUID("subnet_id")), Addr: ip.Addr("ip_address")}
		if w.SubnetID == "" && !w.Addr.IsValid() {
			o.Fail("fixed_ips", "IP allocation requires subnet_id or ip_address.")
		}
		f.ips = append(f.ips, w)
	}
	f.readMAC(o)
	f.hasDevice, f.device = o.Has("device_id"), o.Text("device_id", 0, maxText)
	f.hasOwner, f.owner = o.Has("device_owner"), o.Text("device_owner", 0, maxText)
	f.hasHost, f.host = o.Has("binding:host_id"), o.Text("binding:host_id", 0, maxText)
	if !req.Caller.Admin() && (f.hasHost || strings.HasPrefix(f.owner, "network:")) {
		return nil, forbidden("Setting binding:host_id or a device_owner of the network")
	}
	if strings.HasPrefix(f.owner, "network:") {
		o.Fail("device_owner", "Owners that begin with network: are set by the service.")
	}
	f.readSecurity(o, owner)
	f.options = readDHCPOptions(o)
	describe(o, new(string), new(string), new(bool))
	o.Ignore("tenant_id", "project_id")
	o.Refuse("allowed_address_pairs", "binding:profile", "dns_name", "dns_domain", "qos_policy_id",
		"propagate_uplink_status", "numa_affinity_policy", "device_profile", "tags")
	o.Enum("binding:vnic_type", "normal")
	return f, o.Err()
}

func (f *portForm) readMAC(o *api.Object) {
	text := o.Text("mac_address", 0, 64)
	if !o.Has("mac_address") {
		return
	}
	mac, err := cloud.ParseMAC(text)
	switch {
	case err != nil:
		o.Fail("mac_address", "It is not a valid MAC address.")
	case mac.Hardware()[0]&1 != 0 || mac == "00:00:00:00:00:00":
		o.Fail("mac_address", "It must be the address of one station.")
	}
	f.mac = mac
}

// readSecurity takes the only security group there is.
func (f *portForm) readSecurity(o *api.Object, owner cloud.ProjectID) {
	if !o.Bool("port_security_enabled", true) {
		o.Fail("port_security_enabled", "Port security cannot be switched off.")
	}
	if !o.Has("security_groups") {
		return
	}
	groups := o.Texts("security_groups", 16)
	if len(groups) != 1 || groups[0] != defaultGroup(owner) {
		o.Fail("security_groups", "The project's default group is the only one that can be used.")
	}
}

// apply sets what the form says, the addresses excepted.
func (f *portForm) apply(p *cloud.Port) {
	describe(f.o, &p.Name, &p.Description, &p.AdminDown)
	if f.mac != "" {
		p.MAC = f.mac
	}
	if f.hasDevice {
		p.DeviceID = f.device
	}
	if f.hasOwner {
		p.DeviceOwner = f.owner
	}
	if f.hasHost {
		p.Host = f.host
	}
	p.DHCPOptions = applyDHCPOptions(p.DHCPOptions, f.options)
}
