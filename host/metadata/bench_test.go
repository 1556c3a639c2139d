package metadata

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// bootPaths are what a boot asks for: cloud-init 22.4's OpenStack data source
// and some of an EC2 crawl.
func bootPaths() []string {
	return []string{
		"/openstack", "/openstack/2018-08-27/meta_data.json", "/openstack/2018-08-27/user_data", "/openstack/2018-08-27/vendor_data.json",
		"/openstack/2018-08-27/vendor_data2.json", "/openstack/2018-08-27/network_data.json", "/latest/meta-data/",
		"/latest/meta-data/instance-id", "/latest/meta-data/hostname", "/latest/meta-data/public-keys/0/openssh-key",
	}
}

func benchID(i int) cloud.ServerID {
	return cloud.ServerID(fmt.Sprintf("00000000-0000-4000-8000-%012x", i))
}

// benchBlobs has 1 KiB of user data for each digest.
type benchBlobs struct{}

func (benchBlobs) ReadAll(d cloud.Digest, _ int64) ([]byte, error) {
	b := make([]byte, 1024)
	copy(b, "#!/bin/sh\n# ")
	copy(b[12:], d)
	return b, nil
}

// benchModel has n servers with keys of their own, four properties and user
// data, a thousand on each network.
func benchModel(n int) *cloud.Model {
	m := cloud.NewModel()
	for i := range n {
		network := cloud.NetworkID(fmt.Sprintf("net-%d", i/1000))
		subnet := cloud.SubnetID("sub-" + string(network))
		if i%1000 == 0 {
			m.Apply(cloud.Change{Record: &cloud.Network{NetworkID: network, MTU: 1450}})
			m.Apply(cloud.Change{Record: &cloud.Subnet{SubnetID: subnet, NetworkID: network, CIDR: netip.MustParsePrefix("10.0.0.0/16"), DHCP: true}})
		}
		port, server := benchServer(i, network, subnet)
		m.Apply(cloud.Change{Record: port})
		m.Apply(cloud.Change{Record: server})
	}
	return m
}

