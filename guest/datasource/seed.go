package datasource

import (
	"path"
	"strings"

	"imprint/base/cloudconfig"
)

// seed is what was found so far. Of metadata what was found first counts, of all
// else what was found last.
type seed struct {
	found        []string
	meta         *cloudconfig.Node
	user, vendor []byte
	network      *cloudconfig.Node
	problems     []string
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
