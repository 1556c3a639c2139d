package datasource

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imprint/base/cloudconfig"
)

// NoCloud reads a seed: user data and metadata that somebody laid down for the
// machine, in a directory, on a volume, in firmware, on the kernel command line,
// in the system's own configuration, or at an address that one of these names.
// cloud-init 22.4: sources/DataSourceNoCloud.py.
//
// Departing from it, the address is asked in the local stage already, and a
// network configuration is read from there as well (cloud-init 24.3 does that
// for http and https).
type NoCloud struct {
	config *cloudconfig.Node
	set    Settings
}

// NewNoCloud makes the source. config is what the system's configuration says of
// it (datasource: NoCloud:), nil if nothing: seedfrom, fs_label, and the seed's
// own parts by name.
func NewNoCloud(config *cloudconfig.Node, s Settings) *NoCloud { return &NoCloud{config, s} }

const noCloud = "NoCloud"

// Name is NoCloud.
func (*NoCloud) Name() string { return noCloud }

// Detect looks for a seed.
func (n *NoCloud) Detect(env Env) Evidence {
	s := n.find(env.Identified())
	e := Evidence{Source: noCloud, Verdict: Absent, Reason: "there is no seed"}
	if len(s.problems) > 0 {
		e.Reason += ": " + strings.Join(s.problems, "; ")
	}
	if len(s.found) > 0 {
		e.Verdict, e.Reason = Present, "there is a seed in "+strings.Join(s.found, ", ")
	}
	return e
}

// Crawl puts the seeds together, and reads from the address that they name. Its
// error names what is missing, and where.
func (n *NoCloud) Crawl(ctx context.Context, env Env) (*Instance, error) {
	env = env.Identified()
	s := n.find(env)
	i := &Instance{Name: noCloud, Class: "DataSource" + noCloud, Mode: "net", CloudName: "unknown", Platform: "nocloud"}
	if env.Identity.Evidence.LXDSocket {
		i.Platform = "lxd"
	}
	if len(s.found) == 0 {
		return nil, fmt.Errorf("data source %s: %w", noCloud, errors.Join(errNoSeed, errors.New(strings.Join(s.problems, "; "))))
	}
	if from := s.meta.Get("seedfrom"); from != nil {
		if err := n.follow(ctx, env, &s, i, from.String()); err != nil {
			return nil, err
		}
	}
	if err := i.seeded(s); err != nil {
		return nil, fmt.Errorf("data source %s: seed in %s: %w", noCloud, i.Seed, err)
	}
	return i, nil
}

var errNoSeed = errors.New("there is no seed")

// seeded takes over what was found.
func (i *Instance) seeded(s seed) (err error) {
	defaults := cloudconfig.NewMap().With("instance-id", cloudconfig.NewString("nocloud")).With("dsmode", cloudconfig.NewString(i.Mode))
	if i.MetaData, err = cloudconfig.Combine(s.meta, defaults); err != nil {
		return err
	}
	i.Seed, i.Problems = strings.Join(s.found, ","), append(i.Problems, s.problems...)
	i.Subplatform = "seed-dir (" + i.Seed + ")"
	if strings.HasPrefix(i.Seed, "/dev") {
		i.Subplatform = "config-disk (" + i.Seed + ")"
	}
	if i.InstanceID = text(i.MetaData, "instance-id"); !validID(i.InstanceID) {
		return fmt.Errorf("instance-id %.60q", i.InstanceID)
	}
	i.UserData, i.VendorData, i.NetworkConfig = s.user, s.vendor, s.network
	if eni := text(i.MetaData, "network-interfaces"); eni != "" {
		i.Interfaces = []byte(eni)
	}
	i.standard()
	if h := text(i.MetaData, "local-hostname"); h != "" {
		i.setHostname(h)
	}
	if keys := i.MetaData.Get("public-keys"); !keys.IsNull() {
		i.addKeys(keys)
	}
	return i.mode(text(i.MetaData, "dsmode"))
}

// find looks everywhere but at addresses, in cloud-init's order.
func (n *NoCloud) find(env Env) (s seed) {
	seen := env.Identity.Evidence
	if md, ok := seedWords(seen.DMI.ProductSerial); ok {
		s.add("dmi", seedParts{meta: md})
	}
	if md, ok := seedWords(seen.CommandLine); ok {
		s.add("cmdline", seedParts{meta: md})
	}
	for _, dir := range nocloudDirs() {
		if env.Root != nil && s.read(dir, seedTree{env.Root, dir}) {
			break
		}
	}
	n.configured(&s)
	n.volumes(env, &s)
	return s
}

// nocloudDirs are the directories of seeds; the first one that has one counts.
func nocloudDirs() []string {
	return []string{"/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"}
}

// configured takes what the system's configuration has of a seed.
func (n *NoCloud) configured(s *seed) {
	if from := n.config.Get("seedfrom"); !from.IsNull() && from.String() != "" {
		s.found = append(s.found, "ds_config_seedfrom")
		s.meta = s.meta.With("seedfrom", from)
	}
	user, meta := n.config.Get("user-data"), n.config.Get("meta-data")
	if user == nil || meta == nil {
		return
	}
	p := seedParts{meta: meta, user: valueBytes(user), network: n.config.Get("network-config")}
	if vendor := n.config.Get("vendor-data"); vendor != nil {
		p.vendor = valueBytes(vendor)
	}
	if meta.Kind == cloudconfig.KindString {
		p.meta = s.parse("meta-data in the configuration", []byte(meta.String()))
	}
	if p.network != nil && p.network.Kind == cloudconfig.KindString {
		p.network = s.parse("network-config in the configuration", []byte(p.network.String()))
	}
	s.add("ds_config", p)
}

func valueBytes(n *cloudconfig.Node) []byte {
	if n.IsNull() {
		return []byte{}
	}
	return []byte(n.String())
}

// volumes reads the first volume with the label that has a whole seed.
func (n *NoCloud) volumes(env Env, s *seed) {
	label := "cidata"
	if l := n.config.Get("fs_label"); l != nil {
		if l.IsNull() {
			return
		}
		label = l.String()
	}
	for d := range volumes(env, strings.ToUpper(label), strings.ToLower(label), label) {
		if d.err != nil {
			s.problems = append(s.problems, d.source+": "+d.err.Error())
			continue
		}
		if s.read(d.source, d.tree) {
			return
		}
		s.problems = append(s.problems, d.source+": the label is a seed's, but a seed has user-data and meta-data")
	}
}

// isStatusClass tells whether an answer is one of these hundreds.
func isStatusClass(err error, hundreds int) bool {
	var s statusError
	return errors.As(err, &s) && s.code/100 == hundreds
}
