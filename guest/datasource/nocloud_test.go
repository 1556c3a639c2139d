package datasource

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"imprint/base/cloudconfig"
)

func crawlSeed(t testing.TB, config string, env Env) (*Instance, error) {
	t.Helper()
	n, err := cloudconfig.Parse([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return NewNoCloud(n, Settings{MaxWait: -1, Retries: -1}).Crawl(t.Context(), env)
}

// Errors say where the seed is and what is wrong with it.
func TestNoCloudErrors(t *testing.T) {
	const dir = "/var/lib/cloud/seed/nocloud/"
	damaged := iso(t, "cidata", map[string]string{"meta-data": "a: b", "user-data": "x"})
	copy(damaged[16*2048+156:], make([]byte, 34)) // the root directory
	for _, c := range []struct {
		name string
		env  Env
		says []string
	}{
		{"nothing", Env{Root: files{}}, []string{"NoCloud", "there is no seed"}},
		{"half a volume", Env{Root: files{}, Disks: disks{"/dev/vdb": fat(t, "CIDATA", map[string]string{"meta-data": "a: b"})}}, []string{"/dev/vdb", "user-data and meta-data"}},
		{"a damaged volume", Env{Root: files{}, Disks: disks{"/dev/sr0": damaged}}, []string{"/dev/sr0", "ISO 9660"}},
		{"a path as instance id", Env{Root: files{dir + "meta-data": "instance-id: ../../etc", dir + "user-data": ""}}, []string{dir[:len(dir)-1], "instance-id"}},
		{"disabled", Env{Root: files{"/proc/cmdline": "ds=nocloud;dsmode=disabled"}}, []string{"cmdline", "disabled"}},
		{"no such directory", Env{Root: files{"/proc/cmdline": "ds=nocloud;s=/srv/"}}, []string{"/srv/meta-data"}},
		{"no such scheme", Env{Root: files{"/proc/cmdline": "ds=nocloud;s=gopher://u:geheim@a/"}}, []string{"gopher://u:xxxxx@a/"}},
		{"no server", Env{Root: files{"/proc/cmdline": "ds=nocloud-net;s=http://u:geheim@127.0.0.1:1/"}}, []string{"http://", "127.0.0.1:1/meta-data", "refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := crawlSeed(t, "", c.env)
			if err == nil {
				t.Fatalf("%+v", i)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v does not say %s", err, s)
				}
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Error(err)
			}
		})
	}
}

// A seed's address may lead elsewhere, but not around in circles, and not out
// of TLS.
func TestNoCloudRedirects(t *testing.T) {
	target := serve(t, table("/meta-data", "instance-id: r1", "/user-data", "")).BaseURL
	to := func(where string) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, where+r.URL.Path, http.StatusFound)
		})).BaseURL
	}
	i, err := crawlSeed(t, "seedfrom: "+to(target)+"/", Env{Root: files{}})
	if err != nil || i.InstanceID != "r1" {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := crawlSeed(t, "seedfrom: "+to("")+"/", Env{Root: files{}}); !isStatus(err, http.StatusFound) {
		t.Errorf("%+v, %v", i, err)
	}
	via := []*http.Request{{URL: mustURL(t, "https://a/")}}
	if err := anyHost(&http.Request{URL: mustURL(t, "http://a/")}, via); !errors.Is(err, http.ErrUseLastResponse) {
		t.Error(err)
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A file that never ends, as a link to a device would be.
type endless struct{ files }

func (e endless) ReadFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, "/user-data") {
		return make([]byte, maxDocument+1), nil
	}
	return e.files.ReadFile(name)
}

func TestNoCloudTooLarge(t *testing.T) {
	root := endless{files{"/var/lib/cloud/seed/nocloud/meta-data": "a: b", "/var/lib/cloud/seed/nocloud/x": ""}}
	if i, err := crawlSeed(t, "", Env{Root: root}); err == nil || !strings.Contains(err.Error(), "user-data: "+errTooLarge.Error()) {
		t.Errorf("%+v, %v", i, err)
	}
	big := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, zeros{}, maxDocument+1) })
	if i, err := crawlSeed(t, "seedfrom: "+serve(t, big).BaseURL+"/", Env{Root: files{}}); !errors.Is(err, errTooLarge) {
		t.Errorf("%+v, %v", i, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Any words, any files, any volume: an error or an instance, and no end of time.
func FuzzNoCloud(f *testing.F) {
	tree := map[string]string{"meta-data": "instance-id: i", "user-data": "u", "network-config": "version: 1"}
	images := [][]byte{iso(f, "cidata", tree), fat(f, "CIDATA", tree)}
	f.Add("ds=nocloud;i=a;h=b", "ds=nocloud-net;s=/", []byte("a: b\ninstance-id: 5\n"), []byte("version: 2"), true, 16*2048+156, []byte("\xff"))
	f.Add("ds=nocloud-net ds=nocloudy;=;==;s=%s%s", "", []byte("public-keys: {a: {b: [c]}}\ndsmode: 7\n"), []byte("[1]"), false, 11, []byte("\x00\x00\x01"))
	f.Add("", "ds=nocloud;s=file://%s", []byte("&a [*a]"), []byte("{"), true, 40, []byte("\x00"))
	f.Fuzz(func(t *testing.T, line, serial string, meta, network []byte, optical bool, at int, patch []byte) {
		image := images[1]
		if optical {
			image = images[0]
		}
		image = bytes.Clone(image)
		if at >= 0 && at < len(image) {
			copy(image[at:], patch)
		}
		const dir = "/var/lib/cloud/seed/nocloud/"
		env := Env{Disks: disks{"/dev/vdb": image}, Arch: "x86_64", Root: files{"/proc/cmdline": line, "/sys/class/dmi/id/product_serial": serial,
			dir + "meta-data": string(meta), dir + "user-data": "x", dir + "network-config": string(network)},
			Transport: wire(func(*http.Request) (*http.Response, error) { return says(404, ""), nil })}
		source := NewNoCloud(nil, Settings{MaxWait: -1, Retries: -1})
		e := source.Detect(env)
		i, err := source.Crawl(t.Context(), env)
		if err != nil && !strings.Contains(err.Error(), "NoCloud") {
			t.Fatal(err)
		}
		if err == nil {
			if e.Verdict != Present || !validID(i.InstanceID) || i.Seed == "" {
				t.Fatalf("%+v, %+v", e, i)
			}
			i.Network(nil)
		}
	})
}
