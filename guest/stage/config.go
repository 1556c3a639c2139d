package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// builtin is the configuration of a system without /etc/cloud: what Debian
// 12's cloud image has there.
const builtin = `
users: [default]
disable_root: true
preserve_hostname: false
vendor_data: {enabled: true}
vendor_data2: {enabled: true}
output: {all: '| tee -a /var/log/cloud-init-output.log'}
system_info:
  distro: debian
  default_user:
    name: debian
    lock_passwd: true
    gecos: Debian
    groups: [adm, audio, cdrom, dialout, dip, floppy, netdev, plugdev, sudo, video]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
`

const (
	systemConfig    = "/etc/cloud/cloud.cfg"
	systemConfigDir = "/etc/cloud/cloud.cfg.d"
	runConfig       = clouddir.RunDir + "/cloud.cfg"
)

// SystemConfig reads the configuration of the system itself: the kernel command
// line (cc: … end_cc) over /run over cloud.cfg.d, in which a later name wins,
// over cloud.cfg over what is built in. A file that cannot be read is left out; the error tells which, and the
// configuration is good all the same. cloud-init: stages.py fetch_base_config.
func SystemConfig(root *rootfs.Root, more ...string) (*cloudconfig.Node, error) {
	base, err := cloudconfig.ParseMap([]byte(builtin))
	if err != nil {
		return nil, fmt.Errorf("read built-in configuration: %w", err)
	}
	var layers []*cloudconfig.Node
	var errs []error
	for _, name := range more {
		if n, err := readConfig(root, name); err != nil {
			errs = append(errs, err)
		} else if n != nil {
			layers = append(layers, n)
		}
	}
	if n, err := commandLine(root); err != nil {
		errs = append(errs, err)
	} else if n != nil {
		layers = append(layers, n)
	}
	for _, name := range slices.Backward(configFiles(root)) {
		n, err := readConfig(root, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if n != nil {
			layers = append(layers, n)
		}
	}
	layers = append(layers, base)
	merged, err := cloudconfig.Combine(layers...)
	if err != nil {
		return base, errors.Join(append(errs, err)...)
	}
	return merged, errors.Join(errs...)
}

// configFiles are the files of the configuration in their order.
func configFiles(root *rootfs.Root) []string {
	files, dir := []string{systemConfig}, systemConfigDir
	if n, err := readConfig(root, systemConfig); err == nil && n.Has("conf_d") {
		dir, _ = n.Text("conf_d")
		dir = strings.TrimSpace(dir)
	}
	if entries, err := root.ReadDir(dir); err == nil && dir != "" {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".cfg") {
				files = append(files, path.Join(dir, e.Name()))
			}
		}
	}
	return append(files, runConfig)
}

// commandLine is the configuration on the kernel's command line:
// "cc: YAML end_cc", several of them, URL-encoded or with \n for a new line.
// cloud-init: util.py read_cc_from_cmdline.
func commandLine(root *rootfs.Root) (*cloudconfig.Node, error) {
	data, err := root.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, nil // a system that does not run has none
	}
	var texts []string
	for rest := string(data); ; {
		_, after, ok := strings.Cut(rest, "cc:")
		if !ok {
			break
		}
		text, next, _ := strings.Cut(after, "end_cc")
		if plain, err := url.PathUnescape(strings.TrimLeft(text, " \t")); err == nil {
			text = plain
		}
		texts = append(texts, strings.ReplaceAll(text, `\n`, "\n"))
		rest = next
	}
	if len(texts) == 0 {
		return nil, nil
	}
	n, err := cloudconfig.ParseMap([]byte(strings.Join(texts, "\n")))
	if err != nil {
		return nil, fmt.Errorf("read configuration on the kernel command line: %w", err)
	}
	return n, nil
}

// readConfig reads one file; nil without an error means that there is nothing
// in it.
func readConfig(root *rootfs.Root, name string) (*cloudconfig.Node, error) {
	data, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	n, err := cloudconfig.Parse(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case n.IsNull():
		return nil, nil
	case n.Kind != cloudconfig.KindMap:
		return nil, fmt.Errorf("read %s: expected a map", name)
	}
	return n, nil
}

// Files of the instance that hold the merged cloud-config of one origin.
const (
	userConfig    = "cloud-config.txt"
	vendor2Config = "vendor2-cloud-config.txt"
	vendorConfig  = "vendor-cloud-config.txt"
)

// config is the whole configuration: the user's over the vendor's over the
// system's.
func (b *Boot) config() *cloudconfig.Node {
	system := b.systemConfig()
	var layers []*cloudconfig.Node
	files := slices.Clone(b.Files)
	for _, name := range []string{userConfig, vendor2Config, vendorConfig} {
		files = append(files, path.Join(clouddir.InstanceLink, name))
	}
	for _, name := range files {
		n, err := readConfig(b.Root, name)
		if err != nil {
			b.Log.Warn(err.Error())
		}
		if n != nil {
			layers = append(layers, n)
		}
	}
	layers = append(layers, system)
	merged, err := cloudconfig.Combine(layers...)
	if err != nil {
		b.Log.Warn("merge configuration: " + err.Error())
		return system
	}
	return merged
}

func (b *Boot) systemConfig() *cloudconfig.Node {
	n, err := SystemConfig(b.Root, b.Files...)
	if err != nil {
		b.Log.Warn(err.Error())
	}
	return n
}
