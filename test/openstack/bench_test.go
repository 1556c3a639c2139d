//go:build openstack

package openstack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// benchPath is the document of the baseline.
const benchPath = "/openstack/latest/meta_data.json"

var (
	rateLine = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	badLine  = regexp.MustCompile(`Non-2xx.*|Socket errors.*`)
)

// baseline are wrk's numbers of connections.
var baseline = []int{1, 8, 32}

// perInstance are those that Imprint's proxy takes of one instance: it lets 8
// requests be under way at a time (nsproxy.Limits).
var perInstance = []int{1, 8}

// wrk loads for 10 s with each number of connections and returns the best rate
// in requests a second. prefix starts wrk, more are its arguments. A refusal is
// no answer: where there is one the benchmark fails.
func wrk(b *testing.B, what string, connections []int, prefix, more []string) float64 {
	b.Helper()
	best := 0.0
	for _, n := range connections {
		args := slices.Concat(prefix, []string{"wrk", "-t1", fmt.Sprintf("-c%d", n), "-d10s", "--latency"}, more)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		m := rateLine.FindSubmatch(out)
		if err != nil || m == nil {
			b.Fatalf("%v: %v: %s", args, err, out)
		}
		rate, _ := strconv.ParseFloat(string(m[1]), 64)
		bad := string(bytes.Join(badLine.FindAll(out, -1), []byte("; ")))
		fmt.Printf("%s, %d connections: %.0f requests/s, load %s %s\n", what, n, rate, load(), bad)
		if strings.Contains(bad, "Non-2xx") {
			b.Errorf("%s, %d connections: %s", what, n, bad)
		}
		best = max(best, rate)
	}
	return best
}

// load is the machine's load average of the last minute, and what runs now.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	f := strings.Fields(string(b))
	return f[0] + " (" + f[3] + ")"
}

func ratio(name string, ours, theirs float64, goal int) {
	fmt.Printf("%s: ratio %.2f (goal %d)\n", name, ours/theirs, goal)
}

func named(alias string) *instance {
	return instances[slices.IndexFunc(instances, func(i *instance) bool { return i.Alias == alias })]
}

// unlimited are the settings of Imprint's agent under a load that no instance
// makes.
const unlimited = "requests_per_second = 1000000\nrequests_burst = 1000000\nrequests_at_a_time = 1000\n"

// cached is Neutron's agent with the cache that its documentation names; it is
// off as shipped.
const cached = "[cache]\nenabled = true\nbackend = dogpile.cache.memory\nexpiration_time = 600\n"

// BenchmarkChain: from an instance behind a router to its document and back,
// through Neutron's and Nova's parts, as shipped and with the agent's cache on,
// and through Imprint's, which look up in the same Neutron.
func BenchmarkChain(b *testing.B) {
	fromC1 := []string{"ip", "netns", "exec", "osp-i-c1"}
	url := []string{metadataURL + benchPath}
	shipped := wrk(b, "haproxy, neutron-metadata-agent, nova", baseline, fromC1, url)

	conf := filepath.Join(b.TempDir(), "cache.ini")
	if err := os.WriteFile(conf, []byte(cached), 0o644); err != nil {
		b.Fatal(err)
	}
	readable(conf)
	mustShell(b, "stop neutron-metadata-agent; start neutron-metadata-agent neutron $V/neutron -- /usr/bin/neutron-metadata-agent --config-file "+
		neutronConf+" --config-file "+agentConf+" --config-file "+conf)
	b.Cleanup(func() { theirAgent(b, "") })
	if err := eventually("neutron-metadata-agent", func() error { return accepts("unix", agentSocket) }); err != nil {
		b.Fatal(err)
	}
	withCache := wrk(b, "haproxy, neutron-metadata-agent with its cache, nova", baseline, fromC1, url)

	useProxies(b, byHand)
	startService(b, instances)
	host, port, _ := strings.Cut(ourService, ":")
	useAgent(b, unlimited+"[DEFAULT]\nnova_metadata_host = "+host+"\nnova_metadata_port = "+port+"\n")
	ours := wrk(b, "imprint proxy, agent and service", perInstance, fromC1, url)
	ratio("chain-vs-neutron-as-shipped", ours, shipped, 100)
	ratio("chain-vs-neutron-cached", ours, withCache, 10)
}

// BenchmarkMetadata: the metadata services alone, asked as an agent asks. Nova
// closes every connection; cold is Nova without its cache, beside Imprint on
// fresh connections.
func BenchmarkMetadata(b *testing.B) {
	var headers []string
	for name, values := range named("c1").signed() {
		headers = append(headers, "-H", name+": "+values[0])
	}
	to := func(service string, more ...string) []string {
		return slices.Concat(headers, more, []string{"http://" + service + benchPath})
	}
	warm := wrk(b, "nova", baseline, nil, to(novaService))

	const overlay = "/etc/ospeer/nova/metadata.local.conf"
	before, err := os.ReadFile(overlay)
	if err == nil {
		err = os.WriteFile(overlay, []byte("[api]\nmetadata_cache_expiration = 0\n"), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	restart := func() {
		mustShell(b, `"$HERE/restart" nova-metadata`)
		if err := eventually("nova", func() error {
			r, err := named("c1").askNova(novaService, benchPath)
			if err == nil && r.Status != 200 {
				err = fmt.Errorf("%+v", r)
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		os.WriteFile(overlay, before, 0o644)
		restart()
	})
	restart()
	cold := wrk(b, "nova without its cache", baseline, nil, to(novaService))

	startService(b, instances)
	fresh := wrk(b, "imprint, fresh connections", baseline, nil, to(ourService, "-H", "Connection: close"))
	kept := wrk(b, "imprint, keep-alive", baseline, nil, to(ourService))
	ratio("metadata-vs-nova-fresh", fresh, warm, 3)
	ratio("metadata-vs-nova-keepalive", kept, warm, 10)
	ratio("metadata-vs-nova-cold", fresh, cold, 400)
}
