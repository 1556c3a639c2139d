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
)

// ListenTCP listens inside ns. network is tcp, tcp4 or tcp6 as for
// [net.Listen]; tcp on [::] serves both families. A zone is an interface of
// ns.
func (ns *NS) ListenTCP(ctx context.Context, network string, addr netip.AddrPort) (*net.TCPListener, error) {
	var l net.Listener
	err := ns.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, network, addr.String())
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
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("in namespace %s: %w", ns.name, err)
	}
	return c.(*net.UDPConn), nil
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
