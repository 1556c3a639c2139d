package datasource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"imprint/base/cloudconfig"
)

// everySource are all, with these settings for those of the network.
func everySource(s Settings) []Source {
	return []Source{NewNoCloud(nil, s), NewConfigDrive(""), NewOpenStack(s), NewAliYun(s), NewEc2(s), NewNone(NoneSettings{})}
}

// A machine that says nothing of where it runs asks nobody.
func TestNobodyIsAskedWithoutIdentity(t *testing.T) {
	listed := func(list string) files { return files{"/etc/cloud/cloud.cfg": "datasource_list: " + list + "\n"} }
	for _, c := range []struct {
		name  string
		root  files
		arch  string
		asked bool
	}{
		{"nothing", files{}, "x86_64", false},
		{"nothing, on ARM", files{}, "aarch64", false},
		{"strict_id false", files{"/etc/cloud/cloud.cfg": "datasource: {Ec2: {\n strict_id: false\n}}\n", "/proc/cmdline": "ci.di.policy=maybe=all"}, "x86_64", false},
		{"many in the list", listed("[OpenStack, Ec2, None]"), "aarch64", false},
		{"one in the list", listed("[OpenStack, None]"), "x86_64", true},
		{"one on the command line", files{"/proc/cmdline": "ci.ds=Ec2"}, "aarch64", true},
		{"firmware", novaMachine, "aarch64", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				w := wire(func(*http.Request) (*http.Response, error) { asked.Add(1); return nil, syscall.ECONNREFUSED })
				i, all := Find(t.Context(), Env{Root: c.root, Arch: c.arch, Transport: w}, everySource(Settings{}))
				if i == nil || i.Name != "None" || (asked.Load() > 0) != c.asked {
					t.Errorf("asked %d times, %+v", asked.Load(), all)
				}
				for _, e := range all {
					if e.Reason == "" {
						t.Errorf("no reason: %+v", e)
					}
				}
			})
		})
	}
}

// Where a source is named, a seed that is there is not read.
func TestOnlyTheNamedSource(t *testing.T) {
	seed := files{"/var/lib/cloud/seed/nocloud/meta-data": "instance-id: s", "/var/lib/cloud/seed/nocloud/user-data": ""}
	for line, want := range map[string]string{"": "s", "ci.ds=None": "iid-datasource-none", "ci.datasource=NoCloud": "s", "ci.ds=ConfigDrive": "iid-datasource-none"} {
		root := files{"/proc/cmdline": line}
		maps.Copy(root, seed)
		i, all := Find(t.Context(), Env{Root: root, Arch: "x86_64"}, everySource(Settings{}))
		if i == nil || i.InstanceID != want {
			t.Errorf("%s: %+v, %+v", line, i, all)
		}
	}
}

// slow answers everything, d after it was asked; the connection is there at
// once.
func slow(d time.Duration, more http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		more.ServeHTTP(w, r)
	})
}

// Two addresses, the first slow: it is not overtaken once it took the
// connection, so the service is asked six times and no more.
func TestSixRequests(t *testing.T) {
	first, second := recorded(t, "c3"), recorded(t, "c3")
	begin := time.Now()
	set := Settings{URLs: []string{serve(t, slow(2*stagger, first)).BaseURL, serve(t, second).BaseURL}}
	i, err := NewOpenStack(set).Crawl(t.Context(), Env{Root: novaMachine})
	if err != nil || len(first.asked) != 6 || len(second.asked) != 0 || len(i.Tries) != 6 {
		t.Errorf("%v, %q, %q", err, first.asked, second.asked)
	}
	if took := time.Since(begin); took > 5*2*stagger { // two rounds of waiting, not six
		t.Errorf("took %s", took)
	}
}

func TestAddressesSideBySide(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for name, urls := range map[string]func(good string) []string{
		"the first is gone":    func(good string) []string { return []string{gone.URL, good} },
		"the first is broken":  func(good string) []string { return []string{serve(t, broken).BaseURL, good} },
		"the first is another": func(good string) []string { return []string{serve(t, table()).BaseURL, good} },
		"the last is gone":     func(good string) []string { return []string{good, gone.URL} },
	} {
		t.Run(name, func(t *testing.T) {
			good := serve(t, recorded(t, "c1")).BaseURL
			i, err := NewOpenStack(Settings{URLs: urls(good), MaxWait: -1}).Crawl(t.Context(), Env{Root: novaMachine})
			if err != nil || i.URL != good || i.Subplatform != "metadata ("+good+")" {
				t.Errorf("%+v, %v", i, err)
			}
		})
	}
}

