package identify

import "strings"

// EC2Cloud is the cloud in EC2's manner that the machine is of; "" if of none
// that is known. The names are those of instance data.
// cloud-init 22.4: sources/DataSourceEc2.py, identify_platform.
func (e Evidence) EC2Cloud() (cloud, reason string) {
	d := e.DMI
	switch {
	case strings.HasSuffix(d.ProductSerial, ".brightbox.com"):
		return "brightbox", "DMI product serial is of brightbox.com"
	case strings.HasSuffix(d.ChassisAssetTag, ".zstack.io"):
		return "zstack", "DMI chassis asset tag is of zstack.io"
	case d.SysVendor == "e24cloud":
		return "e24cloud", "DMI system vendor is e24cloud"
	case d.ProductName == "3DS Outscale VM" && d.SysVendor == "3DS Outscale":
		return "outscale", "DMI product name is 3DS Outscale VM"
	case strings.HasPrefix(e.HypervisorUUID, "ec2"):
		return "aws", "the hypervisor's UUID starts with ec2"
	case len(d.ProductUUID) >= 3 && strings.EqualFold(d.ProductUUID[:3], "ec2") && strings.EqualFold(d.ProductUUID, d.ProductSerial):
		return "aws", "DMI product UUID and serial are the same and start with ec2"
	}
	return "", "no DMI value is that of a cloud in EC2's manner"
}

func (e Evidence) ec2(c *Check) {
	e.seed(c, "ec2", "meta-data", "user-data")
	if c.Verdict == Found {
		return
	}
	if e.container() {
		c.Reason = "what firmware says in a container is the host's"
		return
	}
	cloud, reason := e.EC2Cloud()
	if cloud != "" {
		c.identified("%s", reason)
		return
	}
	c.Reason = reason
	if strict := e.StrictID(); strict != "true" {
		c.Verdict, c.Reason = Maybe, reason+", and strict_id is "+strict
	}
}

// StrictID is what the system says of sources in EC2's manner that cannot be
// identified: true, false, warn or warn,SECONDS.
func (e Evidence) StrictID() string {
	value := e.strictID()
	seconds, warns := strings.CutPrefix(value, "warn,")
	if value == "true" || value == "false" || value == "warn" || warns && seconds != "" && '0' <= seconds[0] && seconds[0] <= '9' {
		return value
	}
	return "true"
}

func (e Evidence) strictID() string {
	const key = "ci.datasource.ec2.strict_id"
	if strings.Contains(" "+e.CommandLine+" ", " "+key+"=") {
		value, _, _ := strings.Cut(e.CommandLine[strings.LastIndex(e.CommandLine, key+"=")+len(key)+1:], " ")
		return value
	}
	if s, ok := last(e.Settings, "strict_id", ofEC2); ok {
		return s.Value
	}
	for _, s := range e.Identity {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// ofEC2 are the files in which strict_id counts.
func ofEC2(file string) bool {
	name, ok := strings.CutPrefix(file, CloudConfigDir+"/")
	return file == CloudConfig || ok && strings.Contains(strings.ToLower(name), "ec2")
}

// maybeConfig are the lines for sources that are only possible: Ec2's, and an
// empty one for each source after it.
func (e Evidence) maybeConfig(maybe []string) []string {
	text := ""
	for _, name := range maybe {
		if text != "" {
			text += "\n"
		}
		if name == "Ec2" {
			text += `datasource: {Ec2: {strict_id: "` + e.StrictID() + `"}}`
		}
	}
	if text == "" {
		return nil
	}
	return []string{text}
}

// azureChassis is the chassis asset tag of all machines of Azure.
const azureChassis = "7783-7084-3265-9085-8269-3286-77"

func (e Evidence) azure(c *Check) {
	e.dmi(c, "chassis asset tag", e.DMI.ChassisAssetTag, azureChassis)
	e.seed(c, "azure", "ovf-env.xml")
	if e.Virt == "microsoft" {
		e.volume(c, "rd_rdfe_*")
	}
}

func (e Evidence) ofIBM() bool {
	if e.Virt != "xen" {
		return false
	}
	_, _, metadata := e.labelled("METADATA", "metadata")
	_, _, drive := e.labelled("CONFIG-2", "config-2")
	for _, v := range e.Volumes {
		metadata = metadata || drive && v.UUID == "9796-932E"
	}
	return e.Provisioning || metadata
}

func (e Evidence) ibm(c *Check) {
	switch {
	case e.Provisioning:
		c.Reason = "the machine is being provisioned"
	case e.ofIBM():
		c.identified("it is a Xen machine with IBM Cloud's volumes")
	}
}

func (e Evidence) lxd(c *Check) {
	if e.LXDSocket {
		c.found("there is the socket /dev/lxd/sock")
	}
	if (e.Virt == "kvm" || e.Virt == "qemu") && e.DMI.BoardName == "LXD" {
		c.identified("DMI board name is LXD")
	}
}

func (e Evidence) maas(c *Check) {
	const url, name = "cloud-config-url=", "iqn.2004-05.com.ubuntu:maas"
	if e.container() {
		return
	}
	before, after, ok := strings.Cut(e.CommandLine, url)
	if ok && strings.Contains(before+" "+after, name) {
		c.found("the kernel command line is that of MAAS")
	}
	if s, ok := e.setting(c.Source); ok {
		c.found("%s has its settings", s.File)
	}
}

// ovf follows dscheck_OVF. Departing from it, the hypervisor VMware is not
// asked by its own tools.
func (e Evidence) ovf(c *Check) {
	e.seed(c, "ovf", "ovf-env.xml")
	if e.Virt == "none" || !e.container() && e.DMI.ChassisAssetTag == azureChassis {
		return
	}
	for _, v := range e.Volumes {
		if v.isOVF() && !e.container() {
			c.found("%s holds an OVF environment", v.Device)
		}
	}
	if e.Virt == "vmware" && e.customized() {
		c.found("VMware's customization is switched on")
	}
}

func (v Volume) isOVF() bool {
	if v.Type != "iso9660" || !IsOptical(v.Device) || len(v.Labels) == 0 {
		return v.OVF
	}
	switch strings.ToLower(v.Labels[0]) {
	case "ovf-transport", "ovfenv", "ovf env":
		return true
	}
	return v.OVF
}

// IsOptical knows the names of drives in which an OVF environment is looked
// for.
func IsOptical(device string) bool {
	if n, ok := strings.CutPrefix(device, "/dev/sr"); ok {
		return len(n) == 1 && '0' <= n[0] && n[0] <= '9'
	}
	n, ok := strings.CutPrefix(device, "/dev/hd")
	return ok && len(n) == 1 && 'a' <= n[0] && n[0] <= 'z'
}

// pluginPaths are where VMware's tools have what customizes a machine.
func pluginPaths() (out []string) {
	for _, pkg := range []string{"vmware-tools", "open-vm-tools"} {
		for _, lib := range []string{"/usr/lib/", "/usr/lib64/", "/usr/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/"} {
			out = append(out, lib+pkg+"/plugins/vmsvc/libdeployPkgPlugin.so")
		}
	}
	return out
}

func (e Evidence) customized() bool {
	s, ok := e.setting("disable_vmware_customization")
	if !ok || s.Value != "0" && s.Value != "false" && s.Value != "False" {
		return false
	}
	for _, p := range pluginPaths() {
		if e.has(p) {
			return true
		}
	}
	return false
}
