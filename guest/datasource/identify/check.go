package identify

import (
	"fmt"
	"slices"
	"strings"
)

// check looks for one source. A name without a check here is not found, as in
// ds-identify.
func (e Evidence) check(source string) Check {
	c := Check{Source: source, Verdict: NotFound, Reason: "nothing of it is here"}
	switch source {
	case none:
		c.Reason = "it is used where nothing else is found"
	case "NoCloud":
		e.noCloud(&c)
	case "ConfigDrive":
		e.configDrive(&c)
	case "OpenStack":
		e.openStack(&c)
	case "Ec2":
		e.ec2(&c)
	case "AliYun":
		e.seed(&c, "AliYun", "meta-data", "user-data")
		e.dmi(&c, "product name", e.DMI.ProductName, "Alibaba Cloud ECS")
	case "AltCloud":
		c.Reason = "ds-identify 22.4 has a check that cannot succeed"
	case "Bigstep":
		e.file(&c, "/var/lib/cloud/data/seed/bigstep/url")
	case "CloudSigma":
		e.dmi(&c, "product name", e.DMI.ProductName, "CloudSigma")
	case "CloudStack":
		e.dmi(&c, "product name", e.DMI.ProductName, "CloudStack*")
	case "Exoscale":
		e.dmi(&c, "product name", e.DMI.ProductName, "Exoscale*")
	case "DigitalOcean", "Hetzner", "NWCS", "UpCloud":
		e.dmi(&c, "system vendor", e.DMI.SysVendor, source)
	case "GCE":
		e.dmi(&c, "product name", e.DMI.ProductName, "Google Compute Engine")
		e.dmi(&c, "product serial", e.DMI.ProductSerial, "GoogleCloud-*")
	case "Oracle":
		e.dmi(&c, "chassis asset tag", e.DMI.ChassisAssetTag, "OracleCloud.com")
	case "RbxCloud":
		e.volume(&c, "CLOUDMD", "cloudmd")
	case "OpenNebula":
		e.seed(&c, "opennebula", "meta-data")
		e.volume(&c, "CONTEXT", "CDROM")
	default:
		e.checkRare(&c)
	}
	return c
}

// checkRare are the checks that need more than a table.
func (e Evidence) checkRare(c *Check) {
	switch c.Source {
	case "Azure":
		e.azure(c)
	case "IBMCloud":
		e.ibm(c)
	case "LXD":
		e.lxd(c)
	case "MAAS":
		e.maas(c)
	case "OVF":
		e.ovf(c)
	case "Scaleway":
		if e.DMI.SysVendor == c.Source {
			c.identified("DMI system vendor is Scaleway")
		}
		e.commandLine(c, "scaleway ")
		e.file(c, "/var/run/scaleway")
	case "SmartOS":
		e.dmi(c, "product name", e.DMI.ProductName, "SmartDC*")
		if e.KernelVersion == "BrandZ virtual linux" && e.has("/native/.zonecontrol/metadata.sock") {
			c.found("the kernel is a SmartOS zone's")
		}
	case "VMware":
		c.Reason = "guestinfo is not asked for"
	case "Vultr":
		e.dmi(c, "system vendor", e.DMI.SysVendor, "Vultr")
		e.commandLine(c, "vultr ")
		e.file(c, "/etc/vultr")
	default:
		c.Reason = "there is no such data source"
	}
}

// found takes the first thing that was found.
func (c *Check) found(format string, args ...any) {
	if c.Verdict != Found {
		c.Verdict, c.Reason = Found, fmt.Sprintf(format, args...)
	}
}

// identified is found by what the machine itself says.
func (c *Check) identified(format string, args ...any) {
	c.Identity = true
	c.found(format, args...)
}

// dmi compares a DMI value, which in a container is the host's.
func (e Evidence) dmi(c *Check, what, have, want string) {
	if !e.container() && matches(have, want) {
		c.identified("DMI %s is %q", what, have)
	}
}

func (e Evidence) file(c *Check, name string) {
	if e.has(name) {
		c.found("there is %s", name)
	}
}

func (e Evidence) seed(c *Check, dir string, files ...string) {
	if e.seeded(seeds+dir, files...) {
		c.found("there is a seed in %s%s", seeds, dir)
	}
}

func (e Evidence) volume(c *Check, labels ...string) {
	if label, device, ok := e.labelled(labels...); ok {
		c.found("%s has the label %s", device, label)
	}
}

func (e Evidence) commandLine(c *Check, word string) {
	if e.word(word) {
		c.found("the kernel command line has %s", strings.TrimSpace(word))
	}
}

func (e Evidence) noCloud(c *Check) {
	const word = "ds=nocloud"
	e.commandLine(c, word)
	if strings.Contains(" "+e.DMI.ProductSerial, " "+word) {
		c.identified("the DMI product serial has %s", word)
	}
	for _, dir := range []string{"nocloud", "nocloud-net"} {
		e.seed(c, dir, "meta-data", "user-data")
		if e.seeded(writable+seeds+dir, "meta-data", "user-data") {
			c.found("there is a seed in %s%s%s", writable, seeds, dir)
		}
	}
	e.volume(c, "cidata", "CIDATA")
	at, configured := e.setting(c.Source)
	for _, key := range []string{"user-data", "meta-data"} {
		_, ok := e.setting(key)
		configured = configured && ok
	}
	if configured {
		c.found("%s has its data", at.File)
	}
}

// configDrive is check_configdrive_v2; there is no check for version 1.
func (e Evidence) configDrive(c *Check) {
	if dir, ok := e.driveDir(); ok {
		c.found("there is a config drive in %s", dir)
		return
	}
	if enabled, _ := e.datasourceList(); slices.Contains(enabled, "IBMCloud") && e.ofIBM() {
		c.Reason = "the drive, if there is one, is IBM Cloud's"
		return
	}
	e.volume(c, "CONFIG-2", "config-2")
}

func (e Evidence) driveDir() (string, bool) {
	for _, dir := range DriveDirs() {
		for _, f := range e.Files {
			rest, ok := strings.CutPrefix(f, dir+"/openstack/")
			version, name, _ := strings.Cut(rest, "/")
			dated := len(version) == 10 && version[0] == '2' && version[4] == '-' && version[7] == '-'
			if ok && name == "meta_data.json" && (dated || dir != "/config-drive" && version == "latest") {
				return dir, true
			}
		}
	}
	return "", false
}

// openStack is the metadata service, for which nobody looks where there is a
// config drive. Departing from ds-identify, the machine's identity is told all
// the same: a drive may leave the instance's data to others.
func (e Evidence) openStack(c *Check) {
	const nova, compute = "OpenStack Nova", "OpenStack Compute"
	for _, name := range []string{nova, compute} {
		e.dmi(c, "product name", e.DMI.ProductName, name)
	}
	if e.InitProduct == nova {
		c.identified("the first process has product_name=%s", nova)
	}
	for _, tag := range []string{"OpenTelekomCloud", "SAP CCloud VM", "HUAWEICLOUD", nova, compute} {
		e.dmi(c, "chassis asset tag", e.DMI.ChassisAssetTag, tag)
	}
	if drive := e.check("ConfigDrive"); drive.Verdict == Found {
		c.Verdict, c.Reason = NotFound, "not looked for: "+drive.Reason
		return
	}
	if c.Verdict == NotFound && !isPC(e.Arch) {
		c.Verdict, c.Reason = Maybe, "machines of this architecture may have no DMI values"
	}
}
