//go:build openstack

package openstack

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instances are the seeded servers, plugged.
var instances []*instance

func TestMain(m *testing.M) {
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "openstack:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// setUp gives every instance a body. The network of c2 has no DHCP, so that
// metadata needs a router there.
func setUp() error {
	if err := accepts("tcp", novaService); err != nil {
		return fmt.Errorf("no control plane (make test-openstack starts one): %w", err)
	}
	_, err := shell("openstack router show r1 -c interfaces_info -f value | grep -q 10.10.3.1 || openstack router add subnet r1 nodhcp_v4")
	if err != nil {
		return err
	}
	if instances, err = readInstances(); err != nil {
		return err
	}
	for _, i := range instances {
		if err := i.plug(); err != nil {
			return err
		}
	}
	return nil
}

// answers are those to the captured paths of an instance.
type answers map[string]reply

// askAll asks for every captured path of every instance, by its alias.
func askAll(t *testing.T, f func(i *instance, path string) (reply, error)) map[string]answers {
	t.Helper()
	all := map[string]answers{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, i := range instances {
		asking.Go(func() {
			got := answers{}
			for _, path := range i.paths {
				r, err := f(i, path)
				if err != nil {
					t.Errorf("%s %s: %v", i.Alias, path, err)
					break
				}
				got[path] = r
			}
			mu.Lock()
			defer mu.Unlock()
			all[i.Alias] = got
		})
	}
	asking.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// askChain asks from the instances.
func askChain(t *testing.T) map[string]answers {
	t.Helper()
	return askAll(t, func(i *instance, path string) (reply, error) { return i.ask(metadataURL+path, nil) })
}

// real is what the real parts answer.
type real struct {
	chain map[string]answers // haproxy, neutron-metadata-agent and Nova
	nova  map[string]answers // Nova, to who signs
}

// askReal also makes sure that documents come through the real chain as Nova
// writes them, and that forged headers tell the real chain from the others: they
// make it fail.
func askReal(t *testing.T) real {
	t.Helper()
	r := real{
		chain: askChain(t),
		nova:  askAll(t, func(i *instance, path string) (reply, error) { return i.askNova(novaService, path) }),
	}
	if a, err := instances[0].ask(metadataURL+"/openstack", instances[1].signed()); err != nil || a.Status != http.StatusInternalServerError {
		t.Errorf("forged headers, haproxy and neutron-metadata-agent: %+v, %v", a, err)
	}
	documents := 0
	for alias, all := range r.nova {
		for path, nova := range all {
			if nova.Status != http.StatusOK {
				continue
			}
			documents++
			if diff := cmp.Diff(nova, r.chain[alias][path]); diff != "" {
				t.Errorf("%s %s: -nova +chain\n%s", alias, path, diff)
			}
		}
	}
	if documents < 900 {
		t.Errorf("only %d documents", documents)
	}
	return r
}

// check compares what a chain answers, and shows the first differences.
func check(t *testing.T, want, got map[string]answers) {
	t.Helper()
	same, differ := 0, 0
	for _, i := range instances {
		paths := slices.Sorted(slices.Values(i.paths))
		for _, path := range paths {
			diff := cmp.Diff(want[i.Alias][path], got[i.Alias][path])
			if diff == "" {
				same++
				continue
			}
			if differ++; differ <= 20 {
				t.Errorf("%s %s: -want +got\n%s", i.Alias, path, diff)
			}
		}
	}
	t.Logf("%d answers equal, %d not", same, differ)
}

// newer is what Imprint's service adds to Nova's answers: the version that
// Nova 31 added (docs/departures.md, newer-version).
func newer(all map[string]answers) map[string]answers {
	want := map[string]answers{}
	for alias, a := range all {
		want[alias] = answers{}
		for path, r := range a {
			if strings.Trim(path, "/") == "openstack" {
				r.Body = strings.Replace(r.Body, "\nlatest", "\n2025-04-04\nlatest", 1)
			}
			want[alias][path] = r
		}
	}
	return want
}

// TestChains: through every mix of parts the instances are told the same.
func TestChains(t *testing.T) {
	r := askReal(t)
	if t.Failed() {
		t.Fatal("the real parts do not agree")
	}
	t.Run("haproxy, imprint agent, nova", func(t *testing.T) {
		useAgent(t, "")
		check(t, r.nova, askChain(t))
		own(t)
	})
	t.Run("haproxy, imprint agent in neutron's form, nova", func(t *testing.T) {
		useAgent(t, "neutron_form = true\n")
		check(t, r.chain, askChain(t))
		own(t)
	})
	t.Run("imprint proxy, neutron-metadata-agent, nova", func(t *testing.T) {
		useProxies(t, byHand)
		check(t, r.chain, askChain(t))
		own(t)
		watched(t)
	})
	t.Run("imprint proxy, imprint agent, nova", func(t *testing.T) {
		useProxies(t, byHand)
		useAgent(t, "")
		check(t, r.nova, askChain(t))
		own(t)
	})
	t.Run("imprint proxy started by neutron, imprint agent, nova", func(t *testing.T) {
		asHaproxy(t)
		useProxies(t, byNeutron)
		useAgent(t, "")
		check(t, r.nova, askChain(t))
		own(t)
	})
	t.Run("haproxy, neutron-metadata-agent, imprint service", func(t *testing.T) {
		useService(t, instances)
		check(t, newer(r.chain), askChain(t))
	})
	t.Run("imprint service, signed requests", func(t *testing.T) {
		startService(t, instances)
		check(t, newer(r.nova), askAll(t, func(i *instance, path string) (reply, error) { return i.askNova(ourService, path) }))
	})
}

// own: over IPv6 too, and whatever it says of itself, an instance is told of
// itself.
func own(t *testing.T) {
	t.Helper()
	const path = "/openstack/latest/meta_data.json"
	for _, i := range instances {
		other := instances[(slices.Index(instances, i)+1)%len(instances)]
		if i.Alias == "c4" { // on an isolated network
			url, err := i.linkURL()
			if err != nil {
				t.Fatal(err)
			}
			tell(t, i, url+path, nil)
		}
		tell(t, i, metadataURL+path, other.signed())
	}
}

func tell(t *testing.T, i *instance, url string, forged http.Header) {
	t.Helper()
	r, err := i.ask(url, forged)
	if err != nil || !strings.Contains(r.Body, `"uuid": "`+i.ID+`"`) {
		t.Errorf("%s %s %v: %+v, %v", i.Alias, url, forged, r, err)
	}
}

// watched: Neutron's agents have taken the proxies for their own.
func watched(t *testing.T) {
	t.Helper()
	all, err := places()
	for _, p := range all {
		err = errors.Join(err, p.ours())
	}
	if err != nil {
		t.Error(err)
	}
}
