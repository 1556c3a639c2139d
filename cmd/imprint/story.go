package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"imprint/host/cloud"
	"imprint/host/config"
	"imprint/host/container"
)

// story plays an instance's first boots through the public API and looks at
// each outcome from outside.
type story struct {
	*report
	*client
	cloud    *demoCloud
	machines *container.Driver
	stateDir string
	tree     string        // what the image's imprint_tree says
	loginAs  string        // the tree's login user
	conf     config.Config // of the running imprint up

	key     string // path of the private key
	public  string
	flavor  string
	image   string
	network string
	subnet  string
	router  string
}

// bootLimit bounds the wait for one boot.
const bootLimit = 120 * time.Second

// play runs the steps in their order; it ends early only when a request fails,
// because the later steps need its answer.
func (s *story) play(ctx context.Context) error {
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"a key pair, a network without a router, a flavor, an image", s.prepare},
		{"c1 on a network without a router: an address, no metadata", s.isolated},
		{"a router is attached and c1 rebooted: metadata", s.routed},
		{"metadata over the DHCP port, and back", s.forced},
		{"c2 without DHCP, from its config drive", s.drive},
		{"c3 with user data, properties and files", s.userData},
		{"every hop of a metadata request", s.hops},
	} {
		s.step(step.title)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

func (s *story) prepare(ctx context.Context) error {
	for _, make := range []func(context.Context) error{s.makeKey, s.makeNetwork, s.makeFlavor, s.makeImage} {
		if err := make(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) makeKey(ctx context.Context) error {
	pair, err := keypairs.Create(ctx, s.compute, keypairs.CreateOpts{Name: "cloudman"}).Extract()
	if err != nil {
		return fmt.Errorf("create key pair cloudman: %w", err)
	}
	s.asked("key pair cloudman: %s", pair.Fingerprint)
	s.key, s.public = filepath.Join(s.stateDir, "cloudman.pem"), strings.TrimSpace(pair.PublicKey)
	if err := os.WriteFile(s.key, []byte(pair.PrivateKey), 0o600); err != nil {
		return fmt.Errorf("save the private key: %w", err)
	}
	info, err := os.Stat(s.key)
	s.check("the private half is saved, for its owner alone", err == nil && info.Mode().Perm() == 0o600 && info.Size() > 0, s.key)
	return nil
}

func (s *story) makeNetwork(ctx context.Context) error {
	n, err := networks.Create(ctx, s.client.network, networks.CreateOpts{Name: "test_net"}).Extract()
	if err != nil {
		return fmt.Errorf("create network test_net: %w", err)
	}
	dhcp := true
	sub, err := subnets.Create(ctx, s.client.network, subnets.CreateOpts{
		NetworkID: n.ID, Name: "test_subnet", CIDR: "17.17.17.0/24", IPVersion: 4, EnableDHCP: &dhcp,
	}).Extract()
	if err != nil {
		return fmt.Errorf("create subnet 17.17.17.0/24: %w", err)
	}
	s.network, s.subnet = n.ID, sub.ID
	s.asked("network test_net: %s; subnet %s with DHCP, gateway %s", n.ID, sub.CIDR, sub.GatewayIP)
	s.check("the subnet has DHCP and a gateway", sub.EnableDHCP && sub.GatewayIP == "17.17.17.1", "")
	return nil
}

func (s *story) makeFlavor(ctx context.Context) error {
	disk := 1
	f, err := flavors.Create(ctx, s.compute, flavors.CreateOpts{Name: "m1.demo", RAM: 512, VCPUs: 1, Disk: &disk}).Extract()
	if err != nil {
		return fmt.Errorf("create flavor m1.demo: %w", err)
	}
	s.flavor = f.ID
	s.asked("flavor m1.demo: %d MiB, %d CPU", f.RAM, f.VCPUs)
	return nil
}

func (s *story) makeImage(ctx context.Context) error {
	i, err := images.Create(ctx, s.client.image, images.CreateOpts{
		Name: "debian", DiskFormat: "raw", ContainerFormat: "bare",
		Properties: map[string]string{cloud.TreeProperty: s.tree},
	}).Extract()
	if err != nil {
		return fmt.Errorf("create image debian: %w", err)
	}
	note := strings.NewReader("The root file system of this image is the tree " + s.tree + " of the node.\n")
	if err := imagedata.Upload(ctx, s.client.image, i.ID, note).ExtractErr(); err != nil {
		return fmt.Errorf("upload image debian: %w", err)
	}
	s.image = i.ID
	s.asked("image debian: %s, root file system '%s'", i.ID, s.tree)
	return nil
}

// launch creates a server and waits for its first boot to end.
func (s *story) launch(ctx context.Context, opts servers.CreateOpts) (instance, error) {
	opts.ImageRef, opts.FlavorRef = s.image, s.flavor
	if opts.Networks == nil {
		opts.Networks = []servers.Network{{UUID: s.network}}
	}
	began := time.Now()
	made, err := servers.Create(ctx, s.compute, keypairs.CreateOptsExt{CreateOptsBuilder: opts, KeyName: "cloudman"}, nil).Extract()
	if err != nil {
		return instance{}, fmt.Errorf("create server %s: %w", opts.Name, err)
	}
	s.asked("server %s: %s", opts.Name, made.ID)
	i, err := s.booted(ctx, made.ID, opts.Name, 1)
	if err == nil {
		s.asked("%s booted in %.1f s", opts.Name, time.Since(began).Seconds())
	}
	return i, err
}

func (s *story) isolated(ctx context.Context) error {
	c1, err := s.launch(ctx, servers.CreateOpts{Name: "c1"})
	if err != nil {
		return err
	}
	addr, err := c1.address(ctx)
	s.check("c1 has an address of 17.17.17.0/24 by DHCP", err == nil && netip.MustParsePrefix("17.17.17.0/24").Contains(addr) && addr == c1.fixed, seen(addr.String(), err))
	tried, err := c1.run(ctx, "/usr/bin/grep", "-m1", "169.254.169.254", "/var/log/cloud-init.log")
	s.check("c1 tried to reach 169.254.169.254", err == nil, seen(tried, err))
	_, err = c1.run(ctx, "/usr/bin/timeout", "2", "/usr/bin/bash", "-c", "exec 3<>/dev/tcp/169.254.169.254/80")
	s.check("nothing answers c1 at 169.254.169.254", err != nil, "")
	name, err := c1.hostname(ctx)
	s.check("the hostname is not c1", err == nil && name != "c1" && !strings.HasPrefix(name, "c1."), seen(name, err))
	return nil
}

func (s *story) routed(ctx context.Context) error {
	r, err := routers.Create(ctx, s.client.network, routers.CreateOpts{Name: "test_router"}).Extract()
	if err != nil {
		return fmt.Errorf("create router test_router: %w", err)
	}
	s.router = r.ID
	if _, err := routers.AddInterface(ctx, s.client.network, r.ID, routers.AddInterfaceOpts{SubnetID: s.subnet}).Extract(); err != nil {
		return fmt.Errorf("attach the subnet to test_router: %w", err)
	}
	s.asked("router test_router: %s, attached to 17.17.17.0/24", r.ID)
	if err := s.listening(ctx, "qrouter-"+s.router, 9697); err != nil {
		return err
	}
	c1, err := s.reboot(ctx, "c1", 2)
	if err != nil {
		return err
	}
	name, err := c1.hostname(ctx)
	s.check("the hostname is c1", err == nil && name == "c1", seen(name, err))
	s.checkKey(ctx, c1)
	s.checkMetadataWay(ctx, c1, "17.17.17.1")
	return nil
}

// reboot reboots a server and waits until its boot number n has ended.
func (s *story) reboot(ctx context.Context, name string, n int) (instance, error) {
	id, err := s.serverID(ctx, name)
	if err != nil {
		return instance{}, err
	}
	if err := servers.Reboot(ctx, s.compute, id, servers.RebootOpts{Type: servers.SoftReboot}).ExtractErr(); err != nil {
		return instance{}, fmt.Errorf("reboot %s: %w", name, err)
	}
	s.asked("%s is rebooted", name)
	return s.booted(ctx, id, name, n)
}

// checkMetadataWay looks where an instance's requests for metadata go, and
// makes one from its network.
func (s *story) checkMetadataWay(ctx context.Context, i instance, via string) {
	route, err := i.run(ctx, "/usr/sbin/ip", "-4", "route", "show", "169.254.169.254")
	s.check("169.254.169.254 is routed via "+via, err == nil && strings.Contains(route, "via "+via+" "), seen(route, err))
	const ask = `exec 3<>/dev/tcp/169.254.169.254/80; printf 'GET /openstack HTTP/1.0\r\n\r\n' >&3; tail -n 1 <&3`
	said, err := i.run(ctx, "/usr/bin/timeout", "5", "/usr/bin/bash", "-c", ask)
	s.check("a request from "+i.name+" is answered", err == nil && strings.TrimSpace(said) == "latest", seen(said, err))
}

// forced turns force_metadata on and off again.
func (s *story) forced(ctx context.Context) error {
	if err := s.reconfigure(ctx, func(c *config.Config) { c.DHCP.ForceMetadata = true }); err != nil {
		return err
	}
	s.asked("force_metadata: true, imprint reload")
	if err := s.listening(ctx, "qdhcp-"+s.network, 80); err != nil {
		return err
	}
	s.check("qdhcp-"+s.network+" answers on port 80", true, "")
	c1, err := s.reboot(ctx, "c1", 3)
	if err != nil {
		return err
	}
	s.checkMetadataWay(ctx, c1, "17.17.17.2")
	if err := s.reconfigure(ctx, func(c *config.Config) { c.DHCP.ForceMetadata = false }); err != nil {
		return err
	}
	s.asked("force_metadata: false, imprint reload")
	if err := s.silent(ctx, "qdhcp-"+s.network, 80); err != nil {
		return err
	}
	if c1, err = s.reboot(ctx, "c1", 4); err != nil {
		return err
	}
	s.checkMetadataWay(ctx, c1, "17.17.17.1")
	return nil
}

// reconfigure changes the configuration file of the running imprint up and has
// it taken.
func (s *story) reconfigure(ctx context.Context, change func(*config.Config)) error {
	change(&s.conf)
	if err := writeConfig(s.stateDir, s.conf); err != nil {
		return err
	}
	if err := reload(ctx, s.cloud.nodeDir); err != nil {
		return fmt.Errorf("imprint reload: %w", err)
	}
	return nil
}

// checkKey looks for the key in the login user's authorized_keys.
func (s *story) checkKey(ctx context.Context, i instance) {
	file := "/home/" + s.loginAs + "/.ssh/authorized_keys"
	keys, err := i.file(ctx, file)
	s.check("the key is in "+file, err == nil && strings.Contains(keys, keyMaterial(s.public)), seen(keys, err))
}

// keyMaterial is the second field of a public key: what identifies it.
func keyMaterial(line string) string {
	if f := strings.Fields(line); len(f) > 1 {
		return f[1]
	}
	return line
}

func (s *story) userData(ctx context.Context) error {
	const words, host = "the way of words", "my1.cloudman.cc"
	c3, err := s.launch(ctx, s.withFiles(servers.CreateOpts{
		Name: "c3", UserData: []byte(storyUserData(s.loginAs, words)),
		Metadata: map[string]string{"color": "blue", "owner": "cloudman"},
	}))
	if err != nil {
		return err
	}
	name, err := c3.hostname(ctx)
	s.check("the hostname is my1, from "+host, err == nil && name == "my1", seen(name, err))
	hosts, err := c3.file(ctx, "/etc/hosts")
	s.check("/etc/hosts has "+host, err == nil && strings.Contains(hosts, "127.0.1.1 "+host+" my1"), seen("", err))
	s.checkPassword(ctx, c3)
	zone, err := c3.run(ctx, "/usr/bin/readlink", "-f", "/etc/localtime")
	s.check("the time zone is Asia/Shanghai", err == nil && strings.HasSuffix(strings.TrimSpace(zone), "Asia/Shanghai"), seen(zone, err))
	written, err := c3.run(ctx, "/usr/bin/stat", "-c", "%a %U %s", "/etc/cloudman.conf")
	s.check("write_files wrote /etc/cloudman.conf, 0640", err == nil && strings.HasPrefix(written, "640 root "), seen(written, err))
	_, err = c3.run(ctx, "/usr/bin/test", "-d", "/yunshan")
	s.check("runcmd made /yunshan", err == nil, seen("", err))
	said, err := c3.file(ctx, "/var/tmp/second-part")
	s.check("the second part, a shell script, ran", err == nil && strings.TrimSpace(said) == words, seen(said, err))
	s.checkProperties(ctx, c3)
	if s.readsDrives() {
		s.checkInjected(ctx, c3)
	}
	s.checkKey(ctx, c3)
	s.checkSSH(ctx, c3)
	return nil
}

// checkProperties looks for the server's properties in what the guest keeps.
func (s *story) checkProperties(ctx context.Context, i instance) {
	data, err := i.file(ctx, "/run/cloud-init/instance-data.json")
	meta := jsonAt(data, "ds", "meta_data", "meta")
	s.check("the two properties are in the instance's data", err == nil && jsonAt(meta, "color") == `"blue"` && jsonAt(meta, "owner") == `"cloudman"`, seen(meta, err))
}

// storyUserData is c3's user data: a #cloud-config and a shell script.
func storyUserData(user, words string) string {
	content := base64.StdEncoding.EncodeToString([]byte("answer = 42\n"))
	return strings.ReplaceAll(`Content-Type: multipart/mixed; boundary="==first-boot=="
MIME-Version: 1.0

--==first-boot==
Content-Type: text/cloud-config; charset="utf-8"
MIME-Version: 1.0

#cloud-config
hostname: my1.cloudman.cc
manage_etc_hosts: true
chpasswd:
  expire: false
  list: |
    USER:`+storyPassword+`
ssh_pwauth: yes
timezone: Asia/Shanghai
write_files:
- path: /etc/cloudman.conf
  permissions: '0640'
  encoding: b64
  content: `+content+`
runcmd:
- [mkdir, /yunshan]

--==first-boot==
Content-Type: text/x-shellscript; charset="utf-8"
MIME-Version: 1.0

#!/bin/sh
echo `+words+` > /var/tmp/second-part
--==first-boot==--
`, "USER", user)
}

const storyPassword = "first-boot-7"
