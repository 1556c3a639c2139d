package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"imprint/base/dhcp"
)

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// startOurs runs the server in a process of its own, as an ordinary user, with
// a log like dnsmasq's.
func startOurs(w wire, dir string) (func(), error) {
	var conn *net.UDPConn
	if err := w.server.Do(func() (err error) { conn, err = dhcp.OpenServer("serv"); return err }); err != nil {
		return nil, err
	}
	defer conn.Close()
	f, err := conn.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command("/proc/self/exe", "server")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return started(cmd, filepath.Join(dir, "log"))
}

func started(cmd *exec.Cmd, log string) (func(), error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { cmd.Process.Kill(); cmd.Wait() }, nil
}

// serve is that process.
func serve() error {
	conn, err := net.FilePacketConn(os.NewFile(3, "dhcp"))
	if err != nil {
		return err
	}
	n := &dhcp.Network{
		Domain: "openstacklocal", MTU: 1450, Hosts: make(map[dhcp.MAC]dhcp.Host, hosts),
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("10.10.0.0/16"), Server: netip.MustParseAddr("10.10.0.2"), Gateway: netip.MustParseAddr("10.10.0.1"),
			DNS:    []netip.Addr{netip.MustParseAddr("192.0.2.53")},
			Routes: []dhcp.Route{{To: netip.MustParsePrefix("169.254.169.254/32"), Via: netip.MustParseAddr("10.10.0.1")}},
		}},
	}
	for i := range hosts {
		n.Hosts[dhcp.MAC(mac(i))] = dhcp.Host{Addr: addr(i)}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return dhcp.Serve(context.Background(), conn, func() *dhcp.Network { return n }, func(e dhcp.Event) { log.Info("dhcp", "event", e) }, log)
}

// startDnsmasq runs dnsmasq as Neutron 21.0.0 does, with the same hosts.
func startDnsmasq(w wire, dir string) (func(), error) {
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	for i := range hosts {
		a := addr(i)
		fmt.Fprintf(&list, "%s,host-%s.openstacklocal,%s\n", mac(i), strings.ReplaceAll(a.String(), ".", "-"), a)
	}
	options := "tag:subnet-1,option:dns-server,192.0.2.53\n" +
		"tag:subnet-1,option:classless-static-route,169.254.169.254/32,10.10.0.1,0.0.0.0/0,10.10.0.1\n" +
		"tag:subnet-1,249,169.254.169.254/32,10.10.0.1,0.0.0.0/0,10.10.0.1\ntag:subnet-1,option:router,10.10.0.1\n"
	for name, text := range map[string]string{"host": list.String(), "opts": options} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o777); err != nil {
		return nil, err
	}
	cmd := exec.Command("ip", "netns", "exec", w.server.Name(), path, "--keep-in-foreground", "--log-facility=-", "--user=root",
		"--no-hosts", "--no-resolv", "--pid-file=", "--dhcp-hostsfile="+filepath.Join(dir, "host"), "--dhcp-optsfile="+filepath.Join(dir, "opts"),
		"--dhcp-leasefile="+filepath.Join(dir, "run", "leases"), "--dhcp-match=set:ipxe,175", "--dhcp-userclass=set:ipxe6,iPXE",
		"--local-service", "--bind-dynamic", "--dhcp-range=set:subnet-1,10.10.0.0,static,255.255.0.0,86400s",
		"--dhcp-option-force=option:mtu,1450", "--dhcp-lease-max=65536", "--conf-file=/dev/null", "--domain=openstacklocal")
	return started(cmd, filepath.Join(dir, "log"))
}
