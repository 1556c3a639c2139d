package module

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"imprint/guest/clouddir"
)

// hostname is what the instance is to be called.
type hostname struct {
	clouddir.Names
	// unset tells that nobody named it: the kernel's "localhost" was taken.
	unset bool
}

// hostname decides between user data, metadata and the name that the system
// has. metadataOnly leaves the last out: then Hostname may be empty.
// cloud-init: util.py get_hostname_fqdn.
func (e *Env) hostname(metadataOnly bool) (hostname, error) {
	host, err := e.Config.Text("hostname")
	if err != nil {
		return hostname{}, err
	}
	fqdn, err := e.Config.Text("fqdn")
	if err != nil {
		return hostname{}, err
	}
	first, _, dotted := strings.Cut(host, ".")
	switch {
	case fqdn != "":
		if host == "" {
			host, _, _ = strings.Cut(fqdn, ".")
		}
		return hostname{Names: clouddir.Names{FQDN: fqdn, Hostname: host}}, nil
	case dotted && first != "":
		return hostname{Names: clouddir.Names{FQDN: host, Hostname: first}}, nil
	}
	n := e.cloudHostname(metadataOnly)
	if host != "" {
		n.Hostname, n.unset = host, false
	}
	return n, nil
}

// cloudHostname is the name without user data. cloud-init:
// sources/__init__.py get_hostname.
func (e *Env) cloudHostname(metadataOnly bool) hostname {
	name := strings.TrimSpace(e.Cloud.LocalHostname)
	var n hostname
	switch addr, err := netip.ParseAddr(name); {
	case name == "" && metadataOnly:
		return n
	case name == "":
		name = e.Distro.Live()
		n.unset = name == "localhost"
		if full := e.Distro.HostsName(name); strings.Contains(full, ".") {
			name = full
		}
	case err == nil && addr.Is4():
		name = "ip-" + strings.ReplaceAll(name, ".", "-")
	}
	host, domain, _ := strings.Cut(name, ".")
	n.Hostname, n.FQDN = host, host
	if domain != "" && domain != "localdomain" {
		n.FQDN = host + "." + domain
	}
	return n
}

// written is the form of the name that the system gets.
func (e *Env) written(n hostname) (string, error) {
	prefer, err := e.Config.Bool("prefer_fqdn_over_hostname")
	if err != nil {
		return "", err
	}
	if n.Hostname == "" || prefer.Or(false) && n.FQDN != "" {
		return n.FQDN, nil
	}
	return n.Hostname, nil
}

// preserved reports whether the configuration forbids touching the name.
func (e *Env) preserved() (bool, error) {
	preserve, err := e.Config.Bool("preserve_hostname")
	if err == nil && preserve.Or(false) {
		e.Log.Debug("Configuration option 'preserve_hostname' is set, not setting the hostname")
	}
	return preserve.Or(false), err
}

// SetHostname names the system, unless the same names were given before.
func SetHostname(_ context.Context, e *Env) error {
	n, err := e.hostname(false)
	if err != nil {
		return err
	}
	return e.setHostname(n)
}

// EarlyHostname is SetHostname before the modules run, so that DHCP clients
// announce the right name; it does nothing when neither user data nor
// metadata has a name. cloud-init: cmd/main.py _maybe_set_hostname.
func EarlyHostname(ctx context.Context, e *Env) error {
	n, err := e.hostname(true)
	if err != nil || n.Hostname == "" {
		return err
	}
	return SetHostname(ctx, e)
}

func (e *Env) setHostname(n hostname) error {
	if keep, err := e.preserved(); keep || err != nil {
		return err
	}
	if last, ok := e.Dir.SetNames(); ok && last == n.Names {
		e.Log.Debug("No hostname changes. Skipping set-hostname")
		return nil
	}
	if n.unset {
		e.Log.Debug("Hostname is localhost. Let other services handle this.")
		return nil
	}
	name, err := e.written(n)
	if err != nil {
		return err
	}
	e.Log.Debug(fmt.Sprintf("Setting the hostname to %s (%s)", n.FQDN, n.Hostname))
	if err := e.Distro.SetHostname(name); err != nil {
		return err
	}
	return e.Dir.StoreNames(n.Names)
}

// UpdateHostname follows a changed name at each boot, but leaves a name alone
// that an administrator changed.
func UpdateHostname(_ context.Context, e *Env) error {
	if keep, err := e.preserved(); keep || err != nil {
		return err
	}
	n, err := e.hostname(false)
	if err != nil {
		return err
	}
	if n.unset {
		e.Log.Debug("Hostname is localhost. Let other services handle this.")
		return nil
	}
	name, err := e.written(n)
	if err != nil {
		return err
	}
	e.Log.Debug(fmt.Sprintf("Updating hostname to %s (%s)", n.FQDN, n.Hostname))
	return e.Distro.UpdateHostname(name, n.Hostname, clouddir.PreviousHostname)
}
