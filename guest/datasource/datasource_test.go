package datasource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
)

// files is a root that has these.
type files map[string]string

func (f files) ReadFile(name string) ([]byte, error) {
	if s, ok := f[name]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

func (f files) ReadDir(name string) ([]fs.DirEntry, error) {
	tree := fstest.MapFS{}
	for file, text := range f {
		tree[strings.TrimPrefix(file, "/")] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree.ReadDir(strings.TrimPrefix(name, "/"))
}

var novaMachine = files{"/sys/class/dmi/id/product_name": "OpenStack Nova\n"}

// answers serves recorded answers and remembers the requests.
type answers struct {
	mu    sync.Mutex
	by    map[string]answer
	asked []string
}

type answer struct {
	Status int
	Body   string
	Base64 []byte // instead of a body that is no text
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.URL.Path)
	got, ok := a.by[r.URL.Path]
	if !ok {
		got = answer{Status: 404, Body: "404 Not Found"}
	}
	w.WriteHeader(got.Status)
	io.WriteString(w, got.Body)
	w.Write(got.Base64)
}

func recorded(t testing.TB, name string) *answers {
	t.Helper()
	b, err := os.ReadFile("testdata/nova-" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte("@RANDOM_SEED_684_CHARS@"), bytes.Repeat([]byte("seed"), 171))
	a := &answers{}
	if err := json.Unmarshal(b, &a.by); err != nil || len(a.by) == 0 {
		t.Fatalf("%d answers, %v", len(a.by), err)
	}
	return a
}

func serve(t testing.TB, h http.Handler) Env {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Env{Root: novaMachine, BaseURL: s.URL, Arch: "x86_64"}
}

// told are an instance's values, without where and how they were got.
func told(i *Instance) Instance {
	v := *i
	v.MetaData, v.EC2, v.NetworkData, v.Tries, v.URL, v.Subplatform = nil, nil, nil, nil, "", ""
	return v
}

const seedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAB/ek7pJ5opycP8O9FzCHBaRVUqCY8NxxxAOmLxkygW peer@seed"

const (
	seedUserData   = "#cloud-config\nwrite_files:\n- path: /run/peer-user-data\n  content: \"hello\\n\"\n"
	seedVendorData = "#cloud-config\n{}\n"
)

func TestOpenStackOfNova(t *testing.T) {
	base := Instance{
		Name: "OpenStack", Class: "DataSourceOpenStack", Mode: "net", Version: 2,
		CloudName: "openstack", Platform: "openstack", AvailabilityZone: "peer-az",
		VendorData: []byte(seedVendorData),
	}
	for name, edit := range map[string]func(*Instance){
		"c1": func(i *Instance) {
			i.InstanceID, i.LocalHostname, i.FQDN = "cc8f7f24-498d-4e21-a549-f3771c3e5189", "c1", "c1.novalocal"
			i.PublicKeys = []string{seedKey}
		},
		"c3": func(i *Instance) {
			i.InstanceID, i.LocalHostname, i.FQDN = "ac4d5b9f-3064-43fd-b44c-78c3b4440892", "c3", "c3.novalocal"
			i.PublicKeys, i.UserData = []string{seedKey}, []byte(seedUserData)
		},
		"c5": func(i *Instance) {
			i.InstanceID = "e202c599-93fa-4487-a453-85467ccd9724"
			i.LocalHostname, i.FQDN = "c5-weird-name-example", "c5-weird-name-example.novalocal"
			i.Problems = []string{"public keys: one is no SSH key"}
			i.UserData = recorded(t, "c5").by["/openstack/2020-10-14/user_data"].Base64 // gzip
		},
		"multi-1": func(i *Instance) {
			i.InstanceID, i.LocalHostname, i.FQDN = "4a5480c1-d168-477b-aa0e-1a809b89b151", "multi-1", "multi-1.novalocal"
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := recorded(t, name)
			env := serve(t, a)
			i, err := NewOpenStack(Settings{}).Crawl(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			want := base
			edit(&want)
			if d := cmp.Diff(want, told(i)); d != "" {
				t.Error(d)
			}
			dir := "/openstack/2020-10-14/"
			slices.Sort(a.asked) // all but the first are asked for at once
			if d := cmp.Diff([]string{"/openstack", dir + "meta_data.json", dir + "network_data.json", dir + "user_data",
				dir + "vendor_data.json", dir + "vendor_data2.json"}, a.asked); d != "" {
				t.Error(d)
			}
			if string(i.NetworkData) != a.by[dir+"network_data.json"].Body || len(i.Tries) != 6 {
				t.Errorf("network data %q, %d tries", i.NetworkData, len(i.Tries))
			}
			if got := text(i.MetaData, "instance-id"); got != i.InstanceID || text(i.MetaData, "local-hostname") != i.FQDN {
				t.Errorf("meta-data %s", i.MetaData)
			}
			if i.Subplatform != "metadata ("+env.BaseURL+")" || i.Line() != "DataSourceOpenStack: DataSourceOpenStack [net,ver=2]" {
				t.Errorf("%q, %q", i.Subplatform, i.Line())
			}
			unchangedByJSON(t, i)
		})
	}
}

func unchangedByJSON(t *testing.T, i *Instance) {
	t.Helper()
	b, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	var again Instance
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(&again)
	if d := cmp.Diff(string(b), string(twice)); err != nil || d != "" {
		t.Errorf("changed by JSON: %v %s", err, d)
	}
}

func TestEc2OfNova(t *testing.T) {
	i, err := NewEc2(Settings{}).Crawl(t.Context(), serve(t, recorded(t, "c3")))
	if err != nil {
		t.Fatal(err)
	}
	want := Instance{
		Name: "Ec2", Class: "DataSourceEc2", CloudName: "unknown", Platform: "ec2", InstanceID: "i-00000003",
		LocalHostname: "c3", FQDN: "c3.novalocal", PublicKeys: []string{seedKey}, UserData: []byte(seedUserData),
		AvailabilityZone: "peer-az", Region: "peer-a", APIVersion: "2009-04-04",
	}
	if d := cmp.Diff(want, told(i)); d != "" {
		t.Error(d)
	}
	b, err := json.Marshal(i.MetaData)
	if err != nil {
		t.Fatal(err)
	}
	const tree = `{"block-device-mapping":{"ami":"sda","ephemeral0":"/dev/sdb","root":"/dev/sda","swap":"/dev/sdc"},` +
		`"placement":{"availability-zone":"peer-az"},"public-keys":{"k-import":["` + seedKey + `"]},` +
		`"ami-id":"ami-00000002","ami-launch-index":"0","ami-manifest-path":"FIXME","hostname":"c3.novalocal",` +
		`"instance-action":"none","instance-id":"i-00000003","instance-type":"m1.full","kernel-id":"aki-00000003",` +
		`"local-hostname":"c3.novalocal","local-ipv4":"10.10.1.53","public-hostname":"c3.novalocal",` +
		`"public-ipv4":"203.0.113.125","ramdisk-id":"ari-00000004","reservation-id":"r-nqyqvos0",` +
		`"security-groups":["sg-two","default","sg-two","default"]}`
	if d := cmp.Diff(tree, strings.NewReplacer(": ", ":", ", ", ",").Replace(string(b))); d != "" {
		t.Error(d)
	}
	if i.String() != "DataSourceEc2" {
		t.Errorf("%q", i)
	}
	unchangedByJSON(t, i)
}

func TestOpenStackDocuments(t *testing.T) {
	const id = `"uuid": "u1"`
	for _, c := range []struct {
		name  string
		by    map[string]answer
		check func(*testing.T, *Instance, error)
	}{
		{"latest, where no version is known", map[string]answer{
			"/openstack": {Status: 200, Body: "2031-01-01\nlatest"}, "/openstack/latest/meta_data.json": {Status: 200, Body: "{" + id + "}"},
		}, func(t *testing.T, i *Instance, err error) {
			if err != nil || i.InstanceID != "u1" || i.LocalHostname != "" || i.UserData != nil || len(i.Problems) != 0 {
				t.Errorf("%+v, %v", i, err)
			}
		}},
		{"an address as host name", metaDoc(`{` + id + `, "hostname": "10.0.0.5", "public_keys": "a\nb\n"}`),
			func(t *testing.T, i *Instance, err error) {
				if err != nil || i.LocalHostname != "ip-10-0-0-5" || !slices.Equal(i.PublicKeys, []string{"a", "b"}) {
					t.Errorf("%+v, %v", i, err)
				}
			}},
		{"no meta-data", map[string]answer{"/openstack": {Status: 200, Body: "latest"}}, fails("status 404")},
		{"no uuid", metaDoc(`{"hostname": "a"}`), fails("uuid")},
		{"a uuid that is a path", metaDoc(`{"uuid": "../../etc"}`), fails("uuid")},
		{"a list", metaDoc(`[]`), fails("no object")},
		{"cut", metaDoc(`{"uuid": "u`), fails("meta_data.json")},
		{"turned off", metaDoc(`{` + id + `, "meta": {"dsmode": "disabled"}}`), func(t *testing.T, _ *Instance, err error) {
			if !errors.Is(err, ErrDisabled) {
				t.Error(err)
			}
		}},
		{"user data forbidden", with(metaDoc(`{`+id+`}`), "/openstack/latest/user_data", 403, ""), fails("user_data: status 403")},
		{"not there at all", map[string]answer{}, func(t *testing.T, _ *Instance, err error) {
			if !errors.Is(err, ErrNotServed) {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := NewOpenStack(Settings{}).Crawl(t.Context(), serve(t, &answers{by: c.by}))
			c.check(t, i, err)
		})
	}
}

func metaDoc(doc string) map[string]answer {
	return map[string]answer{"/openstack": {Status: 200, Body: "latest\n"}, "/openstack/latest/meta_data.json": {Status: 200, Body: doc}}
}

func with(by map[string]answer, path string, status int, body string) map[string]answer {
	by[path] = answer{Status: status, Body: body}
	return by
}

func fails(with string) func(*testing.T, *Instance, error) {
	return func(t *testing.T, i *Instance, err error) {
		if err == nil || !strings.Contains(err.Error(), with) {
			t.Errorf("%+v, %v", i, err)
		}
	}
}

func TestVendorData(t *testing.T) {
	for _, c := range []struct{ doc, want, problem string }{
		{`{"cloud-init": "#cloud-config\n{}"}`, "#cloud-config\n{}", ""},
		{`{"other": 1}`, "", ""},
		{`"#!/bin/sh"`, "#!/bin/sh", ""},
		{`null`, "", ""}, {`[]`, "", ""},
		{`["#!/bin/sh", "#cloud-config\n"]`, `#cloud-config-archive` + "\n" + `["#!/bin/sh","#cloud-config\n"]`, ""},
		{`{"cloud-init": {"a": 1}}`, "", "neither text nor a list"},
		{`{`, "", "EOF"},
	} {
		var i Instance
		got := i.vendorData("v", map[string][]byte{"v": []byte(c.doc)})
		if strings.ReplaceAll(string(got), ", ", ",") != c.want {
			t.Errorf("%s: %q", c.doc, got)
		}
		if p := strings.Join(i.Problems, ""); (p == "") != (c.problem == "") || !strings.Contains(p, c.problem) {
			t.Errorf("%s: problems %q", c.doc, p)
		}
	}
}

func TestEc2Hostile(t *testing.T) {
	many := strings.Repeat("x", 1)
	for n := range maxLeaves + 1 {
		many += "\nk" + strings.Repeat("y", n%7) + string(rune('a'+n%26)) + strings.Repeat("z", n/7)
	}
	endless := &answers{by: map[string]answer{}}
	for dir, n := "/2009-04-04/meta-data/", 0; n < 20; n++ {
		endless.by[dir] = answer{Status: 200, Body: "deep/"}
		dir += "deep/"
	}
	for name, h := range map[string]http.Handler{
		"too many":     &answers{by: map[string]answer{"/2009-04-04/meta-data/": {Status: 200, Body: many}}},
		"too deep":     endless,
		"no id":        &answers{by: map[string]answer{"/2009-04-04/meta-data/": {Status: 200, Body: "ami-id"}}},
		"not there":    &answers{},
		"out of place": &answers{by: map[string]answer{"/2009-04-04/meta-data/": {Status: 200, Body: "../../etc/\na?b\n..\n"}}},
	} {
		if i, err := NewEc2(Settings{}).Crawl(t.Context(), serve(t, h)); err == nil {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

func TestFetchLimits(t *testing.T) {
	big := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, maxDocument+1))
	})
	_, err := newFetcher(serve(t, big), Settings{}).get(t.Context(), "/")
	if !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
	other := serve(t, recorded(t, "c1"))
	away := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.BaseURL+r.URL.Path, http.StatusFound)
	})
	if _, err := newFetcher(serve(t, away), Settings{}).get(t.Context(), "/openstack"); !isStatus(err, http.StatusFound) {
		t.Errorf("followed to another host: %v", err)
	}
	near := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			http.Redirect(w, r, "/b", http.StatusFound)
			return
		}
		io.WriteString(w, "here")
	})
	if b, err := newFetcher(serve(t, near), Settings{}).get(t.Context(), "/a"); string(b) != "here" {
		t.Errorf("%q, %v", b, err)
	}
	t.Setenv("http_proxy", other.BaseURL)
	if b, err := newFetcher(serve(t, near), Settings{}).get(t.Context(), "/b"); string(b) != "here" {
		t.Errorf("by a proxy? %q, %v", b, err)
	}
}

