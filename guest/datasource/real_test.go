package datasource

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/netstate"
)

// same is one input for the real cloud-init and for us.
type same struct {
	name, source string
	config       string // datasource: in YAML
	dmi          map[string]string
	cmdline      string
	files        map[string]string // below the root
	label        string            // of the volume; "" without one
	volume       map[string]string // what is in it
	fat          bool
	macs         map[string]string
	served       http.Handler
	// absent: neither finds anything. but: what differs, by field, and why.
	absent bool
	but    map[string]string
}

// findings are what a source comes to, in the words of real.py.
type findings struct {
	Found       bool              `json:"found"`
	Str         string            `json:"str"`
	MetaData    any               `json:"metadata"`
	UserData    string            `json:"userdata"`
	VendorData  string            `json:"vendordata"`
	VendorData2 string            `json:"vendordata2"`
	Network     any               `json:"network_config"`
	NetworkJSON any               `json:"network_json"`
	ENI         string            `json:"eni"`
	EC2         any               `json:"ec2"`
	InstanceID  string            `json:"instance_id"`
	Hostname    string            `json:"hostname"`
	FQDN        string            `json:"fqdn"`
	Keys        []string          `json:"keys"`
	Zone        string            `json:"zone"`
	Region      string            `json:"region"`
	CloudName   string            `json:"cloud_name"`
	Platform    string            `json:"platform"`
	Subplatform string            `json:"subplatform"`
	CloudID     string            `json:"cloud_id"`
	Files       map[string]string `json:"files"`
	Data        any               `json:"ds"`
	Same        bool              `json:"same"`
	Why         string            `json:"why,omitempty"`
}

func lay(t *testing.T, dir string, tree map[string]string) {
	t.Helper()
	for name, text := range tree {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const volumeDevice = "/dev/vdb"

// peer is the real cloud-init's classes in a process.
type peer struct {
	in  io.Writer
	out *bufio.Scanner
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	tree, err := exec.Command("../../test/debian-tree").Output()
	if err != nil {
		t.Skipf("the real cloud-init is not there: %v", err)
	}
	cmd := exec.Command("python3", "testdata/real.py", strings.TrimSpace(string(tree)))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, stderr)
		}
	})
	p := &peer{in, bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	return p
}

// ask hands a case over.
func (p *peer) ask(t *testing.T, question any) []byte {
	t.Helper()
	if err := json.NewEncoder(p.in).Encode(question); err != nil {
		t.Fatal(err)
	}
	if !p.out.Scan() {
		t.Fatalf("no answer: %v", p.out.Err())
	}
	return p.out.Bytes()
}