func benchServer(i int, network cloud.NetworkID, subnet cloud.SubnetID) (*cloud.Port, *cloud.Server) {
	id, addr := benchID(i), [4]byte{10, 0, byte(i % 1000 / 250), byte(i%250) + 1}
	port := &cloud.Port{
		PortID: cloud.PortID(fmt.Sprintf("00000000-0000-4000-9000-%012x", i)), NetworkID: network, ProjectID: "p", DeviceID: string(id),
		MAC: cloud.MAC(fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", byte(i>>16), byte(i>>8), byte(i))), FixedIPs: []cloud.FixedIP{{SubnetID: subnet, Addr: netip.AddrFrom4(addr)}},
	}
	key := make([]byte, 32)
	binary.BigEndian.PutUint64(key, uint64(i))
	return port, &cloud.Server{
		ServerID: id, ProjectID: "p", Number: int64(i), Name: "server-" + strconv.Itoa(i), HostName: "server-" + strconv.Itoa(i), AvailabilityZone: "nova",
		KeyName: "key-" + strconv.Itoa(i), KeyType: "ssh", PublicKey: fmt.Sprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI%x me@%d", key, i),
		Metadata: map[string]string{"role": "web", "n": strconv.Itoa(i), "owner": "team-" + strconv.Itoa(i%97), "text": "two words"},
		UserData: cloud.Digest(fmt.Sprintf("%064x", i)), ImageID: "0badcafe-0000-4000-8000-000000000001", Flavor: cloud.Flavor{Name: "m1.tiny"},
		ReservationID: "r-abcdefgh", SecurityGroups: []string{"default"}, Ports: []cloud.PortID{port.PortID},
	}
}

// wire is a request as it goes out.
func wire(id cloud.ServerID, path string, closing bool) []byte {
	connection := "keep-alive"
	if closing {
		connection = "close"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\nUser-Agent: Cloud-Init/22.4\r\nAccept: */*\r\nConnection: %s\r\n"+
		"X-Forwarded-For: 10.0.0.1\r\nX-Instance-ID: %s\r\nX-Tenant-ID: p\r\nX-Instance-ID-Signature: %s\r\n\r\n",
		path, connection, id, cloud.Signature(goldenSecret, id))
}

// once makes each request once on a few kept connections, and returns the
// requests a second.
func once(b testing.TB, address string, requests [][]byte) float64 {
	var next atomic.Int64
	var asking sync.WaitGroup
	begin := time.Now()
	for range 8 {
		asking.Go(func() {
			c := dial(b, address)
			defer c.Close()
			in := bufio.NewReader(c)
			for n := next.Add(1); int(n) <= len(requests); n = next.Add(1) {
				request := bytes.Replace(requests[n-1], []byte("Connection: close"), []byte("Connection: keep-alive"), 1)
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := readAnswer(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()
	return float64(len(requests)) / time.Since(begin).Seconds()
}

// rate is a number of requests by time and by time of the processors.
type rate struct{ second, cpuSecond float64 }

// processors is the time that they spent for this process.
func processors(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// load asks with some connections at once for a while.
func load(b testing.TB, address string, requests [][]byte, keepAlive bool, d time.Duration) rate {
	var count atomic.Int64
	var asking sync.WaitGroup
	begin, spent := time.Now(), processors(b)
	end := begin.Add(d)
	for range 8 {
		asking.Go(func() {
			var c net.Conn
			var in *bufio.Reader
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			for time.Now().Before(end) {
				if c == nil {
					var err error
					if c, err = net.Dial("tcp", address); err != nil {
						b.Error(err)
						return
					}
					c.(*net.TCPConn).SetLinger(0) // leave no port behind
					in = bufio.NewReader(c)
				}
				if _, err := c.Write(requests[rand.IntN(len(requests))]); err != nil {
					b.Error(err)
					return
				}
				if err := readAnswer(in); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
				if !keepAlive {
					c.Close()
					c = nil
				}
			}
		})
	}
	asking.Wait()
	n := float64(count.Load())
	return rate{n / time.Since(begin).Seconds(), n / (processors(b) - spent).Seconds()}
}

// readAnswer reads a 200 with a length, as lean as a client can be.
func readAnswer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answer %q", line)
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer without length")
	}
	_, err := in.Discard(length)
	return err
}

// bare answers each path with as many bytes as the service does.
func bare(b *testing.B, of *Index) string {
	bodies := map[string][]byte{}
	told, err := of.Told(benchID(7))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range bootPaths() {
		d, err := told.Instance().Lookup(openstack.Request{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		bodies[path] = bytes.Repeat([]byte("x"), len(d.Body))
	}
	l := loopback(b)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := bodies[r.URL.Path]
		w.Header().Set("Content-Type", openstack.TypeText)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})}
	go server.Serve(l)
	b.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// filled is an index of a model.
func filled(b testing.TB, nouns Nouns) *Index {
	x := NewIndex(Site{Domain: "novalocal"}, nouns, benchBlobs{}, nil)
	if !x.refresh() {
		b.Fatal("the index is not complete")
	}
	return x
}

// logFile is what a service writes its log to: a file.
func logFile(b testing.TB) *slog.Logger {
	f, err := os.Create(filepath.Join(b.TempDir(), "access.log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return slog.New(slog.NewJSONHandler(f, nil))
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func goal(name string, ratio, goal float64) {
	fmt.Printf("\n%s: ratio %.2f (goal %v)\n", name, ratio, goal)
}

// BenchmarkMetadataService compares the service with a handler that only
// writes: 10,000 instances, what a boot asks for, signatures checked, the
// access log written. Both are asked in turns, in the same run; requests are
// counted by processor time, which is what bounds them, so that other programs
// on the machine count less.
func BenchmarkMetadataService(b *testing.B) {
	const (
		instances = 10_000
		turn      = 100 * time.Millisecond // short, so that other programs of the machine disturb both alike
		turns     = 60
	)
	x := filled(b, newFakeNouns(benchModel(instances)))
	service := running(b, Options{Instances: x, Log: logFile(b)})
	plain := bare(b, x)
	lower := 1e9
	for _, keepAlive := range []bool{false, true} {
		var requests [][]byte
		for i := range instances {
			for _, path := range bootPaths() {
				requests = append(requests, wire(benchID(i), path, !keepAlive))
			}
		}
		if !keepAlive {
			fmt.Printf("\neach document for the first time: %.0f requests/s\n", once(b, service, requests))
		}
		var ours, theirs, ratios, walls []float64
		for range turns {
			t, o := load(b, plain, requests, keepAlive, turn), load(b, service, requests, keepAlive, turn)
			theirs, ours = append(theirs, t.second), append(ours, o.second)
			ratios, walls = append(ratios, o.cpuSecond/t.cpuSecond), append(walls, o.second/t.second)
		}
		ratio := median(ratios)
		fmt.Printf("keep-alive %v: service %.0f requests/s, bare handler %.0f (ratio %.2f); by processor time ratio %.2f; medians of %d turns\n",
			keepAlive, median(ours), median(theirs), median(walls), ratio, turns)
		lower = min(lower, ratio)
	}
	instancesKept, size := x.cache.usage()
	fmt.Printf("documents of %d instances kept, %d MiB\n", instancesKept, size>>20)
	goal("metadata-service-vs-bare-handler", lower, 0.7)
}

// BenchmarkMetadataMillion has a million servers in memory. 6 GiB is the goal
// of the whole process, the records included; the collector is told by
// GOMEMLIMIT's setting to stay below.
func BenchmarkMetadataMillion(b *testing.B) {
	debug.SetMemoryLimit(5 << 30)
	defer debug.SetMemoryLimit(-1)
	thousand := filled(b, newFakeNouns(benchModel(1000)))
	few := benchAsk(b, thousand, 1000)

	const servers = 1_000_000
	begin := time.Now()
	nouns := newFakeNouns(benchModel(servers))
	built := time.Since(begin)
	begin = time.Now()
	x := filled(b, nouns)
	fmt.Printf("\na million servers: records made in %.1fs, index filled in %.1fs\n", built.Seconds(), time.Since(begin).Seconds())
	many := benchAsk(b, x, servers)
	visible := changeToVisible(b, x, nouns, servers)
	runtime.KeepAlive(thousand)
	rss := peakRSS(b)
	fmt.Printf("a look-up and its answer: %v of a thousand servers, %v of a million; change to visible p99 %v; peak memory %d MiB\n", few, many, visible, rss>>20)
	goal("metadata-million-memory", float64(6<<30)/float64(rss), 1)
	goal("metadata-million-lookup", float64(few)/float64(many), 0.5)
	goal("metadata-change-visible", float64(100*time.Millisecond)/float64(visible), 1)
}

// benchAsk is the time of one request in the handler, documents not rendered
// yet, of servers in any order.
func benchAsk(b *testing.B, x *Index, servers int) time.Duration {
	s, err := New(Options{Instances: x, Secret: goldenSecret})
	if err != nil {
		b.Fatal(err)
	}
	const n = 50_000
	requests := make([]*http.Request, 1000)
	for i := range requests {
		id := benchID(rand.IntN(servers))
		requests[i] = signed("/openstack/latest/meta_data.json")
		requests[i].Header = headersOf(map[string]string{"X-Instance-ID": string(id), "X-Tenant-ID": "p", "X-Instance-ID-Signature": cloud.Signature(goldenSecret, id)})
	}
	var w nowhere
	for _, r := range requests {
		s.ServeHTTP(&w, r)
	}
	begin := time.Now()
	for i := range n {
		s.ServeHTTP(&w, requests[i%len(requests)])
	}
	return time.Since(begin) / n
}

// changeToVisible renames servers one by one and waits until each is told.
func changeToVisible(b *testing.B, x *Index, nouns *fakeNouns, servers int) time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { x.Run(ctx) })
	defer running.Wait()
	defer cancel()
	var took []time.Duration
	for n := range 1000 {
		var s cloud.Server
		nouns.View(func(m *cloud.Model) { s = *m.Servers[benchID(rand.IntN(servers))] })
		s.Name = "renamed-" + strconv.Itoa(n)
		begin := time.Now()
		nouns.apply(cloud.Change{Record: &s})
		x.Await(ctx, s.ServerID, func(i *openstack.Instance) bool { return i.Name == s.Name })
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func peakRSS(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatal("no VmHWM")
	return 0
}

// BenchmarkRequest is the handler alone, by document, with its allocations.
func BenchmarkRequest(b *testing.B) {
	x := filled(b, newFakeNouns(benchModel(1000)))
	s, err := New(Options{Instances: x, Secret: goldenSecret, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	id := benchID(1)
	for _, path := range []string{"/openstack/latest/meta_data.json", "/openstack/latest/user_data", "/latest/meta-data/hostname"} {
		r := signed(path)
		r.Header = headersOf(map[string]string{"X-Instance-ID": string(id), "X-Tenant-ID": "p", "X-Instance-ID-Signature": cloud.Signature(goldenSecret, id)})
		b.Run(strings.ReplaceAll(strings.Trim(path, "/"), "/", "_"), func(b *testing.B) {
			var w nowhere
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(&w, r)
			}
		})
	}
}