// wire is a transport made of a function.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func says(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
}

func TestWaitIsBounded(t *testing.T) {
	unreachable := wire(func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH })
	silent := wire(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
	between := wire(func(*http.Request) (*http.Response, error) { return says(503, "no server"), nil })
	for _, c := range []struct {
		name     string
		wire     wire
		from, to time.Duration
	}{
		{"unreachable", unreachable, 7 * time.Second, 10 * time.Second},
		{"silent", silent, 7 * time.Second, 21 * time.Second},
		{"a proxy without a service", between, 7 * time.Second, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				i, all := Find(t.Context(), Env{Root: novaMachine, Transport: c.wire, Arch: "x86_64"},
					[]Source{NewOpenStack(Settings{}), NewEc2(Settings{}), NewNone(NoneSettings{})})
				if took := time.Since(begin); took < c.from || took > c.to {
					t.Errorf("took %s", took)
				}
				if i == nil || i.Name != "None" || len(all) != 3 || len(all[1].Tries) != 0 || !strings.HasPrefix(all[1].Error, "not asked") {
					t.Fatalf("%+v, %+v", i, all)
				}
				for n, try := range all[0].Tries {
					if try.Attempt != n+1 || try.URL != DefaultURL+"/openstack" || try.Error == "" || try.At.IsZero() {
						t.Errorf("%+v", try)
					}
				}
				if n := len(all[0].Tries); n == 0 || n > 20 {
					t.Errorf("%d tries", n)
				}
			})
		})
	}
}

func TestServiceThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := wire(func(r *http.Request) (*http.Response, error) {
			switch {
			case time.Since(begin) < 3*time.Second:
				return nil, syscall.ECONNREFUSED
			case time.Since(begin) < 4*time.Second:
				return says(500, ""), nil
			case r.URL.Path == "/openstack":
				return says(200, "latest"), nil
			case strings.HasSuffix(r.URL.Path, "/meta_data.json"):
				return says(200, `{"uuid": "u1"}`), nil
			}
			return says(404, ""), nil
		})
		i, err := NewOpenStack(Settings{}).Crawl(t.Context(), Env{Transport: w})
		if err != nil || i.InstanceID != "u1" {
			t.Fatalf("%+v, %v", i, err)
		}
		if took := time.Since(begin); took > 7*time.Second || len(i.Tries) < 8 {
			t.Errorf("took %s, %d tries", took, len(i.Tries))
		}
	})
}

// A document that fails for a while after others came is asked for again; one
// that goes on failing fails the crawl.
func TestDocumentThatFails(t *testing.T) {
	for _, failures := range []int{2, 100} {
		synctest.Test(t, func(t *testing.T) {
			left := failures
			w := wire(func(r *http.Request) (*http.Response, error) {
				switch {
				case r.URL.Path == "/openstack":
					return says(200, "latest"), nil
				case strings.HasSuffix(r.URL.Path, "/meta_data.json"):
					return says(200, `{"uuid": "u1"}`), nil
				case strings.HasSuffix(r.URL.Path, "/user_data") && left > 0:
					left--
					return says(502, ""), nil
				case strings.HasSuffix(r.URL.Path, "/user_data"):
					return says(200, "#!/bin/sh"), nil
				}
				return says(404, ""), nil
			})
			i, err := NewOpenStack(Settings{}).Crawl(t.Context(), Env{Transport: w})
			if failures == 2 && (err != nil || string(i.UserData) != "#!/bin/sh") {
				t.Errorf("%+v, %v", i, err)
			}
			crawl := new(CrawlError)
			if failures == 100 && (!errors.As(err, &crawl) || errors.Is(err, ErrUnreachable) || len(crawl.Tries) != 6+DefaultRetries) {
				t.Errorf("%v, %+v", err, crawl)
			}
		})
	}
}

