package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The values are those that oslo.config 9.0.0 reads.
func TestINI(t *testing.T) {
	f, err := ParseINI("# a comment\n; another\n[DEFAULT]\na = 1\na: 2\nb = x=y:z\nquoted = \"in quotes\"\nhalf = 'open\none = \"\n" +
		"long = first\n  second\n# between\n\nempty =\n[Api]\nName = v  \r\n[]x]\nk : \n")
	if err != nil {
		t.Fatal(err)
	}
	for o, want := range map[INIOption]string{
		{"DEFAULT", "a"}: "2", {"DEFAULT", "b"}: "x=y:z", {"DEFAULT", "quoted"}: "in quotes", {"DEFAULT", "half"}: "'open",
		{"DEFAULT", "one"}: "", {"DEFAULT", "long"}: "first\nsecond", {"DEFAULT", "empty"}: "", {"api", "Name"}: "v",
		{"API", "Name"}: "v", {"]x", "k"}: "",
	} {
		if got, ok := f.Raw(o); !ok || got != want {
			t.Errorf("%s is %q, %v; want %q", o, got, ok, want)
		}
	}
	if got := f.All(INIOption{"DEFAULT", "a"}); !cmp.Equal(got, []string{"1", "2"}) {
		t.Errorf("all values of a: %q", got)
	}
	if _, ok := f.Raw(INIOption{"default", "a"}); ok {
		t.Error("[default] is [DEFAULT]")
	}
	for text, want := range map[string]string{
		"a = 1\n":                           "line 1: no section",
		"[DEFAULT]\n a = 1\n":               "line 2: unexpected continuation",
		"[DEFAULT]\na = 1\n\n b\n":          "line 4: unexpected continuation",
		"[DEFAULT]\na = 1\n# between\n b\n": "line 4: unexpected continuation",
		"[DEFAULT\n":                        "line 1: not the name",
		"[]\n":                              "line 1: not the name",
		"[DEFAULT]\nalone\n":                "line 2: neither",
		"[DEFAULT]\n= 1\n":                  "line 2: the name",
	} {
		if _, err := ParseINI(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	bomb := "b0 =\n"
	for i := range 30 {
		bomb += fmt.Sprintf("b%d = $b%d$b%d\n", i+1, i, i)
	}
	f, err := ParseINI("[DEFAULT]\nroot = /srv\nnest = ${root}/n\nloop = $loop\n[api]\nroot = /api\nx = $nest\n" + bomb)
	if err != nil {
		t.Fatal(err)
	}
	known := []Option{{INIOption{"api", "known"}, []INIOption{{"DEFAULT", "older"}}, "F"}}
	for in, want := range map[string]string{
		"$root/a": "/api/a", "$x": "/srv/n", "$$root": "$root", `\$root`: "$root", "5$": "5$", "$1": "$1", "${api.known}": "F", "$older": "F",
		"$known": "F", "${unclosed": "${unclosed", "$Root": "!", "$nothing": "!", "$loop": "!", "${DEFAULT.root}": "!", "${API.root}": "!",
		"$b30": "!",
	} {
		got, err := f.Value(Option{INIOption{"api", "in"}, nil, in}, known)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestReadNova(t *testing.T) {
	const text = `[DEFAULT]
enabled_apis = osapi_compute , metadata
enabled_ssl_apis = metadata
metadata_listen = 127.0.0.1
metadata_listen = ::1
my_ip = 192.0.2.1
state_path = /srv/nova
dhcp_domain = old.example
neutron_metadata_proxy_shared_secret = s3cret
service_neutron_metadata_proxy = Yes

[api]
vendordata_providers = StaticJSON,
  DynamicJSON
vendordata_jsonfile_path = $state_path/vendor.json
vendordata_dynamic_targets = a@http://${my_ip}:1/x@y,b@https://b
vendordata_dynamic_read_timeout = 7
dhcp_domain =

[vendordata_dynamic_auth]
auth_url = http://k:5000/v3
username = nova
password = pa$$word

[wsgi]
ssl_cert_file = /c
ssl_key_file = /k

[imprint]
network_data = complete
`
	f, err := ParseINI(text)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	got, err := ReadNova(f, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	want := Nova{
		EnabledAPIs: []string{"osapi_compute", "metadata"}, EnabledSSLAPIs: []string{"metadata"}, Listen: "[::1]:8775",
		VendorProviders: []string{"StaticJSON", "DynamicJSON"}, VendorFile: "/srv/nova/vendor.json",
		VendorTargets:  []string{"a@http://192.0.2.1:1/x@y", "b@https://b"},
		ConnectTimeout: 5 * time.Second, ReadTimeout: 7 * time.Second, CacheExpiration: 15 * time.Second,
		ServiceProxy: true, SharedSecret: "s3cret", CertFile: "/c", KeyFile: "/k", NetworkData: "complete",
		VendorAuth: VendorAuth{AuthURL: "http://k:5000/v3", Username: "nova", Password: "pa$word", UserDomain: "Default", ProjectDomain: "Default"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if log := out.String(); !strings.Contains(log, "option=my_ip") || strings.Count(log, "\n") != 1 {
		t.Errorf("log of unknown options:\n%s", log)
	}
	if s := slog.Any("x", got.SharedSecret).Value.Resolve().String(); strings.Contains(s, "s3cret") {
		t.Errorf("a log shows %s", s)
	}
	if !got.TLS() || !got.Serves() || !got.StaticVendor() || !got.DynamicVendor() {
		t.Error("what is on is not told")
	}
}

func TestReadNovaRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"[neutron]\nservice_metadata_proxy = maybe":           "[neutron] service_metadata_proxy: \"maybe\" is not a boolean",
		"[DEFAULT]\nmetadata_listen_port = 0":                 "[DEFAULT] metadata_listen_port",
		"[DEFAULT]\nmetadata_listen = all":                    "not an IP address",
		"[api]\nvendordata_dynamic_connect_timeout = 2":       "from 3",
		"[api]\nvendordata_providers = Other":                 "vendordata_providers",
		"[api]\nvendordata_jsonfile_path = $nowhere/x":        "$nowhere",
		"[DEFAULT]\nenabled_ssl_apis = metadata":              "ssl_cert_file",
		"[imprint]\nmetadata_trust = header":                  "metadata_trust",
		"[imprint]\nmetrics_listen = localhost":               "metrics_listen",
		"[vendordata_dynamic_auth]\nauth_type = v3kerberos\n": "auth_type",
	} {
		f, err := ParseINI(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadNova(f, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestLoadINI(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a", "[DEFAULT]\nx = 1\ny = 1\n"), write("b", "[DEFAULT]\nx = 2\n")
	f, err := LoadINI(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := f.Raw(INIOption{"DEFAULT", "x"}); x != "2" {
		t.Errorf("x is %q: the last file counts", x)
	}
	if _, err := LoadINI(a, write("c", "x\n")); err == nil || !strings.Contains(err.Error(), "c: line 1") {
		t.Errorf("error %v names no file and line", err)
	}
	if _, err := LoadINI(write("d", strings.Repeat("#", maxFile+1))); err == nil {
		t.Error("a huge file is read")
	}
}

func FuzzINI(f *testing.F) {
	f.Add("[DEFAULT]\na = $b\nb = ${a}\n[x]\n y\n")
	f.Add("[api]\nvendordata_jsonfile_path = $$\\$${x}\n")
	f.Fuzz(func(t *testing.T, text string) {
		ini, err := ParseINI(text)
		if err != nil {
			return
		}
		ReadNova(ini, nil)
	})
}
