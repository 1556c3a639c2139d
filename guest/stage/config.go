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

// Configs reads the system's configuration, each version of a file once. Root
// must be set. It is not safe for concurrent use.
type Configs struct {
	Root *rootfs.Root
	// Files are read beside the usual ones and come before them, the first
	// before the second.
	Files []string

	builtin *cloudconfig.Node
	parsed  map[string]parsedFile
}

// parsedFile is what a file's content came to.
type parsedFile struct {
	text string
	node *cloudconfig.Node
}

// System reads the configuration of the system itself: the kernel command
// line (cc: … end_cc) over /run over cloud.cfg.d, in which a later name wins,
// over cloud.cfg over what is built in. A file that cannot be read is left out;
// the error tells which, and the configuration is good all the same.
// cloud-init: stages.py fetch_base_config.
func (c *Configs) System() (*cloudconfig.Node, error) {
	if c.builtin == nil {
		n, err := cloudconfig.ParseMap([]byte(builtin))
		if err != nil {
			return nil, fmt.Errorf("read built-in configuration: %w", err)
		}
		c.builtin = n
	}
	layers, errs := c.read(c.Files)
	if n, err := commandLine(c.Root); err != nil {
		errs = append(errs, err)
	} else if n != nil {
		layers = append(layers, n)
	}
	names := c.names()
	slices.Reverse(names)
	more, bad := c.read(names)
	errs = append(errs, bad...)
	merged, err := cloudconfig.Combine(append(append(layers, more...), c.builtin)...)
	if err != nil {
		return c.builtin, errors.Join(append(errs, err)...)
	}
	return merged, errors.Join(errs...)
}

// read reads files, those that say something.
func (c *Configs) read(names []string) (layers []*cloudconfig.Node, errs []error) {
	for _, name := range names {
		n, err := c.file(name)
		if err != nil {
			errs = append(errs, err)
		} else if n != nil {
			layers = append(layers, n)
		}
	}
	return layers, errs
}

// names are the files of the configuration in their order.
func (c *Configs) names() []string {
	files, dir := []string{systemConfig}, systemConfigDir
	if n, err := c.file(systemConfig); err == nil && n.Has("conf_d") {
		dir, _ = n.Text("conf_d")
		dir = strings.TrimSpace(dir)
	}
	if entries, err := c.Root.ReadDir(dir); err == nil && dir != "" {
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
	var texts []string
	for rest := CommandLine(root); ; {
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

// file reads one file; nil without an error means that there is nothing in it.
func (c *Configs) file(name string) (*cloudconfig.Node, error) {
	data, err := c.Root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if p, ok := c.parsed[name]; ok && p.text == string(data) {
		return p.node, nil
	}
	n, err := cloudconfig.Parse(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case n.IsNull():
		n = nil
	case n.Kind != cloudconfig.KindMap:
		return nil, fmt.Errorf("read %s: expected a map", name)
	}
	if c.parsed == nil {
		c.parsed = map[string]parsedFile{}
	}
	c.parsed[name] = parsedFile{string(data), n}
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
	files := slices.Clone(b.Configs.Files)
	for _, name := range []string{userConfig, vendor2Config, vendorConfig} {
		files = append(files, path.Join(clouddir.InstanceLink, name))
	}
	layers, errs := b.Configs.read(files)
	for _, err := range errs {
		b.Log.Warn(err.Error())
	}
	merged, err := cloudconfig.Combine(append(layers, system)...)
	if err != nil {
		b.Log.Warn("merge configuration: " + err.Error())
		return system
	}
	return merged
}

func (b *Boot) systemConfig() *cloudconfig.Node {
	if b.Configs == nil {
		b.Configs = &Configs{Root: b.Root}
	}
	n, err := b.Configs.System()
	if err != nil {
		b.Log.Warn(err.Error())
	}
	return n
}
