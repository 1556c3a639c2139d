// Package module is what the agent can do to an instance: one file per module, each a function over the merged configuration.
//
// Which modules run, in which order and how often is decided by the list in
// cmd/imprint-guest. A module reads its own keys of the configuration, does
// its work through guest/distro and guest/clouddir, and returns an error when
// some of it failed; the rest of the boot goes on. Behaviour follows
// cloud-init 22.4, config/cc_NAME.py, unless a comment says otherwise.
package module

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

// Module is an entry of a stage's list.
type Module struct {
	// Name is cloud-init's name of it, as in /etc/cloud/cloud.cfg.
	Name string
	// Frequency says how often it runs.
	Frequency clouddir.Frequency
	// Keys are top-level keys of the configuration; the module is skipped
	// unless one of them is there. None means that it always runs.
	Keys []string
	// Reads are the other top-level keys that it reads.
	Reads []string
	// AtMostOnce marks the module as run before it runs, as cloud-init does
	// for all: one that a crash cut off does not run again. The others are
	// marked afterwards, because repeating them does no harm and a boot cut
	// off in users-groups would otherwise lock everybody out for ever.
	AtMostOnce bool
	// AtBoot marks what only a system that runs can do: it waits for the first
	// boot of one that is prepared without running.
	AtBoot bool
	// Args are what the configuration gives it beside its own keys.
	Args []string
	// Run does the work.
	Run func(context.Context, *Env) error
}

// Applies reports whether the configuration gives the module anything to do.
func (m Module) Applies(config *cloudconfig.Node) bool {
	for _, key := range m.Keys {
		if config.Has(key) {
			return true
		}
	}
	return len(m.Keys) == 0
}

// Named reports whether name is the module's, however it is written:
// set-passwords, set_passwords or cc_set_passwords.
func (m Module) Named(name string) bool {
	plain := func(s string) string {
		return strings.TrimPrefix(strings.ReplaceAll(s, "-", "_"), "cc_")
	}
	return plain(name) == plain(m.Name)
}

// kindOf is the kind of a node that may be missing.
func kindOf(n *cloudconfig.Node) cloudconfig.Kind {
	if n == nil {
		return cloudconfig.KindNull
	}
	return n.Kind
}

// Cloud is what modules need to know of the instance.
type Cloud struct {
	// InstanceID is the id that the data source gave.
	InstanceID string
	// LocalHostname is the metadata's local-hostname; it may be qualified,
	// an IPv4 address, or empty.
	LocalHostname string
	// PublicKeys are lines for authorized_keys.
	PublicKeys []string
	// Source describes the data source, such as
	// "DataSourceOpenStackLocal [net,ver=2]".
	Source string
	// Fallback tells that no data source answered.
	Fallback bool
}

// Env is what a module works with. All fields must be set.
type Env struct {
	// Name and Args are the module's, as the configuration has them.
	Name string
	Args []string

	Config *cloudconfig.Node
	// DefaultUser is system_info.default_user.
	DefaultUser *cloudconfig.Node
	Cloud       Cloud
	Dir         *clouddir.Dir
	Distro      *distro.Distro
	// Output and Errors get what programs print, Console what a person at the
	// console must see even if it is a secret. Errors nil means Output.
	Output, Errors, Console io.Writer
	Log                     *slog.Logger
	// Version, Now and Uptime stand in messages.
	Version string
	Now     func() time.Time
	Uptime  func() time.Duration
}
