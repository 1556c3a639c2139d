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
	"time"
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

const loadTime = 10 * time.Second

// wrk loads over n connections and returns the rate in requests a second. prefix
// starts wrk, more are its arguments. A refusal is no answer: where there is one
// the benchmark fails. What is shown of processor time, of wrk and of all
// daemons, depends less than the rate on what else the machine does.
func wrk(b *testing.B, what string, n int, prefix, more []string) float64 {
	b.Helper()
	args := slices.Concat(prefix, []string{"wrk", "-t1", fmt.Sprintf("-c%d", n), "-d" + loadTime.String(), "--latency"}, more)
	before, used := load(), cpu()
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	m := rateLine.FindSubmatch(out)
	if err != nil || m == nil {
		b.Fatalf("%v: %v: %s", args, err, out)
	}
	rate, _ := strconv.ParseFloat(string(m[1]), 64)
	bad := string(bytes.Join(badLine.FindAll(out, -1), []byte("; ")))
	used = cpu() - used + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	each := used.Seconds() / (rate * loadTime.Seconds()) * 1e6
	fmt.Printf("%s, %d connections: %.0f requests/s, %.0f µs of processor time each; load before %s %s\n", what, n, rate, each, before, bad)
	if strings.Contains(bad, "Non-2xx") {
		b.Errorf("%s, %d connections: %s", what, n, bad)
	}
	return rate
}

// best is the best rate over these numbers of connections.
func best(b *testing.B, what string, connections []int, prefix, more []string) float64 {
	b.Helper()
	rate := 0.0
	for _, n := range connections {
		rate = max(rate, wrk(b, what, n, prefix, more))
	}
	return rate
}

// cpu is the processor time of all processes of this machine so far.
func cpu() time.Duration {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	ticks := int64(0)
	for _, file := range files {
		b, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 12 { // proc(5): utime and stime are fields 14 and 15
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
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

// unlimited is Neutron's setting of the agent's limits, under a load that no
// instance makes.
const unlimited = "[metadata_rate_limiting]\nrate_limit_enabled = true\nbase_window_duration = 1\n" +
	"base_query_rate_limit = 1000000\nburst_query_rate_limit = 1000000\n"

// cached is Neutron's agent with the cache that its documentation names; it is
// off as shipped.
const cached = "[cache]\nenabled = true\nbackend = dogpile.cache.memory\nexpiration_time = 600\n"

// BenchmarkChain: from an instance behind a router to its document and back,
// through Neutron's and Nova's parts, as shipped and with the agent's cache on,
// and through Imprint's, which look up in the same Neutron.
func BenchmarkChain(b *testing.B) {
	fromC1 := []string{"ip", "netns", "exec", "osp-i-c1"}
	url := []string{metadataURL + benchPath}
	shipped := best(b, "haproxy, neutron-metadata-agent, nova", baseline, fromC1, url)

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
	withCache := best(b, "haproxy, neutron-metadata-agent with its cache, nova", baseline, fromC1, url)

	useProxies(b, byHand)
	startService(b, instances)
	host, port, _ := strings.Cut(ourService, ":")
	useAgent(b, unlimited+"[DEFAULT]\nnova_metadata_host = "+host+"\nnova_metadata_port = "+port+"\n")
	ours := best(b, "imprint proxy, agent and service", perInstance, fromC1, url)
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
	startService(b, instances)
	warm, fresh, kept := 0.0, 0.0, 0.0
	for _, n := range baseline { // by turns, since others may load the machine
		warm = max(warm, wrk(b, "nova", n, nil, to(novaService)))
		fresh = max(fresh, wrk(b, "imprint, fresh connections", n, nil, to(ourService, "-H", "Connection: close")))
		kept = max(kept, wrk(b, "imprint, keep-alive", n, nil, to(ourService)))
	}

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
	cold := best(b, "nova without its cache", baseline, nil, to(novaService))
	ratio("metadata-vs-nova-fresh", fresh, warm, 3)
	ratio("metadata-vs-nova-keepalive", kept, warm, 10)
	ratio("metadata-vs-nova-cold", fresh, cold, 400)
}
