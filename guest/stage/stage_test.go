package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
	"imprint/base/dhcp"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/distro"
	"imprint/guest/module"
	"imprint/guest/netapply"
	"imprint/guest/netstate"
)

// fakeSource is a source that answers, or not.
type fakeSource struct {
	name    string
	inst    *datasource.Instance // nil: it does not answer
	crawled int
}

func (f *fakeSource) Name() string { return f.name }

func (f *fakeSource) Detect(datasource.Env) datasource.Evidence {
	return datasource.Evidence{Source: f.name, Verdict: datasource.Present, Reason: "it is a fake"}
}

func (f *fakeSource) Crawl(ctx context.Context, env datasource.Env) (*datasource.Instance, error) {
	f.crawled++
	if env.Connect != nil {
		if err := env.Connect(ctx); err != nil {
			return nil, &datasource.CrawlError{Source: f.name, Err: err}
		}
	}
	if f.inst == nil {
		return nil, &datasource.CrawlError{Source: f.name, Err: errors.New("connection refused"),
			Tries: []datasource.Try{{URL: "http://169.254.169.254/openstack", Attempt: 1}}}
	}
	i := *f.inst
	return &i, nil
}

// fakeNetwork is one NIC.
type fakeNetwork struct {
	nics  []netstate.NIC
	fails bool
	calls []string
}

func (f *fakeNetwork) NICs() ([]netstate.NIC, error) { return f.nics, nil }

func (f *fakeNetwork) Up(_ context.Context, s *netstate.State) (netapply.Result, error) {
	f.calls = append(f.calls, "up "+methods(s))
	if f.fails {
		return netapply.Result{}, errors.New("no lease")
	}
	return netapply.Result{Leases: []dhcp.Lease{{Interface: "eth0", Address: netip.MustParsePrefix("17.17.17.5/24")}}}, nil
}

func (f *fakeNetwork) Down(s *netstate.State) error {
	f.calls = append(f.calls, "down "+methods(s))
	return nil
}

func methods(s *netstate.State) string {
	var words []string
	for _, l := range s.Links {
		for _, sub := range l.Subnets {
			words = append(words, l.Name+"/"+string(sub.Method))
		}
	}
	return strings.Join(words, " ")
}

// machine is a system over its boots.
type machine struct {
	t       *testing.T
	root    *rootfs.Root
	source  *fakeSource
	network *fakeNetwork
	ran     []string
	live    string
	// broken makes the module "breaks" fail, panic makes it panic.
	broken, panics bool
	counts         map[string]int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	m := &machine{t: t, root: root, counts: map[string]int{},
		source:  &fakeSource{name: "OpenStack"},
		network: &fakeNetwork{nics: []netstate.NIC{{Name: "eth0", MAC: "fa:16:3e:00:00:01", Carrier: true}}}}
	m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	m.write("/etc/hostname", "localhost\n")
	m.write("/run/systemd/system/x", "")
	return m
}

