package module

import (
	"context"
	"fmt"
)

// UpdateEtcHosts does what manage_etc_hosts says: true (or "template") writes
// /etc/hosts anew, "localhost" adds the host's own entry, false leaves it.
// The text is built in; a template in /etc/cloud/templates is not read.
func UpdateEtcHosts(_ context.Context, e *Env) error {
	option := e.Config.Get("manage_etc_hosts")
	word, _ := option.AsString()
	manage, err := option.AsBool()
	switch {
	case option.IsNull(), err == nil && !manage:
		e.Log.Debug("Configuration option 'manage_etc_hosts' is not set, not managing /etc/hosts")
		return nil
	case err != nil && word != "template" && word != "localhost":
		return option.Errorf("manage_etc_hosts: %q is none of true, false, localhost", word)
	}
	n, err := e.hostname(false)
	if err != nil {
		return err
	}
	if n.Hostname == "" {
		e.Log.Warn("Option 'manage_etc_hosts' was set, but no hostname was found")
		return nil
	}
	if word == "localhost" {
		e.Log.Debug("Managing localhost in /etc/hosts")
		return e.Distro.UpdateHosts(n.Hostname, n.FQDN)
	}
	e.Log.Debug(fmt.Sprintf("Writing /etc/hosts for %s (%s)", n.FQDN, n.Hostname))
	return e.Distro.WriteHosts(n.Hostname, n.FQDN)
}
