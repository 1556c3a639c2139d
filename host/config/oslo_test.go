package config

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/config/oslotest"
)

// departures are the cases that end otherwise than with oslo.config, on purpose.
var departures = map[string]string{
	"reference to an option of the files that nobody registered": "oslo.config knows every option of its service, this reader only those that it serves; in a nova.conf such a reference names another part's option",
	"reference to a boolean":                                     "stands as it is written; oslo.config puts Python's True or False in",
	"reference to a list":                                        "stands as it is written; oslo.config puts Python's form of a list in",
	"integer in Arabic digits":                                   "Python takes the digits of all scripts",
	"empty integer":                                              "is Python's None, with which Nova fails when it counts",
	"port 0":                                                     "cannot be told to a client",
	"listen on a name":                                           "Nova looks it up when it listens, here it is an error at once",
	"listen on nothing":                                          "Nova listens on every address; to be said by 0.0.0.0 or ::",
	"timeout of years":                                           "is a slip of the pen: a day is the most",
	"integer 99999999999999999999":                               "the same",
	"DeprecatedJSON":                                             "a provider of older releases, taken for StaticJSON",
	"older names of older releases":                              "names that Nova's 26.2.2 no longer reads, of files that are older",
	"huge file":                                                  "files have a limit, 1 MiB",
	"too many references":                                        "values have a limit of references, 1000",
}

// novaTypes are the options as Nova registers them (nova/conf, 26.2.2).
func novaTypes() []oslotest.Option {
	older := func(name string) []oslotest.Place { return []oslotest.Place{{Group: "DEFAULT", Name: name}} }
	least := func(n int) *int { return &n }
	d, api := "DEFAULT", "api"
	return []oslotest.Option{
		{Group: d, Name: "enabled_apis", Type: "list", Default: []string{"osapi_compute", "metadata"}, Choices: []string{"osapi_compute", "metadata"}},
		{Group: d, Name: "enabled_ssl_apis", Type: "list", Default: []string{}},
		{Group: d, Name: "metadata_listen", Type: "str", Default: "0.0.0.0"},
		{Group: d, Name: "metadata_listen_port", Type: "port", Default: 8775},
		{Group: d, Name: "state_path", Type: "str", Default: "/var/lib/nova"},
		{Group: d, Name: "flat_injected", Type: "bool", Default: false},
		{Group: api, Name: "dhcp_domain", Type: "str", Default: "novalocal", Older: older("dhcp_domain")},
		{Group: api, Name: "vendordata_providers", Type: "list", Default: []string{"StaticJSON"}, Choices: []string{"StaticJSON", "DynamicJSON"}, Older: older("vendordata_providers")},
		{Group: api, Name: "vendordata_jsonfile_path", Type: "str", Older: older("vendordata_jsonfile_path")},
		{Group: api, Name: "vendordata_dynamic_targets", Type: "list", Default: []string{}, Older: older("vendordata_dynamic_targets")},
		{Group: api, Name: "vendordata_dynamic_ssl_certfile", Type: "str", Default: "", Older: older("vendordata_dynamic_ssl_certfile")},
		{Group: api, Name: "vendordata_dynamic_connect_timeout", Type: "int", Min: least(3), Default: 5, Older: older("vendordata_dynamic_connect_timeout")},
		{Group: api, Name: "vendordata_dynamic_read_timeout", Type: "int", Min: least(0), Default: 5, Older: older("vendordata_dynamic_read_timeout")},
		{Group: api, Name: "vendordata_dynamic_failure_fatal", Type: "bool", Default: false},
		{Group: api, Name: "metadata_cache_expiration", Type: "int", Min: least(0), Default: 15, Older: older("metadata_cache_expiration")},
		{Group: api, Name: "use_forwarded_for", Type: "bool", Default: false, Older: older("use_forwarded_for")},
		{Group: "neutron", Name: "service_metadata_proxy", Type: "bool", Default: false},
		{Group: "neutron", Name: "metadata_proxy_shared_secret", Type: "str", Default: ""},
		{Group: "wsgi", Name: "ssl_cert_file", Type: "str", Older: older("ssl_cert_file")},
	}
}