// openstack is what a metadata service says of a server.
func openstack(id, name, userData string) *datasource.Instance {
	return &datasource.Instance{
		Name: "OpenStack", Class: "DataSourceOpenStackLocal", Mode: "net", Version: 2,
		CloudName: "openstack", Platform: "openstack", Subplatform: "metadata (http://169.254.169.254)",
		InstanceID: id, LocalHostname: name, FQDN: name + ".novalocal", PublicKeys: []string{"ssh-ed25519 AAAA1 k1"},
		MetaData: cloudconfig.NewMap().With("uuid", cloudconfig.NewString(id)).With("admin_pass", cloudconfig.NewString("secret-pass")),
		UserData: []byte(userData),
	}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := m.root.WriteFile(name, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.t.Helper()
	data, err := m.root.ReadFile(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

func (m *machine) exists(name string) bool { _, err := m.root.Stat(name); return err == nil }

// boot returns the stages as one process of the agent has them.
func (m *machine) boot() *Boot {
	b, _ := m.bootWith(func(w io.Writer) io.Writer { return w })
	return b
}

// bootWith is boot with a log of the caller's.
func (m *machine) bootWith(wrap func(io.Writer) io.Writer) (*Boot, io.Writer) {
	now := func() time.Time { return time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC) }
	path, err := m.root.Path("/var/log/cloud-init.log")
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.root.Append("/var/log/cloud-init.log", nil, 0o640); err != nil {
		m.t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { file.Close() })
	var out bytes.Buffer
	to := wrap(file)
	journal := clouddir.NewLog(to, &out)
	log := slog.New(journal)
	count := func(name string) func(context.Context, *module.Env) error {
		return func(context.Context, *module.Env) error { m.counts[name]++; return nil }
	}
	return &Boot{
		Root: m.root, Dir: clouddir.New(m.root, nil),
		Distro: distro.New(distro.Distro{Root: m.root, Log: log, Version: "22.4.2", Now: now, Runner: m.run,
			Kernel: func(name string) error { m.live = name; return nil }, Live: func() string { return "localhost" }}),
		Sources: []datasource.Source{datasource.NewConfigDrive(""), m.source, datasource.NewNone(datasource.NoneSettings{})},
		Network: m.network,
		Init: []module.Module{
			{Name: "set_hostname", Frequency: clouddir.PerInstance, Reads: []string{"hostname"}, Run: module.SetHostname},
			{Name: "update_hostname", Frequency: clouddir.PerAlways, Run: module.UpdateHostname},
			{Name: "count-instance", Frequency: clouddir.PerInstance, Run: count("instance")},
			{Name: "count-always", Frequency: clouddir.PerAlways, Run: count("always")},
			{Name: "count-once", Frequency: clouddir.PerOnce, Run: count("once")},
		},
		Config: []module.Module{
			{Name: "breaks", Frequency: clouddir.PerInstance, Run: m.breaks},
			{Name: "runcmd", Frequency: clouddir.PerInstance, Keys: []string{"runcmd"}, Run: module.Runcmd},
		},
		Final: []module.Module{
			{Name: "scripts-user", Frequency: clouddir.PerInstance, AtMostOnce: true, Run: module.ScriptsUser},
			{Name: "final-message", Frequency: clouddir.PerAlways, Run: module.FinalMessage},
		},
		Journal: journal, Log: log, Output: &out, Console: &out, Version: "22.4.2",
		Now: now, Uptime: func() time.Duration { return 12 * time.Second },
	}, to
}

func (m *machine) run(_ context.Context, c distro.Command) error {
	m.ran = append(m.ran, filepath.Base(c.Args[len(c.Args)-1]))
	return nil
}

func (m *machine) breaks(context.Context, *module.Env) error {
	switch {
	case m.panics:
		panic("out of order")
	case m.broken:
		return errors.New("it broke")
	}
	return nil
}

// start boots the machine: a fresh /run, then the four stages, each in a
// process of its own. It returns the stages' errors.
func (m *machine) start() []string {
	m.t.Helper()
	if err := m.root.RemoveAll(clouddir.RunDir); err != nil {
		m.t.Fatal(err)
	}
	ctx := m.t.Context()
	var errs []string
	errs = append(errs, m.boot().RunLocal(ctx)...)
	errs = append(errs, m.boot().RunInit(ctx)...)
	errs = append(errs, m.boot().RunConfig(ctx)...)
	errs = append(errs, m.boot().RunFinal(ctx)...)
	return errs
}

func (m *machine) report() clouddir.Report { return clouddir.New(m.root, nil).Report("", "") }

const story = `Content-Type: multipart/mixed; boundary="B"
MIME-Version: 1.0

--B
Content-Type: text/cloud-config
Content-Disposition: attachment; filename="c.yaml"

#cloud-config
hostname: my1.cloudman.cc
runcmd: [[mkdir, /yunshan]]
--B
Content-Type: text/x-shellscript
Content-Disposition: attachment; filename="hello.sh"

#!/bin/sh
echo hello
--B
Content-Type: text/cloud-boothook

#!/bin/sh
echo hook
--B--
`

func TestFirstBoot(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("d8e02d56-2648-49a3-bf97-6be8f1204f38", "c3", story)
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	r := m.report()
	if r.State != clouddir.Done || r.Detail != "DataSourceOpenStackLocal [net,ver=2]" || len(r.Warnings) > 0 {
		t.Errorf("report %+v", r)
	}
	const dir = "/var/lib/cloud/instances/d8e02d56-2648-49a3-bf97-6be8f1204f38"
	want := map[string]string{
		"/etc/hostname":                           "my1\n",
		dir + "/datasource":                       "DataSourceOpenStackLocal: DataSourceOpenStackLocal [net,ver=2]\n",
		dir + "/user-data.txt":                    story,
		dir + "/vendor-data.txt":                  "",
		dir + "/scripts/runcmd":                   "#!/bin/sh\n'mkdir' '/yunshan'\n",
		dir + "/scripts/hello.sh":                 "#!/bin/sh\necho hello",
		dir + "/cloud-config.txt":                 "#cloud-config\n\n# from 1 files\n# c.yaml\n\n---\nhostname: my1.cloudman.cc\nruncmd:\n-   - mkdir\n    - /yunshan\n...\n",
		"/var/lib/cloud/data/set-hostname":        "{\n \"fqdn\": \"my1.cloudman.cc\",\n \"hostname\": \"my1\"\n}\n",
		"/run/cloud-init/cloud-id":                "openstack\n",
		"/etc/network/interfaces.d/50-cloud-init": "",
	}
	for name, text := range want {
		got := m.read(name)
		if strings.HasSuffix(name, "50-cloud-init") {
			if !strings.Contains(got, "iface eth0 inet dhcp\n") {
				t.Errorf("%s is %q", name, got)
			}
			continue
		}
		if diff := cmp.Diff(text, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{"part-003", "hello.sh", "runcmd"}, m.ran); diff != "" {
		t.Errorf("programs: %s", diff)
	}
	if m.live != "my1" {
		t.Errorf("kernel's host name %q", m.live)
	}
	if diff := cmp.Diff([]string{"up eth0/dhcp4"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	public, private := m.read("/run/cloud-init/instance-data.json"), m.read("/run/cloud-init/instance-data-sensitive.json")
	if strings.Contains(public, "secret-pass") || !strings.Contains(private, "secret-pass") {
		t.Error("the administrator's password is in the wrong file")
	}
	var data struct {
		V1 map[string]any `json:"v1"`
	}
	if err := json.Unmarshal([]byte(public), &data); err != nil {
		t.Fatal(err)
	}
	if data.V1["local_hostname"] != "c3" || data.V1["instance-id"] != "d8e02d56-2648-49a3-bf97-6be8f1204f38" || data.V1["region"] != nil {
		t.Errorf("v1 is %v", data.V1)
	}
}

func TestFrequencies(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "#!/bin/sh\n")
	boots := []struct {
		id   string
		want map[string]int
		ran  int
	}{
		{"i-1", map[string]int{"instance": 1, "always": 1, "once": 1}, 1},
		{"i-1", map[string]int{"instance": 1, "always": 2, "once": 1}, 1},
		{"i-2", map[string]int{"instance": 2, "always": 3, "once": 1}, 2},
		{"i-1", map[string]int{"instance": 2, "always": 4, "once": 1}, 2},
	}
	for n, b := range boots {
		m.source.inst.InstanceID = b.id
		if errs := m.start(); len(errs) > 0 {
			t.Fatal(errs)
		}
		if diff := cmp.Diff(b.want, m.counts); diff != "" {
			t.Errorf("boot %d: %s", n+1, diff)
		}
		if len(m.ran) != b.ran {
			t.Errorf("boot %d: scripts %v", n+1, m.ran)
		}
	}
}

func TestNoSource(t *testing.T) {
	m := newMachine(t)
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	r := m.report()
	if r.State != clouddir.Done || r.Detail != "DataSourceNone" {
		t.Errorf("report %+v", r)
	}
	said := strings.Join(r.Warnings, "\n")
	for _, part := range []string{"OpenStack", "http://169.254.169.254/openstack", "connection refused"} {
		if !strings.Contains(said, part) {
			t.Errorf("status does not name %q: %s", part, said)
		}
	}
	if got := m.read("/var/lib/cloud/data/instance-id"); got != "iid-datasource-none\n" {
		t.Errorf("instance id %q", got)
	}
	if m.live != "" {
		t.Errorf("the host was named %q", m.live)
	}
	if m.counts["instance"] != 1 || !m.exists("/var/lib/cloud/instance/boot-finished") {
		t.Error("the modules did not run")
	}
	// The way to the service is made: the next boot is a new instance.
	m.source.inst = openstack("i-1", "c1", "")
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if m.live != "c1" || m.counts["instance"] != 2 {
		t.Errorf("host name %q, modules ran %d times", m.live, m.counts["instance"])
	}
}

func TestSourceGoesDown(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "")
	m.start()
	m.source.inst = nil
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := m.read("/var/lib/cloud/data/instance-id"); got != "i-1\n" {
		t.Errorf("instance id %q", got)
	}
	if m.counts["instance"] != 1 || m.counts["always"] != 2 {
		t.Errorf("modules ran %v", m.counts)
	}
	if said := strings.Join(m.report().Warnings, "\n"); !strings.Contains(said, "the instance stays i-1") {
		t.Errorf("warnings: %s", said)
	}
}

func TestFirmwareDecides(t *testing.T) {
	const id, other = "d8e02d56-2648-49a3-bf97-6be8f1204f38", "11111111-2648-49a3-bf97-6be8f1204f38"
	m := newMachine(t)
	m.write("/sys/class/dmi/id/product_name", "OpenStack Nova\n")
	m.write("/sys/class/dmi/id/product_uuid", strings.ToUpper(id)+"\n")
	m.source.inst = openstack(id, "c1", "")
	m.start()
	m.start()
	if m.source.crawled != 1 {
		t.Errorf("asked %d times although firmware confirms the cached id", m.source.crawled)
	}
	if diff := cmp.Diff([]string{"up eth0/dhcp4", "up eth0/dhcp4"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	// A copy of the disk in another server, whose metadata are not there.
	m.write("/sys/class/dmi/id/product_uuid", other+"\n")
	m.source.inst = nil
	m.start()
	if got := m.read("/var/lib/cloud/data/instance-id"); got != "iid-datasource-none\n" {
		t.Errorf("instance id %q", got)
	}
}

func TestNetworkOfTheDistribution(t *testing.T) {
	m := newMachine(t)
	m.write("/usr/sbin/ifup", "")
	m.write("/etc/systemd/system/multi-user.target.wants/networking.service", "")
	m.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
	m.source.inst = openstack("i-1", "c1", "")
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if diff := cmp.Diff([]string{"up eth0/dhcp4", "down eth0/dhcp4"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	// What an administrator changed stays.
	const file = "/etc/network/interfaces.d/50-cloud-init"
	m.write(file, "mine")
	m.start()
	if got := m.read(file); got != "mine" {
		t.Errorf("%s is %q", file, got)
	}
	if got := m.read("/etc/resolv.conf"); got != "nameserver 192.0.2.1\n" {
		t.Errorf("resolv.conf is %q", got)
	}
}

func TestNetworkData(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "")
	m.source.inst.NetworkData = []byte(`{"links": [{"id": "l", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
		"networks": [{"id": "n", "link": "l", "type": "ipv4", "ip_address": "18.18.18.5", "netmask": "255.255.255.0"}]}`)
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if diff := cmp.Diff([]string{"up eth0/dhcp4", "down eth0/dhcp4", "up eth0/static"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	if got := m.read("/etc/network/interfaces.d/50-cloud-init"); !strings.Contains(got, "address 18.18.18.5/24") {
		t.Errorf("interfaces: %s", got)
	}
	m.source.inst.NetworkData = []byte("no json")
	m.source.inst.InstanceID = "i-2"
	m.start()
	if got := m.read("/etc/network/interfaces.d/50-cloud-init"); !strings.Contains(got, "iface eth0 inet dhcp") {
		t.Errorf("interfaces: %s", got)
	}
}

func TestSilentLink(t *testing.T) {
	m := newMachine(t)
	m.network.fails = true
	m.start()
	if diff := cmp.Diff([]string{"up eth0/dhcp4", "up eth0/dhcp4"}, m.network.calls); diff != "" {
		t.Errorf("once in each stage, not more: %s", diff)
	}
	if r := m.report(); r.State != clouddir.Done {
		t.Errorf("report %+v", r)
	}
	m.network.nics = nil
	m.start()
	if r := m.report(); r.State != clouddir.Done {
		t.Errorf("without a NIC: report %+v", r)
	}
}

func TestNetworkDisabled(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg.d/99.cfg", "network: {config: disabled}\n")
	m.source.inst = openstack("i-1", "c1", "")
	m.start()
	if m.exists("/etc/network/interfaces.d/50-cloud-init") {
		t.Error("the configuration was written")
	}
}

func TestModuleFailures(t *testing.T) {
	for name, want := range map[string]string{"error": "('breaks', RuntimeError('it broke'))", "panic": "('breaks', RuntimeError('internal error: out of order'))"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.broken, m.panics = true, name == "panic"
			m.source.inst = openstack("i-1", "c1", "#cloud-config\nruncmd: [ls]\n")
			if diff := cmp.Diff([]string{want}, m.start()); diff != "" {
				t.Error(diff)
			}
			r := m.report()
			if diff := cmp.Diff([]string{want}, r.Errors); diff != "" || r.State != clouddir.Failed {
				t.Errorf("%s: %s", r.State, diff)
			}
			if !slices.Contains(m.ran, "runcmd") {
				t.Error("what came after did not run")
			}
			if got := m.read("/run/cloud-init/result.json"); !strings.Contains(got, want) {
				t.Errorf("result: %s", got)
			}
		})
	}
}

// A boot that a crash cut off is taken up by the next one.
func TestCrash(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "#!/bin/sh\n")
	ctx, cancel := context.WithCancel(t.Context())
	b := m.boot()
	b.Init = append([]module.Module{{Name: "crash", Frequency: clouddir.PerInstance, Run: func(context.Context, *module.Env) error {
		cancel()
		return nil
	}}}, b.Init...)
	m.boot().RunLocal(ctx)
	b.RunInit(ctx)
	if clouddir.New(m.root, nil).HasRun("config-crash", clouddir.PerInstance) {
		t.Error("a module that was cut off counts as run")
	}
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if m.counts["instance"] != 1 || len(m.ran) != 1 {
		t.Errorf("modules ran %v, scripts %v", m.counts, m.ran)
	}
}

func TestUserDataFaults(t *testing.T) {
	cases := map[string]struct {
		data string
		want []string // in status errors or warnings
	}{
		"broken yaml":   {"#cloud-config\nusers: [a\nb: c", []string{"part-001", "line "}},
		"no map":        {"#cloud-config\n- a\n", []string{"part-001"}},
		"empty":         {"#cloud-config\n", []string{"part-001"}},
		"unknown key":   {"#cloud-config\nhostnam: x\n", []string{"part-001", "line 2 column 1", "hostnam"}},
		"no module":     {"#cloud-config\npackages: [tree]\n", []string{"line 2 column 1", "packages: this agent has no module for it"}},
		"unknown bytes": {"\x00\x01\x02\xff\xfe binary", []string{"Unhandled non-multipart"}},
		"wrong header":  {"#cloud-confg\nhostname: x", []string{"Unhandled non-multipart", "#cloud-confg"}},
		"part handler":  {"#part-handler\nimport os", []string{"part-001", "there is no Python here"}},
		"template":      {"## template: jinja\n#cloud-config\nhostname: {{ x }}", []string{"template"}},
		"jsonp":         {"#cloud-config-jsonp\n[]", []string{"text/cloud-config-jsonp"}},
		"no include":    {"#include\nftp://a/b\n", []string{"only http"}},
		"no file":       {"#include\nfile:///etc/nosuch\n", []string{"/etc/nosuch"}},
		"broken mime":   {"Content-Type: multipart/mixed\n\nx", []string{"Unhandled non-multipart"}},
		"log forgery":   {"#cloud-config\n? \"a\\n2026-11-21 04:00:00,000 - x.py[ERROR]: forged\"\n: 1\n", []string{"part-001"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.source.inst = openstack("i-1", "c1", c.data)
			m.start()
			r := m.report()
			said := strings.Join(append(r.Errors, r.Warnings...), "\n")
			for _, part := range c.want {
				if !strings.Contains(said, part) {
					t.Errorf("status does not say %q: %q", part, said)
				}
			}
			if m.live != "c1" || !m.exists("/var/lib/cloud/instance/boot-finished") {
				t.Error("the boot did not go on")
			}
			for line := range strings.Lines(m.read("/var/log/cloud-init.log")) {
				if !strings.HasPrefix(line, "2026-") && !strings.HasPrefix(line, "20") || strings.HasSuffix(line, "[ERROR]: forged\n") && !strings.Contains(line, "part-001") {
					t.Errorf("log line %q", line)
				}
			}
		})
	}
}

func TestVendorData(t *testing.T) {
	const vendor = "#cloud-config\nhostname: vendor\ntimezone: UTC\n"
	cases := map[string]struct{ user, host string }{
		"alone":        {"", "vendor"},
		"user wins":    {"#cloud-config\nhostname: user\n", "user"},
		"switched off": {"#cloud-config\nvendor_data: {enabled: false}\n", "c1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.source.inst = openstack("i-1", "c1", c.user)
			m.source.inst.VendorData = []byte(vendor)
			m.start()
			if m.live != c.host {
				t.Errorf("host name %q, want %q", m.live, c.host)
			}
			if got := m.read("/var/lib/cloud/instance/vendor-data.txt"); got != vendor {
				t.Errorf("vendor data %q", got)
			}
		})
	}
}

func TestSystemConfig(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg", "disable_root: false\nsystem_info: {default_user: {name: admin}}\n")
	m.write("/etc/cloud/cloud.cfg.d/10.cfg", "preserve_hostname: true\na: 1\n")
	m.write("/etc/cloud/cloud.cfg.d/20.cfg", "a: 2\n")
	m.write("/etc/cloud/cloud.cfg.d/30.cfg", "a: [\n")
	m.write("/etc/cloud/cloud.cfg.d/readme.txt", "a: 3\n")
	m.write("/run/cloud-init/cloud.cfg", "datasource_list: [ OpenStack, None ]\n")
	n, err := (&Configs{Root: m.root}).System()
	if err == nil || !strings.Contains(err.Error(), "30.cfg") {
		t.Errorf("error %v", err)
	}
	for path, want := range map[string]string{
		"disable_root": "False", "preserve_hostname": "True", "a": "2", "datasource_list": `["OpenStack","None"]`,
		"system_info.default_user.name": "admin", "system_info.default_user.shell": "/bin/bash",
	} {
		if got := n.Get(strings.Split(path, ".")...).String(); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestSingle(t *testing.T) {
	m := newMachine(t)
	if err := m.boot().RunSingle(t.Context(), "count-instance", nil, "", false); err == nil {
		t.Error("ran without an instance")
	}
	m.source.inst = openstack("i-1", "c1", "")
	m.start()
	for name, f := range map[string]clouddir.Frequency{"count-instance": "", "cc_count_instance": clouddir.PerAlways} {
		if err := m.boot().RunSingle(t.Context(), name, nil, f, false); err != nil {
			t.Fatal(err)
		}
	}
	if m.counts["instance"] != 2 {
		t.Errorf("ran %d times", m.counts["instance"])
	}
	if err := m.boot().RunSingle(t.Context(), "nosuch", nil, "", false); !errors.Is(err, ErrUnknownModule) {
		t.Errorf("error %v", err)
	}
}

func TestStagesBeforeInit(t *testing.T) {
	m := newMachine(t)
	if errs := m.boot().RunConfig(t.Context()); len(errs) != 1 {
		t.Errorf("errors %v", errs)
	}
}

// Any byte string as user data: the boot goes on and what was wrong is named.
func FuzzUserData(f *testing.F) {
	f.Add([]byte(story))
	f.Add([]byte("#cloud-config\nusers: [{name: a}]\nruncmd: [1, [2]]\n"))
	f.Add([]byte("#cloud-config-archive\n- {type: text/x-shellscript, content: x}\n"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("include")) {
			return // the network stays out of it
		}
		m := newMachine(t)
		b, inst := m.boot(), openstack("i-1", "c1", string(data))
		if err := b.Dir.Instancify(clouddir.Identity{ID: "i-1"}, inst); err != nil {
			t.Fatal(err)
		}
		err := b.takeData(t.Context(), inst)
		if _, rerr := (&Configs{Root: m.root}).file(clouddir.InstanceLink + "/" + userConfig); rerr != nil {
			t.Errorf("the merged configuration cannot be read: %v (%v)", rerr, err)
		}
	})
}
