package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/distro"
)

// hostKeyTypes are made unless ssh_genkeytypes says otherwise. cloud-init
// 22.4 makes a DSA key too, which OpenSSH no longer takes.
var hostKeyTypes = []string{"rsa", "ecdsa", "ed25519"}

// SSH gives the host its own keys and lets the users' keys in: those of the
// metadata and of ssh_authorized_keys, for the default user, and for root
// with a hint to the default user unless disable_root is false.
func SSH(_ context.Context, e *Env) error {
	remove, err := e.Config.Bool("ssh_deletekeys")
	if err != nil {
		return err
	}
	var errs []error
	if remove.Or(true) {
		errs = append(errs, e.Distro.DeleteHostKeys())
	}
	if given := e.Config.Get("ssh_keys"); !given.IsNull() {
		errs = append(errs, e.writeHostKeys(given))
	} else {
		errs = append(errs, e.makeHostKeys())
	}
	errs = append(errs, e.authorize())
	return errors.Join(errs...)
}

// made is a key that was generated, or why not.
type made struct {
	key distro.HostKey
	err error
}

// makeHostKeys makes all keys at once, so that the slow RSA key takes no
// longer than it must, and writes them in order, the quick ones first.
func (e *Env) makeHostKeys() error {
	kinds := hostKeyTypes
	if n := e.Config.Get("ssh_genkeytypes"); !n.IsNull() {
		var err error
		if kinds, err = n.AsStrings(); err != nil {
			return err
		}
	}
	var wanted []string
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		if slices.Contains(kinds, kind) && !e.Distro.HasHostKey(kind) {
			wanted = append(wanted, kind)
		}
	}
	for _, kind := range kinds {
		if !slices.Contains(hostKeyTypes, kind) {
			e.Log.Warn("Skipping host key of unsupported type " + kind)
		}
	}
	comment := "root@" + e.Distro.Live()
	results := make([]chan made, len(wanted))
	for i, kind := range wanted {
		results[i] = make(chan made, 1)
		go func() {
			k, err := distro.NewHostKey(kind, comment, nil)
			results[i] <- made{k, err}
		}()
	}
	var errs []error
	for _, result := range results {
		m := <-result
		if m.err == nil {
			m.err = e.Distro.WriteHostKey(m.key)
			e.Log.Debug("Generated host key", "type", m.key.Kind, "fingerprint", m.key.Fingerprint)
		}
		errs = append(errs, m.err)
	}
	return errors.Join(errs...)
}

// writeHostKeys writes the keys of ssh_keys: TYPE_private, TYPE_public and
// TYPE_certificate. A public half that is left out is computed.
func (e *Env) writeHostKeys(given *cloudconfig.Node) error {
	var errs []error
	for _, p := range given.Pairs() {
		kind, half, _ := strings.Cut(p.Key.String(), "_")
		if !slices.Contains(append([]string{"dsa"}, hostKeyTypes...), kind) || !slices.Contains([]string{"private", "public", "certificate"}, half) {
			e.Log.Warn("Skipping unrecognized ssh_keys entry: " + p.Key.String())
			continue
		}
		text, err := p.Value.AsString()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, e.writeHostKey(given, kind, half, text))
	}
	return errors.Join(errs...)
}

func (e *Env) writeHostKey(given *cloudconfig.Node, kind, half, text string) error {
	const mode fs.FileMode = 0o600
	file := distro.HostKeyFile(kind)
	name := file + map[string]string{"public": ".pub", "certificate": "-cert.pub"}[half]
	root := e.Distro.Root
	if err := root.WriteFile(name, []byte(text), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	switch {
	case half == "certificate":
		_, err := e.Distro.SetSSHD([2]string{"HostCertificate", name})
		return err
	case half == "private" && !given.Has(kind+"_public"):
		public, err := distro.PublicHalf([]byte(text), "root@localhost")
		if err != nil {
			return fmt.Errorf("ssh_keys: %s_private: %w", kind, err)
		}
		return root.WriteFile(file+".pub", public, 0o644)
	}
	return nil
}

// authorize lets keys in for the default user and for root.
func (e *Env) authorize() error {
	users, err := e.accounts()
	if err != nil {
		return err
	}
	imported, err := e.Config.Bool("allow_public_ssh_keys")
	if err != nil {
		return err
	}
	var keys []string
	if imported.Or(true) {
		keys = slices.Clone(e.Cloud.PublicKeys)
	}
	keys = append(keys, keyList(e.Config.Get("ssh_authorized_keys"))...)
	var errs []error
	user := defaultOf(users)
	if user != "" {
		errs = append(errs, e.Distro.AuthorizeKeys(user, keys, ""))
	}
	options, err := e.rootOptions(user)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, e.Distro.AuthorizeKeys("root", keys, options))...)
}

// rootOptions are the key options for root's keys.
func (e *Env) rootOptions(user string) (string, error) {
	disable, err := e.Config.Bool("disable_root")
	if err != nil || !disable.Or(true) {
		return "", err
	}
	options, err := e.Config.Text("disable_root_opts")
	if err != nil {
		return "", err
	}
	if options == "" {
		options = refusal
	}
	if user == "" {
		user = "NONE"
	}
	return refuse(options, user, "root"), nil
}
