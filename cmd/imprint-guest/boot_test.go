package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imprint/base/dhcp"
	"imprint/base/netns"
)

const guestMAC = "fa:16:3e:00:00:01"

// guest is a system of its own (root, network, host name) in which the real
// program boots; the network and what answers there are the test's.
type guest struct {
	t      *testing.T
	root   string
	ns     *netns.NS
	cloud  *netns.NS
	server *http.Server
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	g := &guest{t: t, root: t.TempDir(), ns: newNamespace(t, "guest"), cloud: newNamespace(t, "cloud")}
	g.ip(g.cloud, "link add cloud0 type veth peer name eth0 netns "+g.ns.Name())
	g.ip(g.cloud, "link set cloud0 up")
	g.ip(g.cloud, "addr add 17.17.17.1/24 dev cloud0")
	g.ip(g.ns, "link set eth0 address "+guestMAC)
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "etc/group": "root:x:0:\nsudo:x:27:\nshadow:x:42:\n",
		"etc/shadow": "root:*:20000:0:99999:7:::\n", "etc/hostname": "localhost\n",
		"sys/class/dmi/id/product_name": "OpenStack Nova\n", "usr/.keep": "", "proc/.keep": "", "dev/.keep": "",
	} {
		g.write(name, text)
	}
	for _, link := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+link, filepath.Join(g.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(g.root, "cloud-init"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return g
}

func newNamespace(t *testing.T, suffix string) *netns.NS {
	t.Helper()
	name := fmt.Sprintf("%s-%d-%s", t.Name(), os.Getpid(), suffix)
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close(); netns.Delete(name) })
	return ns
}

func (g *guest) ip(ns *netns.NS, args string) string {
	g.t.Helper()
	out, err := exec.Command("ip", strings.Fields("-n "+ns.Name()+" "+args)...).CombinedOutput()
	if err != nil {
		g.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

func (g *guest) write(name, text string) {
	g.t.Helper()
	full := filepath.Join(g.root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) read(name string) string {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.root, name))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(data)
}

// inGuest runs a command line in the guest, which has the machine's /usr.
func (g *guest) inGuest(command string) string {
	g.t.Helper()
	const enter = `mount --bind /usr "$0/usr"; mount -t proc proc "$0/proc"; mount -t tmpfs dev "$0/dev"
for n in null zero urandom; do touch "$0/dev/$n"; mount --bind /dev/$n "$0/dev/$n"; done
if [ -f "$0/drive" ]; then touch "$0/dev/sr0"; mount --bind "$0/drive" "$0/dev/sr0"; fi
exec chroot "$0" /bin/sh -ec "$1"`
	cmd := exec.Command("unshare", "--mount", "--uts", "sh", "-ec", enter, g.root, command)
	var out []byte
	err := g.ns.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err })
	if err != nil {
		g.t.Fatalf("%s: %v\n%s\n%s", command, err, out, g.read("var/log/cloud-init.log"))
	}
	return string(out)
}

// boot runs the four stages over a fresh /run and returns the host name that
// the kernel had at the end.
func (g *guest) boot() (hostname string, took time.Duration) {
	g.t.Helper()
	if err := os.RemoveAll(filepath.Join(g.root, "run")); err != nil {
		g.t.Fatal(err)
	}
	g.ip(g.ns, "link set eth0 down")
	begin := time.Now()
	out := g.inGuest(`hostname localhost
/cloud-init init --local; /cloud-init init; /cloud-init modules --mode=config; /cloud-init modules --mode=final
echo "hostname $(hostname)"`)
	took = time.Since(begin)
	_, name, _ := strings.Cut(out, "\nhostname ")
	return strings.TrimSpace(name), took
}

// lease answers the guest's DHCP.
func (g *guest) lease() {
	g.t.Helper()
	mac, err := dhcp.ParseMAC(guestMAC)
	if err != nil {
		g.t.Fatal(err)
	}
	gw := netip.MustParseAddr("17.17.17.1")
	n := &dhcp.Network{Domain: "openstacklocal",
		Subnets: []dhcp.Subnet{{Prefix: netip.MustParsePrefix("17.17.17.0/24"), Server: gw, DNS: []netip.Addr{gw},
			Routes: []dhcp.Route{{To: netip.MustParsePrefix("169.254.169.254/32"), Via: gw}}}},
		Hosts: map[dhcp.MAC]dhcp.Host{mac: {Addr: netip.MustParseAddr("17.17.17.5")}}}
	var conn *net.UDPConn
	if err := g.cloud.Do(func() (err error) { conn, err = dhcp.OpenServer("cloud0"); return }); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dhcp.Serve(ctx, conn, func() *dhcp.Network { return n }, nil, nil) }()
	g.t.Cleanup(func() { cancel(); <-done; conn.Close() })
}

