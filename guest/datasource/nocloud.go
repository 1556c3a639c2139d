package datasource

import (
	"context"
	"errors"
	"fmt"
	"path"
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

// seed is what was found so far. Of metadata what was found first counts, of all
// else what was found last.
type seed struct {
	found        []string
	meta         *cloudconfig.Node
	user, vendor []byte
	network      *cloudconfig.Node
	problems     []string
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

// seedParts are one seed; what it does not have is nil.
type seedParts struct {
	meta, network *cloudconfig.Node
	user, vendor  []byte
}

// read adds a tree's seed, if it is whole.
func (s *seed) read(name string, t tree) bool {
	raw := map[string][]byte{}
	for _, file := range seedFiles() {
		data, err := t.ReadFile(file)
		switch {
		case err == nil:
			raw[file] = data
		case isAbsent(err):
		default:
			s.problems = append(s.problems, path.Join(name, file)+": "+err.Error())
		}
	}
	if raw["user-data"] == nil || raw["meta-data"] == nil {
		return false
	}
	s.addRaw(name, name+"/", raw)
	return true
}

// seedFiles are a seed's parts; the first two make one.
func seedFiles() []string { return []string{"meta-data", "user-data", "vendor-data", "network-config"} }

// addRaw adds a seed as it came; where stands before a part's name in messages.
func (s *seed) addRaw(name, where string, raw map[string][]byte) {
	p := seedParts{user: raw["user-data"], vendor: raw["vendor-data"]}
	p.meta = s.parse(where+"meta-data", raw["meta-data"])
	if len(raw["network-config"]) > 0 {
		p.network = s.parse(where+"network-config", raw["network-config"])
	}
	s.add(name, p)
}

// parse reads YAML. What is no map is left out.
func (s *seed) parse(name string, data []byte) *cloudconfig.Node {
	n, err := cloudconfig.Parse(data)
	if err == nil && !n.IsNull() && n.Kind != cloudconfig.KindMap {
		err = n.Errorf("want a map, have a %s", n.Kind)
	}
	if err != nil {
		s.problems = append(s.problems, name+": "+err.Error())
		return nil
	}
	if n.IsNull() {
		return nil
	}
	return n
}

func (s *seed) add(name string, p seedParts) {
	s.found = append(s.found, name)
	merged, err := cloudconfig.Combine(present(s.meta, p.meta)...)
	if err != nil {
		s.problems = append(s.problems, name+": meta-data: "+err.Error())
	} else {
		s.meta = merged
	}
	if p.user != nil {
		s.user = p.user
	}
	if p.vendor != nil {
		s.vendor = p.vendor
	}
	if p.network != nil && len(p.network.Pairs()) > 0 {
		s.network = p.network
	}
}

func present(all ...*cloudconfig.Node) (out []*cloudconfig.Node) {
	for _, n := range all {
		if len(n.Pairs()) > 0 {
			out = append(out, n)
		}
	}
	return out
}

// seedWords reads what a command line, or a serial number in its form, says of a
// seed: ds=nocloud or ds=nocloud-net, and after it ;KEY=VALUE for metadata.
// cloud-init 22.4: sources/DataSourceNoCloud.py, parse_cmdline_data.
func seedWords(line string) (*cloudconfig.Node, bool) {
	for _, known := range [...]struct{ id, mode string }{{"ds=nocloud", "local"}, {"ds=nocloud-net", "net"}} {
		id, mode := known.id, known.mode
		padded := " " + strings.Join(strings.Fields(line), " ") + " "
		if !strings.Contains(padded, " "+id+" ") && !strings.Contains(padded, " "+id+";") {
			continue
		}
		word := ""
		for w := range strings.FieldsSeq(line) {
			if strings.HasPrefix(w, id) {
				word = w
			}
		}
		md := seedWord(strings.Split(word, ";")[1:])
		if !md.Has("dsmode") {
			md = md.With("dsmode", cloudconfig.NewString(mode))
		}
		return md, true
	}
	return nil, false
}

func seedWord(items []string) *cloudconfig.Node {
	long := map[string]string{"h": "local-hostname", "i": "instance-id", "s": "seedfrom"}
	md := cloudconfig.NewMap()
	for _, item := range items {
		if item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		if l := long[key]; l != "" {
			key = l
		}
		n := &cloudconfig.Node{}
		if ok {
			n = cloudconfig.NewString(value)
		}
		md = md.With(key, n)
	}
	return md
}

// isStatusClass tells whether an answer is one of these hundreds.
func isStatusClass(err error, hundreds int) bool {
	var s statusError
	return errors.As(err, &s) && s.code/100 == hundreds
}