// A service that takes each connection and gives a byte now and then costs a
// boot no more than the limit.
func TestCrawlIsBoundedInTotal(t *testing.T) {
	for _, endless := range []string{"/openstack", "/openstack/latest/user_data"} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			w := wire(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == endless {
					return &http.Response{StatusCode: 200, Body: &trickle{r.Context()}}, nil
				}
				return says(200, `{"uuid": "u1"}`), nil
			})
			_, err := NewOpenStack(Settings{}).Crawl(t.Context(), Env{Transport: w, BaseURL: DefaultURL})
			if took := time.Since(begin); err == nil || took > DefaultMaxWait+maxCrawl+time.Second {
				t.Errorf("%s: %v after %s", endless, err, took)
			}
			if !strings.Contains(err.Error(), "OpenStack") || !strings.Contains(err.Error(), DefaultURL+endless) {
				t.Errorf("%s: %v", endless, err)
			}
		})
	}
}

type trickle struct{ ctx context.Context }

func (t *trickle) Read(b []byte) (int, error) {
	if err := sleep(t.ctx, time.Second); err != nil {
		return 0, err
	}
	b[0] = 'x'
	return 1, nil
}

func (*trickle) Close() error { return nil }

// timeline remembers when each path was asked for.
type timeline struct {
	mu    sync.Mutex
	begin time.Time
	at    []time.Duration
}

func (l *timeline) add() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Since(l.begin).Round(time.Millisecond))
}

func TestWaitsBetweenTries(t *testing.T) {
	for _, c := range []struct {
		name string
		set  Settings
		says func() *http.Response
		want []time.Duration
	}{
		{"growing", Settings{Retries: 3}, func() *http.Response { return says(500, "") },
			[]time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond}},
		{"as configured", Settings{Retries: 2, Pause: 3 * time.Second}, func() *http.Response { return says(503, "") },
			[]time.Duration{0, 3 * time.Second, 6 * time.Second}},
		{"as the service says", Settings{Retries: 2}, func() *http.Response {
			r := says(429, "")
			r.Header.Set("Retry-After", "7")
			return r
		}, []time.Duration{0, 7 * time.Second, 14 * time.Second}},
		{"longer than that is too long", Settings{Retries: 1}, func() *http.Response {
			r := says(429, "")
			r.Header.Set("Retry-After", "99999999999999")
			return r
		}, []time.Duration{0, maxPause}},
		{"none", Settings{Retries: -1}, func() *http.Response { return says(500, "") }, []time.Duration{0}},
		{"final", Settings{}, func() *http.Response { return says(403, "") }, []time.Duration{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &timeline{begin: time.Now()}
				w := wire(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/user_data") {
						l.add()
						return c.says(), nil
					}
					return says(200, `{"uuid": "u1"}`), nil
				})
				if i, err := NewOpenStack(c.set).Crawl(t.Context(), Env{Transport: w, BaseURL: DefaultURL}); err == nil {
					t.Errorf("%+v", i)
				}
				if !slices.Equal(l.at, c.want) {
					t.Errorf("asked at %v, want %v", l.at, c.want)
				}
			})
		})
	}
}

// A service that wants a token from everybody gets one; nobody reads it in the
// log.
func TestTokenWhereItIsWanted(t *testing.T) {
	a := recorded(t, "c3")
	env := serve(t, tokens(a))
	var log bytes.Buffer
	env.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	i, err := NewOpenStack(Settings{}).Crawl(t.Context(), env)
	if err != nil || i.LocalHostname != "c3" || len(a.asked) != 6 {
		t.Fatalf("%+v, %v, %q", i, err, a.asked)
	}
	if told := fmt.Sprint(log.String(), i.Tries); strings.Contains(told, "TOKEN==") || !strings.Contains(told, "requests=8") {
		t.Error(told)
	}
	refused := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := NewOpenStack(Settings{}).Crawl(t.Context(), serve(t, refused)); !isStatus(err, http.StatusUnauthorized) || !strings.Contains(err.Error(), "session token") {
		t.Error(err)
	}
}