// serve answers at the metadata address.
func (g *guest) serve(documents map[string]string) {
	g.t.Helper()
	g.ip(g.cloud, "link set lo up")
	g.ip(g.cloud, "addr add 169.254.169.254/32 dev lo")
	var l net.Listener
	if err := g.cloud.Do(func() (err error) { l, err = net.Listen("tcp", "169.254.169.254:80"); return }); err != nil {
		g.t.Fatal(err)
	}
	g.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := documents[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	})}
	done := make(chan error, 1)
	go func() { done <- g.server.Serve(l) }()
	g.t.Cleanup(func() { g.server.Close(); <-done })
}

const storyData = `Content-Type: multipart/mixed; boundary="B"
MIME-Version: 1.0

--B
Content-Type: text/cloud-config

#cloud-config
hostname: my1.cloudman.cc
manage_etc_hosts: true
chpasswd: {expire: false, list: "root:cloudman\ndebian:cloudman"}
ssh_pwauth: true
timezone: Asia/Shanghai
write_files: [{path: /etc/note, content: written}]
runcmd: [[mkdir, /yunshan]]
--B
Content-Type: text/x-shellscript

#!/bin/sh
echo "script as $(id -un)" > /script-ran
--B--
`

func TestBoot(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.lease()

	// The way to the metadata is not there yet: the boot ends soon, without a
	// name, and says whom it asked.
	name, took := g.boot()
	if name != "localhost" || took > 9*time.Second {
		t.Errorf("without metadata: host name %q after %s", name, took)
	}
	if got := g.inGuest("/cloud-init status --long"); !strings.Contains(got, "status: done") || !strings.Contains(got, "http://169.254.169.254/openstack") {
		t.Errorf("status: %s", got)
	}
	if got := g.ip(g.ns, "-4 addr show eth0"); !strings.Contains(got, "17.17.17.5/24") {
		t.Errorf("addresses: %s", got)
	}

	g.serve(map[string]string{
		"/openstack": "2012-08-10\n2018-08-27\nlatest",
		"/openstack/2018-08-27/meta_data.json": `{"uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "name": "c3", "hostname": "c3.novalocal",
			"public_keys": {"k": "ssh-ed25519 AAAA1 k"}, "launch_index": 0}`,
		"/openstack/2018-08-27/user_data": storyData,
	})
	name, took = g.boot()
	t.Logf("boot with metadata took %s", took)
	if name != "my1" {
		t.Errorf("host name %q", name)
	}
	if got := g.inGuest("/cloud-init status --wait --long"); !strings.Contains(got, "status: done") {
		t.Errorf("status: %s", got)
	}
	for file, want := range map[string]string{
		"etc/hostname": "my1\n", "etc/hosts": "127.0.1.1 my1.cloudman.cc my1\n", "etc/timezone": "Asia/Shanghai\n",
		"etc/note": "written", "script-ran": "script as root\n", "home/debian/.ssh/authorized_keys": "ssh-ed25519 AAAA1 k\n",
		"etc/resolv.conf": "nameserver 17.17.17.1\n", "etc/network/interfaces.d/50-cloud-init": "iface eth0 inet dhcp\n",
		"etc/ssh/sshd_config": "PasswordAuthentication yes\n", "etc/shadow": "debian:$y$j9T$",
	} {
		if got := g.read(file); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", file, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(g.root, "yunshan")); err != nil {
		t.Error(err)
	}
	if got := g.ip(g.ns, "route show"); !strings.Contains(got, "169.254.169.254 via 17.17.17.1 dev eth0") {
		t.Errorf("routes: %s", got)
	}

	// The service goes away: the instance stays who it is.
	g.server.Close()
	if name, _ = g.boot(); name != "my1" {
		t.Errorf("host name %q", name)
	}
	if got := g.inGuest("/cloud-init query instance_id"); got != "d8e02d56-2648-49a3-bf97-6be8f1204f38\n" {
		t.Errorf("instance id %q", got)
	}
}

// A link that answers nothing at all must not hold a boot up.
func TestBootOnSilentLink(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	name, took := g.boot()
	if name != "localhost" || took > 12*time.Second {
		t.Errorf("host name %q after %s", name, took)
	}
	if got := g.inGuest("/cloud-init status"); !strings.Contains(got, "status: done") {
		t.Errorf("status: %s", got)
	}
	t.Logf("took %s", took)
}
