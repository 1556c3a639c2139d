package netapply

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"imprint/guest/netstate"
)

// NICs lists the interfaces, by index, for choosing among them.
func (a *Applier) NICs() ([]netstate.NIC, error) {
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	defer k.Close()
	links, err := dump(k.nl.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var nics []netstate.NIC
	for _, l := range links {
		nics = append(nics, nic(l.Attrs(), l.Type()))
	}
	return nics, nil
}

func nic(l *netlink.LinkAttrs, kind string) netstate.NIC {
	n := netstate.NIC{Name: l.Name, Kind: kind}
	if kind == "device" {
		n.Kind = "" // the library's word for no kind
	}
	if len(l.HardwareAddr) > 0 && l.Flags&net.FlagLoopback == 0 {
		n.MAC = l.HardwareAddr.String()
	}
	up := l.Flags&net.FlagUp != 0
	n.Carrier = up && l.Flags&net.FlagRunning != 0
	n.Dead = l.OperState == netlink.OperNotPresent || l.OperState == netlink.OperTesting
	return n
}