// novaValues are the same options of ours, in oslo.config's form.
func novaValues(n Nova) map[string]any {
	items := func(of []string) []any {
		out := []any{}
		for _, s := range of {
			out = append(out, s)
		}
		return out
	}
	at := strings.LastIndex(n.Listen, ":")
	var port float64
	fmt.Sscan(n.Listen[at+1:], &port)
	return map[string]any{
		"[DEFAULT] enabled_apis": items(n.EnabledAPIs), "[DEFAULT] enabled_ssl_apis": items(n.EnabledSSLAPIs),
		"[DEFAULT] metadata_listen": strings.Trim(n.Listen[:at], "[]"), "[DEFAULT] metadata_listen_port": port,
		"[DEFAULT] flat_injected": n.FlatInjected, "[api] dhcp_domain": n.DHCPDomain,
		"[api] vendordata_providers": items(n.VendorProviders), "[api] vendordata_jsonfile_path": n.VendorFile,
		"[api] vendordata_dynamic_targets": items(n.VendorTargets), "[api] vendordata_dynamic_ssl_certfile": n.VendorCA,
		"[api] vendordata_dynamic_connect_timeout": float64(n.ConnectTimeout / time.Second),
		"[api] vendordata_dynamic_read_timeout":    float64(n.ReadTimeout / time.Second),
		"[api] vendordata_dynamic_failure_fatal":   n.FailureFatal,
		"[api] metadata_cache_expiration":          float64(n.CacheExpiration / time.Second),
		"[api] use_forwarded_for":                  n.UseForwardedFor, "[neutron] service_metadata_proxy": n.ServiceProxy,
		"[neutron] metadata_proxy_shared_secret": string(n.SharedSecret), "[wsgi] ssl_cert_file": n.CertFile,
	}
}

// TestNovaAsOslo reads files as nova.conf with the real oslo.config and with
// ReadNova.
func TestNovaAsOslo(t *testing.T) {
	cases := novaCases()
	for i, a := range oslotest.Ask(t, novaTypes(), cases) {
		c := cases[i]
		t.Run(c.Name, func(t *testing.T) {
			want := map[string]any{}
			for at, v := range a.Values {
				if v == nil {
					v = ""
				}
				want[at] = v
			}
			delete(want, "[DEFAULT] state_path")
			got, err := map[string]any(nil), error(nil)
			f, err := LoadINI(caseFiles(t, a.Dir, c.Args)...)
			var n Nova
			if err == nil {
				n, err = ReadNova(f, nil)
			}
			if err == nil {
				got = novaValues(n)
			}
			var diff string
			switch refused := a.Refusal(); {
			case (refused != "") != (err != nil):
				diff = fmt.Sprintf("ours: %v; oslo.config: %q", err, refused)
			case err == nil:
				diff = cmp.Diff(want, got)
			}
			compare(t, c.Name, diff)
		})
	}
}

// compare knows the departures, which are to be there.
func compare(t *testing.T, name, diff string) {
	t.Helper()
	if reason, known := departures[name]; known == (diff == "") {
		t.Errorf("departure %q: %s", reason, diff)
	}
}

// caseFiles are the files that a command line names.
func caseFiles(t *testing.T, dir string, args []string) []string {
	t.Helper()
	var paths []string
	for i := 0; i < len(args); i += 2 {
		path := filepath.Join(dir, args[i+1])
		if args[i] == "--config-file" {
			paths = append(paths, path)
			continue
		}
		more, err := INIFiles(path)
		if err != nil {
			return []string{filepath.Join(path, "missing")}
		}
		paths = append(paths, more...)
	}
	return paths
}