// No lease, as in a network without IPv4: the link-local address is left.
func TestNoLease(t *testing.T) {
	root := files{"/sys/class/dmi/id/product_name": "OpenStack Nova", "/sys/class/net/lo/address": "00:00:00:00:00:00", "/sys/class/net/ens3/address": "fa:16:3e:00:00:01"}
	noLease := errors.New("no lease")
	var asked []string
	w := wire(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		if r.URL.Host != "[fe80::a9fe:a9fe%ens3]" {
			return nil, syscall.ENETUNREACH
		}
		return recordedAnswer(t, r)
	})
	env := Env{Root: root, Arch: "x86_64", Transport: locked(w), Connect: func(context.Context) error { return noLease }}
	i, all := Find(t.Context(), env, everySource(Settings{MaxWait: -1}))
	if i == nil || i.Class != "DataSourceOpenStackLocal" || i.URL != "http://[fe80::a9fe:a9fe%25ens3]" || len(asked) != 6 {
		t.Errorf("%+v, %q, %+v", i, asked, all)
	}
	env.Root = novaMachine // no NIC
	i, all = Find(t.Context(), env, everySource(Settings{MaxWait: -1}))
	if i.Name != "None" || !strings.Contains(all[2].Error, "no lease") {
		t.Errorf("%+v, %+v", i, all)
	}
}

func locked(w wire) wire {
	var mu sync.Mutex
	return func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		return w(r)
	}
}

func recordedAnswer(t *testing.T, r *http.Request) (*http.Response, error) {
	if a, ok := recorded(t, "c1").by[r.URL.Path]; ok {
		return says(a.Status, a.Body), nil
	}
	return says(404, ""), nil
}

func TestReadSettings(t *testing.T) {
	n, err := cloudconfig.Parse([]byte(`{metadata_urls: ["http://a/", "ftp://b", "http://[fe80::1%25eth0]"], max_wait: -1, timeout: "5",
		retries: 0, sec_between_retries: 1.5, ec2_metadata: yes, strict_id: True}`))
	if err != nil {
		t.Fatal(err)
	}
	s, problems := ReadSettings(n, time.Second)
	if fmt.Sprintf("%+v", s) != "{URLs:[http://a http://[fe80::1%25eth0]] MaxWait:-1s Timeout:5s Retries:-1 Pause:1.5s EC2Tree:true StrictID:true}" ||
		len(problems) != 1 || !strings.Contains(problems[0], "ftp://b") {
		t.Errorf("%+v, %q", s, problems)
	}
	s, problems = ReadSettings(nil, time.Second)
	if s.MaxWait != time.Second || s.Retries != 0 || problems != nil {
		t.Errorf("%+v, %q", s, problems)
	}
	n, err = cloudconfig.Parse([]byte(`{max_wait: long, timeout: 1e30, metadata_urls: {a: b}}`))
	if err != nil {
		t.Fatal(err)
	}
	if s, problems = ReadSettings(n, 0); len(problems) != 3 || s.MaxWait != 0 {
		t.Errorf("%+v, %q", s, problems)
	}
}

// Whatever a service answers, a crawl ends, and its error names source and
// address.
func FuzzService(f *testing.F) {
	by := recorded(f, "c3").by
	f.Add(200, "", "", []byte(by["/openstack/2020-10-14/meta_data.json"].Body), []byte("latest\n"))
	f.Add(302, "Location", "/elsewhere", []byte("x"), []byte(by["/2009-04-04/meta-data/"].Body))
	f.Add(429, "Retry-After", "-1", []byte("{"), []byte("public-keys/\n0=a/b\n../x"))
	f.Add(401, "Content-Length", "99", []byte(`{"uuid": {}}`), []byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, status int, header, value string, document, list []byte) {
		w := wire(func(r *http.Request) (*http.Response, error) {
			body, code := document, 200
			if strings.HasSuffix(r.URL.Path, "/") || r.URL.Path == "/openstack" {
				body = list
			}
			if len(r.URL.Path)%3 == 0 {
				code = status
			}
			return &http.Response{StatusCode: code, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{header: {value}}, Request: r}, nil
		})
		env := Env{Root: novaMachine, Transport: w, BaseURL: DefaultURL}
		for _, s := range []Source{NewOpenStack(Settings{Retries: -1, MaxWait: -1, EC2Tree: true}), NewEc2(Settings{Retries: -1, MaxWait: -1}),
			NewAliYun(Settings{Retries: -1, MaxWait: -1})} {
			i, err := s.Crawl(t.Context(), env)
			if err == nil && !validID(i.InstanceID) {
				t.Fatalf("%+v", i)
			}
			if err != nil && !strings.Contains(err.Error(), s.Name()) {
				t.Fatalf("%s: %v", s.Name(), err)
			}
		}
	})
}
