package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"

	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/netapply"
	"imprint/guest/netrender"
	"imprint/guest/netstate"
)

// Network is the running network; *netapply.Applier is one. Used by one
// goroutine.
type Network interface {
	NICs() ([]netstate.NIC, error)
	Up(context.Context, *netstate.State) (netapply.Result, error)
	Down(*netstate.State) error
}

// NoNetwork is the network of a system that does not run: it has no interface.
type NoNetwork struct{}

// NICs returns none.
func (NoNetwork) NICs() ([]netstate.NIC, error) { return nil, nil }

// Up fails.
func (NoNetwork) Up(context.Context, *netstate.State) (netapply.Result, error) {
	return netapply.Result{}, errNoNIC
}

// Down does nothing.
func (NoNetwork) Down(*netstate.State) error { return nil }

// link is the network of the local stage, which must be up before its
// configuration is known.
type link struct {
	b     *Boot
	state *netstate.State // what was tried, nil before that
	err   error
	// drive is what a config drive asks for that leaves the instance's data to
	// other sources; nil without one.
	drive *datasource.Instance
	// names is resolv.conf as it was before, nil if there was none.
	names []byte
}

const resolvConf = "/etc/resolv.conf"

var errNoNIC = errors.New("there is no network interface to bring up")

// pass remembers a config drive that configures the network and no more.
func (l *link) pass(i *datasource.Instance) { l.drive = i }

// connect brings the network up before the instance is known: as a config drive
// says, or the first NIC by DHCP.
func (l *link) connect(ctx context.Context) error {
	state, err := l.b.wanted(l.drive)
	if err == nil && state == nil {
		err = errNoNIC
	}
	if err != nil {
		return err
	}
	l.names, _ = l.b.Root.ReadFile(resolvConf)
	l.state = state
	l.err = l.b.bringUp(ctx, state)
	return l.err
}

// managed reports whether the distribution itself brings the network up from
// /etc/network/interfaces, between the local stage and the network stage:
// ifupdown is there, and the init is set to run it.
func (b *Boot) managed() bool {
	has := func(name string) bool { _, err := b.Root.Stat(name); return err == nil }
	if !has("/sbin/ifup") && !has("/usr/sbin/ifup") {
		return false
	}
	if b.Distro.Systemd() {
		const wants = "/etc/systemd/system/"
		return has(wants+"multi-user.target.wants/networking.service") ||
			has(wants+"network-online.target.wants/networking.service")
	}
	if !has("/etc/inittab") { // not sysvinit
		return false
	}
	entries, _ := b.Root.ReadDir("/etc/rcS.d")
	for _, e := range entries {
		if ok, _ := path.Match("S[0-9][0-9]networking", e.Name()); ok {
			return true
		}
	}
	return false
}

// configure writes the network configuration that the instance asks for, and
// brings it up if nobody else will. fresh tells that the instance is new: an
// old one's file is left alone, because an administrator may have changed it.
func (b *Boot) configure(ctx context.Context, inst *datasource.Instance, fresh bool, l *link) error {
	if word, _ := b.systemConfig().Get("network").Text("config"); word == "disabled" {
		b.Log.Info("network config is disabled by the system's configuration", clouddir.Component, "stages.py")
		return l.down()
	}
	state, err := b.wanted(inst, l.drive)
	if err != nil || state == nil {
		return err
	}
	var errs []error
	write := fresh || !b.hasNetworkFile()
	if write {
		errs = append(errs, b.writeNetwork(state))
	}
	if !b.managed() {
		return errors.Join(append(errs, l.become(ctx, state))...)
	}
	errs = append(errs, l.down())
	if write {
		errs = append(errs, b.nameServers(state))
	}
	return errors.Join(errs...)
}

// nameServers writes those that the configuration names to resolv.conf where
// ifupdown does not: it leaves them to resolvconf. cloud-init writes them into
// the interfaces file only, and so they reach nobody on Debian's cloud image.
func (b *Boot) nameServers(state *netstate.State) error {
	for _, name := range []string{"/sbin/resolvconf", "/usr/sbin/resolvconf"} {
		if _, err := b.Root.Stat(name); err == nil {
			return nil
		}
	}
	data := netapply.ResolvConf(state)
	if at, err := b.Root.Lstat(resolvConf); data == nil || err == nil && !at.Mode().IsRegular() {
		return nil
	}
	if err := b.Root.WriteFile(resolvConf, data, 0o644); err != nil {
		return fmt.Errorf("set name servers: %w", err)
	}
	return nil
}

// down takes the network of the local stage away again, name servers too.
func (l *link) down() error {
	if l.state == nil {
		return nil
	}
	err := l.b.Network.Down(l.state)
	now, _ := l.b.Root.ReadFile(resolvConf)
	switch {
	case bytes.Equal(now, l.names):
	case l.names == nil:
		err = errors.Join(err, l.b.Root.Remove(resolvConf))
	default:
		err = errors.Join(err, l.b.Root.WriteFile(resolvConf, l.names, 0o644))
	}
	return err
}

// become makes state the running network. What was tried already with the
// same state is not tried again: waiting twice for a DHCP server that is not
// there helps nobody.
func (l *link) become(ctx context.Context, state *netstate.State) error {
	if l.state != nil && reflect.DeepEqual(l.state, state) {
		return l.err
	}
	if err := l.down(); err != nil {
		return err
	}
	return l.b.bringUp(ctx, state)
}

// wanted is the network configuration of the first of these instances, some of
// which may be nil, that says something of it; else the first NIC by DHCP. Nil
// without an error means that there is nothing to configure.
func (b *Boot) wanted(from ...*datasource.Instance) (*netstate.State, error) {
	nics, err := b.Network.NICs()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	for _, inst := range from {
		state, problems, err := inst.Network(nics)
		for _, p := range problems {
			b.Log.Warn("network data: "+printable(p), clouddir.Component, "stages.py")
		}
		if err != nil {
			b.Log.Warn("network data cannot be used, the first NIC gets DHCP: "+printable(err.Error()), clouddir.Component, "stages.py")
			break
		}
		if state != nil {
			return state, nil
		}
	}
	return netstate.Fallback(nics), nil
}

func (b *Boot) hasNetworkFile() bool {
	for _, f := range netrender.ENI(&netstate.State{}) {
		if _, err := b.Root.Stat(f.Name); err == nil && strings.HasPrefix(f.Name, "/etc/network/") {
			return true
		}
	}
	return false
}

// writeNetwork writes the configuration in the distribution's form.
func (b *Boot) writeNetwork(state *netstate.State) error {
	errs := []error{b.Dir.MarkBoot("apply_network_config")}
	for _, f := range netrender.ENI(state) {
		b.Log.Debug(fmt.Sprintf("Writing to %s - wb: [%o] %d bytes", f.Name, f.Mode, len(f.Data)), clouddir.Component, "util.py")
		if err := b.Root.WriteFile(f.Name, f.Data, f.Mode); err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", f.Name, err))
		}
	}
	return errors.Join(errs...)
}

// bringUp makes the configuration that of the running system.
func (b *Boot) bringUp(ctx context.Context, state *netstate.State) error {
	result, err := b.Network.Up(ctx, state)
	for _, l := range result.Leases {
		b.Log.Info(fmt.Sprintf("Received dhcp lease on %s for %s", l.Interface, l.Address), clouddir.Component, "dhcp.py")
	}
	if err != nil {
		return fmt.Errorf("bring up network: %w", err)
	}
	return b.Dir.MarkBoot(networkUp)
}

// networkUp is done when the agent itself brought the network up.
const networkUp = "network_up"