func TestRefusedForReal(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	begin := time.Now()
	_, err := NewOpenStack(Settings{MaxWait: 300 * time.Millisecond}).Crawl(t.Context(), Env{BaseURL: s.URL})
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewOpenStack(Settings{}).Crawl(ctx, Env{BaseURL: s.URL}); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestFindFallsBackToEc2(t *testing.T) {
	a := recorded(t, "c1")
	delete(a.by, "/openstack")
	env, connected := serve(t, a), 0
	env.Connect = func(context.Context) error { connected++; return nil }
	i, all := Find(t.Context(), env, []Source{NewOpenStack(Settings{}), NewEc2(Settings{}), NewNone(NoneSettings{})})
	if i == nil || i.InstanceID != "i-00000001" || i.Class != "DataSourceEc2Local" || connected != 1 || len(all) != 2 {
		t.Errorf("%+v, connected %d times, %+v", i, connected, all)
	}
	env.Connect = func(context.Context) error { return errors.New("no lease") }
	i, all = Find(t.Context(), env, []Source{NewOpenStack(Settings{}), NewEc2(Settings{}), NewNone(NoneSettings{})})
	if i.Name != "None" || !strings.Contains(all[0].Error, "no lease") || len(all[1].Tries) != 0 {
		t.Errorf("%+v, %+v", i, all)
	}
}

func TestDetect(t *testing.T) {
	id := func(pairs ...string) files {
		f := files{}
		for i := 0; i < len(pairs); i += 2 {
			f["/sys/class/dmi/id/"+pairs[i]] = pairs[i+1] + "\n"
		}
		return f
	}
	for _, c := range []struct {
		name           string
		root           files
		arch           string
		openstack, ec2 Verdict
	}{
		{"nothing", nil, "x86_64", Absent, Absent},
		{"nova", novaMachine, "x86_64", Present, Possible},
		{"rdo", id("product_name", "OpenStack Compute"), "x86_64", Present, Possible},
		{"asset tag", id("product_name", "Standard PC", "chassis_asset_tag", "OpenTelekomCloud"), "x86_64", Present, Possible},
		{"first process", files{"/proc/1/environ": "container=lxc\x00product_name=OpenStack Nova\x00"}, "x86_64", Present, Possible},
		{"unset", id("product_name", "\xff\xff\xff"), "i686", Absent, Absent},
		{"another machine", id("product_name", "Laptop", "chassis_asset_tag", "OpenStack"), "x86_64", Absent, Absent},
		{"arm", nil, "aarch64", Absent, Absent},
		{"amazon", id("product_uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "product_serial", "ec2e1916-9099-7caf-fd21-012345abcdef"), "x86_64", Absent, Present},
		{"amazon by half", id("product_uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "product_serial", "1"), "x86_64", Absent, Absent},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := Env{Root: c.root, Arch: c.arch}
			got := [2]Verdict{NewOpenStack(Settings{}).Detect(env).Verdict, NewEc2(Settings{}).Detect(env).Verdict}
			if want := [2]Verdict{c.openstack, c.ec2}; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestNone(t *testing.T) {
	md, err := cloudconfig.Parse([]byte("local-hostname: a.b\npublic-keys: [k1]\n"))
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewNone(NoneSettings{UserData: []byte("x"), MetaData: md}).Crawl(t.Context(), Env{})
	if err != nil || i.FQDN != "a.b" || !slices.Equal(i.PublicKeys, []string{"k1"}) || i.Line() != "DataSourceNone: DataSourceNone" {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := NewNone(NoneSettings{}).Crawl(t.Context(), Env{}); err != nil || i.InstanceID != "iid-datasource-none" {
		t.Errorf("%+v, %v", i, err)
	}
}

func FuzzMetaData(f *testing.F) {
	for _, name := range []string{"c1", "c3", "c5"} {
		by := recorded(f, name).by
		dir := "/openstack/2020-10-14/"
		f.Add([]byte(by[dir+"meta_data.json"].Body), []byte(by[dir+"vendor_data2.json"].Body), by["/2009-04-04/meta-data/"].Body)
	}
	f.Fuzz(func(t *testing.T, meta, vendor []byte, listing string) {
		var i Instance
		if _, err := i.metaData(meta); err == nil {
			if strings.Contains(i.InstanceID, "/") || i.InstanceID == "" {
				t.Fatalf("instance id %q", i.InstanceID)
			}
			for _, k := range i.PublicKeys {
				if strings.Contains(k, "\n") {
					t.Fatalf("key %q", k)
				}
			}
		}
		i.vendorData("v", map[string][]byte{"v": vendor})
		for _, e := range entries(listing) {
			if strings.Contains("/"+e.path+"/", "/../") {
				t.Fatalf("path %q", e.path)
			}
		}
		leaf(listing)
	})
}
