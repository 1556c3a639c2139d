package datasource

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/base/vfat"
	"imprint/guest/datasource/identify"
)

// Gather looks at a machine: small files, and the first sectors of each disk.
// What cannot be read is not there. Nothing is asked over the network, and
// nothing is run.
func Gather(env Env) identify.Evidence {
	if env.Root == nil {
		return identify.Evidence{Arch: env.arch()}
	}
	g := gatherer{root: env.Root, dirs: map[string][]fs.DirEntry{}}
	e := identify.Evidence{
		Arch: env.arch(), KernelVersion: kernelVersion(), HypervisorUUID: g.line("/sys/hypervisor/uuid"),
		DMI: identify.DMI{
			BoardName: dmi(g.root, "board_name"), ChassisAssetTag: dmi(g.root, "chassis_asset_tag"),
			ProductName: dmi(g.root, "product_name"), ProductSerial: dmi(g.root, "product_serial"),
			ProductUUID: dmi(g.root, "product_uuid"), SysVendor: dmi(g.root, "sys_vendor"),
		},
		InitProduct: initEnv(g.root, "product_name"),
		LXDSocket:   g.mode("/dev/lxd/sock")&fs.ModeSocket != 0, Provisioning: g.provisioning(),
	}
	container := g.line("/run/systemd/container")
	if container == "" {
		container = initEnv(g.root, "container")
	}
	e.Virt = identify.DetectVirt(container, g.line("/sys/hypervisor/type"), e.DMI.ProductName, e.DMI.SysVendor,
		dmi(g.root, "board_vendor"), dmi(g.root, "bios_vendor"), dmi(g.root, "product_version"))
	e.CommandLine = g.line("/proc/cmdline")
	if container != "" {
		e.CommandLine = g.line("/proc/1/cmdline")
	}
	g.files(&e)
	g.settings(&e)
	e.Volumes = volumesOf(env)
	return e
}

func kernelVersion() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Version[:])
}

// gatherer lists each directory once.
type gatherer struct {
	root Files
	dirs map[string][]fs.DirEntry
}

// line is a small file's text, with blanks for NULs.
func (g gatherer) line(name string) string {
	b, err := g.root.ReadFile(name)
	if err != nil || len(b) > 1<<20 {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
}

func (g gatherer) list(dir string) []fs.DirEntry {
	entries, ok := g.dirs[dir]
	if !ok {
		if dir == "/" || g.entry(dir) != nil { // most are not there
			entries, _ = g.root.ReadDir(dir)
		}
		g.dirs[dir] = entries
	}
	return entries
}

func (g gatherer) entry(name string) fs.DirEntry {
	for _, e := range g.list(path.Dir(name)) {
		if e.Name() == path.Base(name) {
			return e
		}
	}
	return nil
}

// mode is the type of a file, fs.ModeIrregular where there is none.
func (g gatherer) mode(name string) fs.FileMode {
	if e := g.entry(name); e != nil {
		return e.Type()
	}
	return fs.ModeIrregular
}

// has tells whether there is a file, perhaps by a link, or a socket.
func (g gatherer) has(name string) bool {
	switch g.mode(name) {
	case 0, fs.ModeSocket:
		return true
	case fs.ModeSymlink:
		_, err := g.root.ReadFile(name)
		return err == nil
	}
	return false
}

func (g gatherer) files(e *identify.Evidence) {
	names := identify.Paths(e.Virt)
	for _, dir := range identify.DriveDirs() {
		for _, version := range g.list(dir + "/openstack") {
			names = append(names, path.Join(dir, "openstack", version.Name(), "meta_data.json"))
		}
	}
	for _, name := range names {
		if g.has(name) && !slices.Contains(e.Files, name) {
			e.Files = append(e.Files, name)
		}
	}
}

func (g gatherer) settings(e *identify.Evidence) {
	files := []string{identify.CloudConfig}
	for _, entry := range g.list(identify.CloudConfigDir) {
		if strings.HasSuffix(entry.Name(), ".cfg") {
			files = append(files, path.Join(identify.CloudConfigDir, entry.Name()))
		}
	}
	slices.Sort(files[1:])
	for _, name := range files {
		if b, err := g.root.ReadFile(name); err == nil {
			e.Settings = append(e.Settings, identify.ReadSettings(name, b)...)
		}
	}
	if b, err := g.root.ReadFile(identify.IdentityConfig); err == nil {
		e.Identity = identify.ReadIdentity(b)
	}
}

// provisioning: IBM's own system is making the machine in this boot.
// cloud-init 22.4: tools/ds-identify, is_ibm_provisioning.
func (g gatherer) provisioning() bool {
	if !g.has("/root/provisioningConfiguration.cfg") {
		return false
	}
	log, boot := g.entry("/root/swinstall.log"), g.entry("/proc/1/environ")
	if log == nil || boot == nil {
		return log == nil
	}
	written, err := log.Info()
	started, err2 := boot.Info()
	return err == nil && err2 == nil && written.ModTime().After(started.ModTime())
}

// volumesOf are the file systems of all disks that can be told by their first
// sectors.
func volumesOf(env Env) (out []identify.Volume) {
	for name, disk := range openDisks(env) {
		if v, ok := identityOf(name, disk); ok {
			out = append(out, v)
		}
	}
	return out
}

func identityOf(name string, disk Disk) (identify.Volume, bool) {
	if label, ok := isoLabel(disk); ok {
		return identify.Volume{Device: name, Type: "iso9660", Labels: []string{label}, OVF: holdsOVF(name, label, disk)}, true
	}
	said := fatLabels(disk)
	if len(said) == 0 {
		return identify.Volume{}, false
	}
	volume, err := vfat.Open(disk, disk.Size())
	if err != nil {
		return identify.Volume{Device: name, Type: "vfat", Labels: said}, true
	}
	v := identify.Volume{Device: name, Type: "vfat"}
	if id := volume.VolumeID(); id != 0 {
		v.UUID = fmt.Sprintf("%04X-%04X", id>>16, id&0xffff)
	}
	for _, label := range append([]string{volume.Label()}, said[bootLabel(volume.Type())]) {
		if label != "" && label != "NO NAME" {
			v.Labels = append(v.Labels, label)
		}
	}
	return v, true
}

// maxOVF is the size from which on a volume is no OVF environment.
const maxOVF = 10 << 20

// holdsOVF looks for the name of OVF's schema in a small optical volume whose
// label does not say what it is.
func holdsOVF(name, label string, disk Disk) bool {
	switch strings.ToLower(label) {
	case "config-2", "cidata":
		return false
	}
	if strings.HasPrefix(label, "rd_rdfe_stable") || !identify.IsOptical(name) || disk.Size() >= maxOVF {
		return false
	}
	b := make([]byte, disk.Size())
	n, _ := disk.ReadAt(b, 0)
	return bytes.Contains(bytes.ToLower(b[:n]), []byte("http://schemas.dmtf.org/ovf/environment/1"))
}
