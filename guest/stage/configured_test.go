package stage

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
)

func configOf(t *testing.T, text string) *cloudconfig.Node {
	t.Helper()
	n, err := cloudconfig.ParseMap([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSections(t *testing.T) {
	m := newMachine(t)
	b := m.boot()
	b.Absent = []string{"snap"}
	list := b.section(configOf(t, `
cloud_config_modules:
 - runcmd
 - [cc_scripts-user, always, a, b]
 - {name: set-hostname, frequency: once, args: [x]}
 - snap
 - [final_message, sometimes]
 - nosuch
 - 5
 -
`), configSection, b.Config)
	var got []string
	for _, m := range list {
		got = append(got, strings.Join(append([]string{m.Name, string(m.Frequency)}, m.Args...), " "))
	}
	want := []string{"runcmd once-per-instance", "cc_scripts-user always a b", "set-hostname once x", "final_message always"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	said := strings.Join(b.Journal.Kept()["WARNING"], "\n")
	for _, part := range []string{"Could not find module named cc_nosuch (searched ['cc_nosuch', 'cloudinit.config.cc_nosuch'])",
		"Config specified module final_message has an unknown frequency sometimes", "line 9 column 4: cloud_config_modules: not a module"} {
		if !strings.Contains(said, part) {
			t.Errorf("no warning %q: %s", part, said)
		}
	}
	if strings.Contains(said, "snap") {
		t.Errorf("an absent module of cloud-init is warned of: %s", said)
	}
	if list := b.section(configOf(t, "a: b"), configSection, b.Config); len(list) != len(b.Config) {
		t.Errorf("without a list: %v", list)
	}
}

// The user's list replaces the system's; semaphores have the listed names.
func TestConfiguredLists(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "#cloud-config\ncloud_final_modules: [[scripts_user, always], final-message]\nruncmd: [ls]\n")
	for range 2 {
		if errs := m.start(); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	if n := len(slices.DeleteFunc(m.ran, func(s string) bool { return s != "runcmd" })); n != 2 {
		t.Errorf("runcmd ran %d times in two boots", n)
	}
	if m.exists("/var/lib/cloud/instance/sem/config_scripts_user") {
		t.Error("a module that runs always has a semaphore")
	}
}

func TestOutputs(t *testing.T) {
	for text, want := range map[string][2]string{
		"a: b":                                 {"", ""},
		"output: {all: '| tee -a /x'}":         {"| tee -a /x", "| tee -a /x"},
		"output: {all: /x}":                    {">> /x", ">> /x"},
		"output: {init: [' >/x', '>> /y']}":    {"> /x", ">> /y"},
		"output: {init: ['>/x', '&1']}":        {"> /x", "> /x"},
		"output: {init: {output: /x}, all: y}": {">> /x", ""},
		"output: {final: /x}":                  {"", ""},
		"output: {init: [], all: /x}":          {"", ""},
		"output: 5":                            {"", ""},
	} {
		out, errs := outputs(configOf(t, text), "init")
		if diff := cmp.Diff(want, [2]string{out, errs}); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestRedirect(t *testing.T) {
	m := newMachine(t)
	b := m.boot()
	var got []string
	b.Redirect = func(out, errs string) error { got = append(got, out+";"+errs); return nil }
	m.source.inst = openstack("i-1", "c1", "#cloud-config\noutput: {init: '> /x'}\n")
	b.RunLocal(t.Context())
	b.RunInit(t.Context())
	if diff := cmp.Diff([]string{"| tee -a /var/log/cloud-init-output.log;| tee -a /var/log/cloud-init-output.log", "> /x;> /x"}, got); diff != "" {
		t.Error(diff)
	}
	if kept := b.Journal.Kept()["WARNING"]; !slices.Contains(kept, "Stdout, stderr changing to (> /x, > /x)") {
		t.Errorf("warnings %q", kept)
	}
}

func TestStrict(t *testing.T) {
	const data = "#cloud-config\nhostnam: x\nruncmd: [ls]\n"
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg", "imprint: {strict: true}\n")
	m.source.inst = openstack("i-1", "c1", data)
	errs := m.start()
	if len(errs) != 3 || !strings.Contains(errs[0], "hostnam") || m.counts["instance"] != 0 || len(m.ran) > 0 {
		t.Errorf("errors %q, modules %v, scripts %v", errs, m.counts, m.ran)
	}
	if r := m.report(); r.State != clouddir.Failed || !strings.Contains(r.Detail, "line 2 column 1") {
		t.Errorf("status %s: %s", r.State, r.Detail)
	}
	// Good data and the next boot make it go on.
	m.source.inst = openstack("i-1", "c1", "#cloud-config\nruncmd: [ls]\n")
	if errs := m.start(); len(errs) > 0 || m.counts["instance"] != 1 || len(m.ran) != 1 {
		t.Errorf("errors %q, modules %v, scripts %v", errs, m.counts, m.ran)
	}
	// Without it, the boot goes on, and says so.
	m = newMachine(t)
	m.source.inst = openstack("i-1", "c1", data)
	if errs := m.start(); len(errs) > 0 || !m.report().Degraded() || len(m.ran) != 1 {
		t.Errorf("errors %q, scripts %v, status %+v", errs, m.ran, m.report())
	}
}

func TestManualCacheClean(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg", "manual_cache_clean: true\n")
	m.source.inst = openstack("i-1", "c1", "")
	m.start()
	if !m.exists("/var/lib/cloud/instance/manual-clean") {
		t.Error("the instance is not marked")
	}
	m.write("/etc/cloud/cloud.cfg", "")
	m.source.inst, m.source.crawled = openstack("i-2", "c2", ""), 0
	m.start()
	if m.source.crawled > 0 || strings.TrimSpace(m.read("/var/lib/cloud/data/instance-id")) != "i-1" {
		t.Errorf("the source was asked %d times, the instance is %s", m.source.crawled, m.read("/var/lib/cloud/data/instance-id"))
	}
	if err := m.root.Remove("/var/lib/cloud/instance/manual-clean"); err != nil {
		t.Fatal(err)
	}
	m.start()
	if strings.TrimSpace(m.read("/var/lib/cloud/data/instance-id")) != "i-2" {
		t.Error("the instance did not change")
	}
}

func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var events []Event
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}))
	defer server.Close()
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg", "reporting: {logging: null, hook: {type: webhook, endpoint: '"+server.URL+"', timeout: 5, retries: 1}, odd: {type: hyperv}}\n")
	m.source.inst = openstack("i-1", "c1", "")
	m.start()
	var names []string
	for _, e := range events {
		if e.Origin != "cloudinit" || e.Timestamp == 0 || e.Type == EventFinish && e.Result == "" {
			t.Errorf("event %+v", e)
		}
		names = append(names, e.Type+" "+e.Name)
	}
	for _, want := range []string{"start init-local/check-cache", "finish init-local", "finish init-network/consume-user-data", "start init-network/config-set_hostname", "finish modules-final"} {
		if !slices.Contains(names, want) {
			t.Errorf("no event %q in %q", want, names)
		}
	}
	log := m.read("/var/log/cloud-init.log")
	if strings.Contains(log, "finish: ") || !strings.Contains(log, `there is no handler of type "hyperv"`) {
		t.Error("the log has events, or no word of the odd handler")
	}
}

// A hook that does not answer holds nothing up and is told of.
func TestWebhookDown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	m := newMachine(t)
	m.write("/etc/cloud/cloud.cfg", "reporting: {hook: {type: webhook, endpoint: '"+server.URL+"'}, print: {type: print}}\n")
	m.source.inst = openstack("i-1", "c1", "")
	if errs := m.start(); len(errs) > 0 {
		t.Error(errs)
	}
	if log := m.read("/var/log/cloud-init.log"); !strings.Contains(log, "Failed posting event") || !strings.Contains(log, "Cancelling all queued events") {
		t.Error("nothing is said of it")
	}
}

func TestGenerator(t *testing.T) {
	found := func() Identification {
		return Identification{Enabled: true, Config: "datasource_list: [ NoCloud, None ]\n"}
	}
	none := func() Identification { return Identification{} }
	for name, c := range map[string]struct {
		line, file string
		identify   func() Identification
		want       bool
	}{
		"found":             {"quiet", "", found, true},
		"none":              {"quiet", "", none, false},
		"command line":      {"a cloud-init=disabled", "", found, false},
		"file":              {"quiet", "disabled", found, false},
		"command line wins": {"cloud-init=enabled", "disabled", found, true},
		"file enabled":      {"", "enabled", none, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.write("/proc/cmdline", c.line+"\n")
			if c.file != "" {
				m.write("/etc/cloud/cloud-init."+c.file, "")
			}
			g := Generator{Root: m.root, Identify: c.identify, Target: "/lib/systemd/system/cloud-init.target"}
			if err := g.Run("/run/systemd/generator.early"); err != nil {
				t.Fatal(err)
			}
			link, _ := m.root.Readlink("/run/systemd/generator.early/multi-user.target.wants/cloud-init.target")
			if m.exists("/run/cloud-init/enabled") != c.want || m.exists("/run/cloud-init/disabled") == c.want || (link != "") != c.want {
				t.Errorf("enabled %t, link %q", m.exists("/run/cloud-init/enabled"), link)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	m := newMachine(t)
	m.write("/proc/cmdline", `ro cc: {a: 1} end_cc quiet cc:b:%20[x]\nc: d end_cc`)
	m.write("/etc/cloud/cloud.cfg", "a: 2\nconf_d: /etc/other\n")
	m.write("/etc/other/1.cfg", "e: f\n")
	m.write("/etc/cloud/cloud.cfg.d/1.cfg", "e: g\n")
	n, err := (&Configs{Root: m.root}).System()
	if err == nil { // "{a: 1}" and a block are no document
		t.Errorf("accepted: %s", n)
	}
	m.write("/proc/cmdline", `ro cc: a: 1 end_cc quiet cc:b:%20[x]\nc: d end_cc`)
	n, err = (&Configs{Root: m.root}).System()
	if err != nil || n.Get("a").String() != "1" || n.Get("c").String() != "d" || n.Get("e").String() != "f" {
		t.Errorf("%s, %v", n, err)
	}
}

func TestApply(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", faultData)
	b := m.boot()
	for i := range b.Final {
		b.Final[i].AtBoot = true
	}
	if errs := b.Apply(t.Context()); len(errs) > 0 {
		t.Fatal(errs)
	}
	if diff := cmp.Diff([]string{"user-data part part-002 (text/cloud-boothook)", "module scripts-user", "module final-message"}, b.Queued); diff != "" {
		t.Error(diff)
	}
	if got := strings.TrimSpace(m.read("/etc/hostname")); got != "faulty" || len(m.ran) > 0 || m.exists("/run/cloud-init") {
		t.Errorf("host name %s, ran %v", got, m.ran)
	}
	// The first boot does the rest, and no more.
	if errs := m.start(); len(errs) > 0 || len(m.ran) != 3 || m.counts["instance"] != 1 {
		t.Errorf("errors %q, ran %v, modules %v", errs, m.ran, m.counts)
	}
}
