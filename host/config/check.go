package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	prefix   = regexp.MustCompile(`^[a-z0-9-]{0,8}$`)
	treeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	// ec2Version is what a version of the EC2 tree looks like.
	ec2Version = regexp.MustCompile(`^(1\.0|20\d\d-\d\d-\d\d|latest)$`)
)

// check reports the first value that is out of range, by its key.
func (c *Config) check() error {
	for _, check := range []func() error{c.checkNames, c.checkAddresses, c.checkNumbers, c.checkTrees, c.checkDrive, c.checkLog} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkNames() error {
	names := []struct {
		key, value string
		empty      bool
	}{
		{"node.name", c.Node.Name, true},
		{"node.availability_zone", c.Node.AvailabilityZone, false},
		{"api.region", c.API.Region, false},
		{"metadata.dhcp_domain", c.Metadata.DHCPDomain, true},
		{"dhcp.domain", c.DHCP.Domain, true},
	}
	for _, n := range names {
		if n.value == "" && n.empty {
			continue
		}
		if len(n.value) > 255 || !hostName.MatchString(n.value) {
			return fmt.Errorf("%s: %q is not a name of letters, digits, dots and dashes", n.key, n.value)
		}
	}
	if !prefix.MatchString(c.Network.Prefix) {
		return fmt.Errorf("network.name_prefix: %q is not at most 8 lower-case letters, digits or dashes", c.Network.Prefix)
	}
	return nil
}

func (c *Config) checkAddresses() error {
	listen, err := netip.ParseAddr(c.API.Listen)
	if err != nil {
		return fmt.Errorf("api.listen: %q is not an IP address", c.API.Listen)
	}
	if !listen.IsLoopback() {
		return fmt.Errorf("api.listen: %s is not a loopback address, and the services have no TLS", listen)
	}
	for _, l := range []struct{ key, address string }{{"store.listen", c.Store.Listen}, {"nodes.listen", c.Nodes.Listen}} {
		if _, err := netip.ParseAddr(l.address); err != nil {
			return fmt.Errorf("%s: %q is not an IP address", l.key, l.address)
		}
	}
	if s := c.Metadata.ProxySocket; s != "" && (!filepath.IsAbs(s) || len(s) > maxSocketPath) {
		return fmt.Errorf("metadata.proxy_socket: %q is not an absolute path of at most %d bytes", s, maxSocketPath)
	}
	return c.checkPorts()
}

// maxSocketPath bounds the path of a unix socket in bytes. unix(7)
const maxSocketPath = 107

func (c *Config) checkPorts() error {
	ports := []struct {
		key  string
		port int
	}{
		{"api.identity_port", c.API.Identity}, {"api.compute_port", c.API.Compute},
		{"api.image_port", c.API.Image}, {"api.network_port", c.API.Network}, {"metadata.port", c.Metadata.Port},
		{"store.port", c.Store.Port}, {"nodes.port", c.Nodes.Port},
	}
	taken := map[int]string{}
	for _, p := range ports {
		if p.port < 1 || p.port > 65535 {
			return fmt.Errorf("%s: %d is not a TCP port", p.key, p.port)
		}
		if other, ok := taken[p.port]; ok {
			return fmt.Errorf("%s: %d is %s already", p.key, p.port, other)
		}
		taken[p.port] = p.key
	}
	return nil
}

func (c *Config) checkNumbers() error {
	numbers := []struct {
		key              string
		value, low, high int64
	}{
		{"metadata.proxy_user", int64(c.Metadata.ProxyUser), 1, 1<<31 - 1},
		{"dhcp.user", int64(c.DHCP.User), 1, 1<<31 - 1},
		{"dhcp.lease_seconds", int64(c.DHCP.LeaseSeconds), 60, 1<<31 - 1},
		{"network.mtu", int64(c.Network.MTU), 1280, 65535},
		{"compute.max_processes", int64(c.Compute.PIDs), 16, 1 << 22},
		{"api.max_image_size", c.API.MaxImage, 1, 1 << 50},
	}
	for _, n := range numbers {
		if n.value < n.low || n.value > n.high {
			return fmt.Errorf("%s: %d is not between %d and %d", n.key, n.value, n.low, n.high)
		}
	}
	if c.Metadata.ProxyUser == c.DHCP.User {
		return fmt.Errorf("dhcp.user: %d is metadata.proxy_user already", c.DHCP.User)
	}
	return nil
}

func (c *Config) checkTrees() error {
	for name, dir := range c.Compute.Trees {
		if !treeName.MatchString(name) || name == HostTree {
			return fmt.Errorf("compute.trees: %q cannot be the name of a tree", name)
		}
		if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
			return fmt.Errorf("compute.trees.%s: %q is not an absolute path below /", name, dir)
		}
	}
	return nil
}

func (c *Config) checkDrive() error {
	if f := c.Compute.DriveFormat; f != "iso9660" && f != "vfat" {
		return fmt.Errorf("compute.config_drive_format: %q is not iso9660 or vfat", f)
	}
	for _, v := range strings.Fields(c.Compute.DriveSkips) {
		if !ec2Version.MatchString(v) {
			return fmt.Errorf("compute.config_drive_skip_versions: %q is not a version of the EC2 tree", v)
		}
	}
	return nil
}

func (c *Config) checkLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format: %q is not text or json", c.Log.Format)
	}
	return nil
}

// HostTree is the name of the built-in tree: the machine's own /usr.
const HostTree = "host"