func novaCases() []oslotest.Case {
	def := func(name, lines string) oslotest.Case { return oslotest.One(name, "[DEFAULT]\n"+lines+"\n") }
	api := func(name, lines string) oslotest.Case { return oslotest.One(name, "[api]\n"+lines+"\n") }
	cases := []oslotest.Case{
		oslotest.One("empty", ""),
		api("older group", "[DEFAULT]\ndhcp_domain = old"),
		api("older group does not win", "dhcp_domain = new\n[DEFAULT]\ndhcp_domain = old"),
		api("no older group", "[DEFAULT]\nvendordata_dynamic_failure_fatal = true"),
		api("reference from an older place is of the new group", "dhcp_domain =\nvendordata_jsonfile_path = /new\n[DEFAULT]\nvendordata_dynamic_ssl_certfile = $vendordata_jsonfile_path/x"),
		{Name: "older name in a later file wins", Files: map[string]string{"a": "[api]\ndhcp_domain = new\n", "b": "[DEFAULT]\ndhcp_domain = old\n"}, Args: []string{"--config-file", "a", "--config-file", "b"}},
		{Name: "new name in a later file wins", Files: map[string]string{"a": "[DEFAULT]\ndhcp_domain = old\n", "b": "[api]\ndhcp_domain = new\n"}, Args: []string{"--config-file", "a", "--config-file", "b"}},
		api("reference to a default", "vendordata_jsonfile_path = $state_path/v.json"),
		api("reference to nothing registered", "vendordata_jsonfile_path = $nowhere/v.json"),
		api("reference to an option of the files that nobody registered", "vendordata_jsonfile_path = $my_ip/v.json\n[DEFAULT]\nmy_ip = 192.0.2.1"),
		api("reference to a boolean", "dhcp_domain = x$use_forwarded_for"),
		api("reference to a list", "dhcp_domain = $enabled_apis"),
		api("reference to an integer", "dhcp_domain = x$metadata_cache_expiration"),
		api("reference to none", "dhcp_domain = x${vendordata_jsonfile_path}y"),
		api("reference in a list", "vendordata_dynamic_targets = a@http://${metadata_listen}:1, $dhcp_domain"),
		api("reference in an integer", "metadata_cache_expiration = $vendordata_dynamic_read_timeout"),
		oslotest.One("reference across groups", "[neutron]\nmetadata_proxy_shared_secret = ${api.dhcp_domain}$$\n"),
		oslotest.One("secret of dollars", "[neutron]\nmetadata_proxy_shared_secret = a$$b\\$c$1d$\n"),
		oslotest.One("secret of spaces", "[neutron]\nmetadata_proxy_shared_secret = \" a \"\n"),
		oslotest.One("secret with a comment sign", "[neutron]\nmetadata_proxy_shared_secret = a # b ; c\n"),
		oslotest.One("secret of tabs", "[neutron]\nmetadata_proxy_shared_secret =\ta\tb\t\n"),
		oslotest.One("older names of older releases", "[neutron]\nservice_neutron_metadata_proxy = true\n"),
		def("DeprecatedJSON", "vendordata_providers = DeprecatedJSON"),
		def("port 0", "metadata_listen_port = 0"),
		def("listen on a name", "metadata_listen = localhost"),
		def("listen on nothing", "metadata_listen ="),
		def("listen on an option", "metadata_listen = 192.0.2.7"),
		def("unknown API", "enabled_apis = metadata, ec2"),
		api("timeout of years", "vendordata_dynamic_read_timeout = 100000000"),
		api("connect timeout too low", "vendordata_dynamic_connect_timeout = 2"),
		api("integer in Arabic digits", "metadata_cache_expiration = ٣"),
		api("empty integer", "metadata_cache_expiration ="),
		oslotest.One("group in capitals", "[API]\ndhcp_domain = x\n"),
		oslotest.One("DEFAULT in small letters", "[default]\ndhcp_domain = x\n"),
		oslotest.One("option in capitals", "[api]\nDHCP_DOMAIN = x\n"),
		oslotest.One("option with a dash", "[api]\ndhcp-domain = x\n"),
		{Name: "huge file", Files: map[string]string{"a": strings.Repeat("#\n", maxFile)}, Args: []string{"--config-file", "a"}},
	}
	for _, v := range []string{"true", "TRUE", "yes", "On", "1", "0", "no", "OFF", "False", "t", "y", "2", "", " true ", `" true "`, `"true"`, "true # no", "enabled"} {
		cases = append(cases, api("boolean "+v, "use_forwarded_for = "+v))
	}
	for _, v := range []string{"0", "00012", "+5", "-1", "1_000", "1__0", "_1", "0x10", "1.0", "1e3", "5 s", `" 7 "`, "99999999999999999999"} {
		cases = append(cases, api("integer "+v, "metadata_cache_expiration = "+v))
	}
	for _, v := range []string{"", ",", "a", "a,b", " a , b ,", "a,,b", ",a", "a,b,,", `"a,b"`, `"a","b"`, `'a', "b c"`, "a\n  b", "a,\n\tb", "[a,b]", "a b", "a, ,"} {
		cases = append(cases, api(fmt.Sprintf("list %q", v), "vendordata_dynamic_targets = "+v))
	}
	for _, v := range []string{"DynamicJSON,StaticJSON", "staticjson", "StaticJSON,,DynamicJSON", "StaticJSON DynamicJSON", "StaticJSON,", ""} {
		cases = append(cases, api("choices "+v, "vendordata_providers = "+v))
	}
	return cases
}

