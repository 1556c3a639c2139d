package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenTCP listens inside ns. network is tcp, tcp4 or tcp6 as for
// [net.Listen]; tcp on [::] serves both families. A zone is an interface of
// ns.
func (ns *NS) ListenTCP(ctx context.Context, network string, addr netip.AddrPort) (*net.TCPListener, error) {
	var l net.Listener
	err := ns.Do(func() (err error) {
		network, config := listening(network, addr)
		l, err = config.Listen(ctx, network, addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("in namespace %s: %w", ns.name, err)
	}
	return l.(*net.TCPListener), nil
}

// ListenUDP opens a UDP socket inside ns, as ListenTCP does.
func (ns *NS) ListenUDP(ctx context.Context, network string, addr netip.AddrPort) (*net.UDPConn, error) {
	var c net.PacketConn
	err := ns.Do(func() (err error) {
		network, config := listening(network, addr)
		c, err = config.ListenPacket(ctx, network, addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("in namespace %s: %w", ns.name, err)
	}
	return c.(*net.UDPConn), nil
}

// listening names the address's family. Left to itself, package net asks the
// kernel what it can, once, for the whole process: in a namespace whose
// loopback is down the answer is that there is no IPv6.
func listening(network string, addr netip.AddrPort) (string, net.ListenConfig) {
	if network != "tcp" && network != "udp" {
		return network, net.ListenConfig{}
	}
	if addr.Addr().Is4() {
		return network + "4", net.ListenConfig{}
	}
	return network + "6", net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if !addr.Addr().IsUnspecified() {
			return nil
		}
		var bothErr error
		err := c.Control(func(fd uintptr) {
			bothErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		})
		return errors.Join(err, bothErr)
	}}
}

// SetSysctl writes value to the setting net.<key> of ns, for example
// "ipv4/ip_forward", unless it has that value. Keys are written with slashes,
// because interface names may hold dots.
func (ns *NS) SetSysctl(key, value string) error {
	return ns.Do(func() error {
		path := sysctlPath(key)
		old, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(old)) != value {
			err = os.WriteFile(path, []byte(value), 0)
		}
		if err != nil {
			return fmt.Errorf("set net/%s to %s in namespace %s: %w", key, value, ns.name, err)
		}
		return nil
	})
}

// Sysctl reads the setting net.<key> of ns without its newline; errors.Is
// fs.ErrNotExist when the kernel does not know it.
func (ns *NS) Sysctl(key string) (value string, err error) {
	err = ns.Do(func() error {
		b, err := os.ReadFile(sysctlPath(key))
		if err != nil {
			return fmt.Errorf("read net/%s in namespace %s: %w", key, ns.name, err)
		}
		value = strings.TrimSpace(string(b))
		return nil
	})
	return value, err
}

// SetSysctlIfKnown is [NS.SetSysctl], but does nothing where the kernel lacks
// the setting.
func (ns *NS) SetSysctlIfKnown(key, value string) error {
	if err := ns.SetSysctl(key, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// HasIPv6 reports whether links that are made in ns will have IPv6.
func (ns *NS) HasIPv6() bool {
	off, err := ns.Sysctl("ipv6/conf/default/disable_ipv6")
	return err == nil && off == "0"
}

func sysctlPath(key string) string {
	return filepath.Join("/proc/sys/net", filepath.Join("/", key))
}