// real asks the real cloud-init.
func (c same) real(t *testing.T, p *peer, root, url string) findings {
	t.Helper()
	volumes := map[string]any{}
	if c.label != "" {
		mounted := t.TempDir()
		lay(t, mounted, c.volume)
		kind := "iso9660"
		if c.fat {
			kind = "vfat"
		}
		volumes[volumeDevice] = map[string]string{"type": kind, "label": c.label, "tree": mounted}
	}
	config, err := cloudconfig.Parse([]byte(strings.NewReplacer("URL", url, "ROOT", root).Replace(c.config)))
	if err != nil {
		t.Fatal(err)
	}
	answer := p.ask(t, map[string]any{
		"root": root, "source": c.source, "config": config, "dmi": orEmpty(c.dmi), "url": url,
		"cmdline": strings.ReplaceAll(c.cmdline, "URL", url), "volumes": volumes, "macs": orEmpty(c.macs),
	})
	var f findings
	if err := json.Unmarshal(bytes.ReplaceAll(answer, []byte(root), nil), &f); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if f.Why != "" {
		t.Log(f.Why)
	}
	f.Why = ""
	return f
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// ours asks our own source, over real images.
func (c same) ours(t *testing.T, dir, url string) findings {
	t.Helper()
	root, err := rootfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	env := Env{Root: root, Arch: "x86_64"}
	switch {
	case c.fat:
		env.Disks = disks{volumeDevice: fat(t, c.label, c.volume)}
	case c.label != "":
		env.Disks = disks{volumeDevice: iso(t, c.label, c.volume)}
	}
	config, err := cloudconfig.Parse([]byte(strings.NewReplacer("URL", url, "ROOT", "").Replace(c.config)))
	if err != nil {
		t.Fatal(err)
	}
	n := config.Get(strings.TrimSuffix(c.source, "Net"))
	set, problems := ReadSettings(n, 0)
	if len(problems) > 0 {
		t.Error(problems)
	}
	mode, _ := n.Text("dsmode")
	source := map[string]Source{
		"NoCloud": NewNoCloud(n, set), "NoCloudNet": NewNoCloud(n, set), "ConfigDrive": NewConfigDrive(mode),
		"OpenStack": NewOpenStack(set), "Ec2": NewEc2(set), "AliYun": NewAliYun(set),
	}[c.source]
	if e := source.Detect(env); e.Verdict == Absent {
		t.Log(e)
		return findings{}
	}
	i, err := source.Crawl(t.Context(), env)
	if err != nil {
		t.Log(err)
		return findings{}
	}
	return found(t, i, env, c.macs)
}

func found(t *testing.T, i *Instance, env Env, macs map[string]string) findings {
	t.Helper()
	text := func(b []byte) string {
		if len(b) == 0 {
			return ""
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	f := findings{
		Found: true, Str: i.String(), MetaData: generic(t, i.MetaData), UserData: text(i.UserData),
		VendorData: text(i.VendorData), VendorData2: text(i.VendorData2), ENI: string(i.Interfaces),
		InstanceID: i.InstanceID, Hostname: i.LocalHostname, FQDN: i.FQDN, Keys: i.PublicKeys,
		Zone: i.AvailabilityZone, Region: i.Region, CloudName: i.CloudName, Platform: i.Platform,
		Subplatform: i.Subplatform, CloudID: i.CloudID(), Files: map[string]string{}, Data: generic(t, i.Data()), Same: i.Check(env) == SameMachine,
	}
	if i.Name == "OpenStack" || i.Name == "ConfigDrive" {
		f.EC2 = generic(t, i.EC2)
	}
	if len(i.NetworkData) > 0 {
		f.NetworkJSON = generic(t, json.RawMessage(i.NetworkData))
	}
	var nics []netstate.NIC
	for mac, name := range macs {
		nics = append(nics, netstate.NIC{Name: name, MAC: mac})
	}
	network, _ := i.networkConfig(nics)
	f.Network = generic(t, network)
	for _, file := range i.Files {
		f.Files[file.Path] = text(file.Data)
	}
	if len(f.Hostname) == 0 {
		f.Hostname, f.FQDN = "the-host", "the-host"
	}
	return f
}

// generic is a value as JSON has it.
func generic(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// table is a server that has these.
func table(pairs ...string) *answers {
	a := &answers{by: map[string]answer{}}
	for n := 0; n < len(pairs); n += 2 {
		a.by[pairs[n]] = answer{Status: 200, Body: pairs[n+1]}
	}
	return a
}

// tokens serves those who have got a token first.
func tokens(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == tokenPath && r.Header.Get(tokenTTL) == tokenSeconds:
			io.WriteString(w, "TOKEN==")
		case r.Header.Get(tokenHeader) != "TOKEN==":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// The real cloud-init's classes find the same.
func TestAsCloudInit(t *testing.T) {
	p := newPeer(t)
	for _, c := range sames(t) {
		t.Run(c.source+"/"+c.name, func(t *testing.T) {
			root := t.TempDir()
			files := maps.Clone(c.files)
			if files == nil {
				files = map[string]string{}
			}
			url := ""
			if c.served != nil {
				url = serve(t, c.served).BaseURL
			}
			for key, value := range c.dmi {
				files["/sys/class/dmi/id/"+key] = value + "\n"
			}
			for nic, mac := range invert(c.macs) {
				files["/sys/class/net/"+nic+"/address"] = mac + "\n"
			}
			files["/proc/cmdline"] = strings.ReplaceAll(c.cmdline, "URL", url) + "\n"
			for name, text := range files {
				files[name] = strings.ReplaceAll(text, "URL", url)
			}
			lay(t, root, files)
			if names := c.named(); names != "" {
				lay(t, root, map[string]string{"/etc/cloud/ds-identify.cfg": "datasource: " + names + "\n"})
			}
			want, got := c.real(t, p, root, url), c.ours(t, root, url)
			if c.but["found"] != "" {
				if !want.Found || got.Found {
					t.Errorf("%s: %t, %t", c.but["found"], want.Found, got.Found)
				}
				return
			}
			if got.Found == c.absent {
				t.Fatalf("found %t", got.Found)
			}
			compare(t, want, got, c.but)
		})
	}
}

// named is the source that the administrator names, where the machine does not.
func (c same) named() string {
	if c.served == nil || len(c.dmi) > 0 || strings.HasPrefix(c.source, "NoCloud") {
		return ""
	}
	return c.source
}

func invert(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[v] = k
	}
	return out
}

// compare knows the differences that are meant; one that is not there is an
// error too.
func compare(t *testing.T, want, got findings, but map[string]string) {
	t.Helper()
	for _, f := range []*findings{&want, &got} {
		f.Keys = append([]string{}, f.Keys...)
	}
	w, g := generic(t, want).(map[string]any), generic(t, got).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(w)) {
		d := cmp.Diff(w[key], g[key])
		if reason := but[key]; (d != "") != (reason != "") {
			t.Errorf("%s (%s): %s", key, reason, d)
		}
	}
}