// words of the grammar and of what breaks it.
var iniWords = []string{
	"[DEFAULT]\n", "[g]\n", "[G]\n", "[other]\n", "[default]\n", "[ g ]\n", "[g] # x\n", "[g", "[]\n", "a = ", "b=", "a: ", "b : x=y\n", "c = $a\n",
	"a = ${b}\n", "c = ${g.a}\n", "b = ${DEFAULT.a}\n", "c = ${G.a}\n", "b = $$a\n", "c = \\$a\n", "x", "y z", "\n", "\n", "\n", "\r\n", "\r", " ", "\t", "  more\n",
	"\tmore\n", "# comment\n", "; comment\n", "\"", "'", "\"q\"\n", "' s '\n", "=", ":", "$", "${", "\\", "\ufeff", "é", "\u00a0", "\u2003", "\x1c", "\f", "\v", "\x85", "9m = 1\n", "9m = 2\n", "c.d = 1\n",
}

// TestINIAsOslo reads files of all kinds with options of plain text.
func TestINIAsOslo(t *testing.T) {
	var types []oslotest.Option
	var known []Option
	// A name that begins with a digit is none that references could name.
	for _, group := range []string{"DEFAULT", "g"} {
		for _, name := range []string{"a", "b", "c"} {
			types = append(types, oslotest.Option{Group: group, Name: name, Type: "str", Default: "d-" + name})
			known = append(known, Option{INIOption{group, name}, nil, "d-" + name})
		}
		types = append(types, oslotest.Option{Group: group, Name: "9m", Type: "multi", Default: []string{}})
	}
	types = append(types, oslotest.Option{Group: "g", Name: "new", Type: "str", Default: "d", Older: []oslotest.Place{{Group: "g", Name: "old"}, {Group: "DEFAULT", Name: "older"}}})
	known = append(known, Option{INIOption{"g", "new"}, []INIOption{{"g", "old"}, {"DEFAULT", "older"}}, "d"})
	cases := iniCases()
	for i, a := range oslotest.Ask(t, types, cases) {
		c := cases[i]
		t.Run(c.Name, func(t *testing.T) {
			f, err := LoadINI(caseFiles(t, a.Dir, c.Args)...)
			if (err != nil) != (a.Refused != "") {
				compare(t, c.Name, fmt.Sprintf("%q\nours: %v; oslo.config: %q", c.Files, err, a.Refused))
			}
			if err != nil {
				return
			}
			want, got := map[string]any{}, map[string]any{}
			for _, o := range types {
				place := INIOption{o.Group, o.Name}
				at := place.String()
				if want[at] = a.Values[at]; a.Options[at] != "" {
					want[at] = "refused"
				}
				if o.Type == "multi" {
					if got[at] = multi(f, place); strings.Contains(fmt.Sprint(got[at]), "$") {
						got[at] = want[at] // All leaves references as they are
					}
					continue
				}
				i := slices.IndexFunc(known, func(k Option) bool { return k.INIOption == place })
				v, err := f.Value(known[i], known)
				if got[at] = v; err != nil {
					got[at] = "refused"
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				diff = fmt.Sprintf("%q\n%v\n%s", c.Files, a.Options, diff)
				compare(t, c.Name, diff)
				return
			}
			compare(t, c.Name, "")
		})
	}
}

func multi(f *INI, o INIOption) []any {
	out := []any{}
	for _, v := range f.All(o) {
		out = append(out, v)
	}
	return out
}

func iniCases() []oslotest.Case {
	files := map[string]string{
		"1": "[DEFAULT]\na = 1\na = 1b\n9m = 1\n9m = 2\n[g]\nold = 1\n", "2": "[DEFAULT]\na = 2\n9m = 3\nolder = 2\n[g]\nnew = 2\n", "3": "[DEFAULT]\nolder = 3\n[G]\nb = $a\n",
		"d/20.conf": "[DEFAULT]\na = d20\n9m = d20\n", "d/10.conf": "[DEFAULT]\na = d10\n9m = d10\n[g]\nold = d\n", "d/.hidden.conf": "broken\n", "d/x.ini": "broken\n", "d/100.conf": "[g]\nb = d100\n",
		"e/a.conf": "[DEFAULT]\nb = e\n",
	}
	of := func(args ...string) oslotest.Case {
		return oslotest.Case{Name: strings.Join(args, " "), Files: files, Args: args}
	}
	file, dir := "--config-file", "--config-dir"
	chain := "[DEFAULT]\na = x\n[g]\na = $b\nb = $c\nc = ${a}\n"
	cases := []oslotest.Case{
		of(file, "1"), of(file, "1", file, "2"), of(file, "2", file, "1"), of(file, "1", file, "2", file, "3"), of(file, "3", file, "1"), of(file, "1", file, "1"),
		of(dir, "d"), of(file, "1", dir, "d"), of(dir, "d", file, "1"), of(dir, "d", dir, "e", file, "2"), of(dir, "none"), of(file, "none"), of(file, "d"),
		oslotest.One("bad UTF-8", "[DEFAULT]\na = \xff\n"),
		oslotest.One("bad UTF-8 in a comment", "# \xe9\n[DEFAULT]\na = 1\n"),
		oslotest.One("BOM", "\ufeff[DEFAULT]\na = 1\n"),
		oslotest.One("BOM and comment", "\ufeff# x\n[DEFAULT]\na = 1\n"),
		oslotest.One("CRLF", "[DEFAULT]\r\na = 1\r\n  2\r\n\r\nb = 2\r\n"),
		oslotest.One("old Macintosh", "[DEFAULT]\ra = 1\r  2\rb = 2\r"),
		oslotest.One("no end", "[DEFAULT]\na = 1\n  2"),
		oslotest.One("NUL", "[DEFAULT]\na = 1\x002\n"),
		oslotest.One("loop", chain),
		oslotest.One("reference to an older name", "[g]\na = $old $older ${g.old}\nold = 1\nc = ${g.new}\n[DEFAULT]\na = $older\nb = $new\n"),
		oslotest.One("reference to an option in small letters only", "[g]\na = $B\n"),
		oslotest.One("reference with a dot at its end", "[g]\na = $b.\nb = 1\n"),
		oslotest.One("reference to a group", "[g]\na = $g\n"),
		oslotest.One("reference to an unknown group", "[g]\na = ${h.a}\n"),
		oslotest.One("reference to another's group that falls back", "[DEFAULT]\na = ${g.b}x\n[g]\nc = ${g.zz}\n"),
		oslotest.One("reference into DEFAULT and back", "[DEFAULT]\na = 1$b\nb = 2\n[g]\nb = 3\nc = $a\n"),
		oslotest.One("reference in quotes", "[g]\na = \"$b\"\nb = ' 1 '\n"),
		oslotest.One("backslashes", "[g]\na = \\\\$b\nb = \\n\\$\\$b\nc = $$$b $$$$b\n"),
		oslotest.One("too many references", "[g]\na = "+strings.Repeat("$b", maxReferences+1)+"\n"),
		oslotest.One("deep references", "[DEFAULT]\na = $b\nb = $c\nc = ${g.a}\n[g]\na = ${g.b}\nb = ${g.c}\nc = ${new}\nnew = 7\n"),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		text := "[DEFAULT]\n"
		for range 3 + random.IntN(14) {
			text += iniWords[random.IntN(len(iniWords))]
		}
		cases = append(cases, oslotest.One(fmt.Sprint("generated ", i), text))
	}
	return cases
}
