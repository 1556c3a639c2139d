package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imprint/host/blob"
	"imprint/host/cloud"
	"imprint/host/container"
	"imprint/host/enroll"
	"imprint/host/feed"
	"imprint/host/store"
)

// apartPorts is the configuration of a cloud whose parts are processes of
// their own, with ports from first on.
func apartPorts(first int) string {
	return fmt.Sprintf("store: {port: %d}\nnodes: {port: %d}\n", first+5, first+6)
}

// openDir returns a state directory that other users may walk through.
func openDir(t *testing.T) string {
	t.Helper()
	dir := stateDir(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "demo")
}

var userOfProcess = regexp.MustCompile(`→ (\S+) is ready, process \d+ of user (\d+)`)

// TestDemoApart plays the story with each role as a process of its own user.
func TestDemoApart(t *testing.T) {
	needRoot(t)
	const port = 15120
	out, status := imprint(t, 3*time.Minute, "demo", "--apart", "--state-dir", openDir(t), "--config", configuration(t, "e2a-", port, apartPorts(port)))
	t.Log(out)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	users := map[string]string{}
	for _, m := range userOfProcess.FindAllStringSubmatch(out, -1) {
		if other := users[m[2]]; other != "" && m[2] != "0" {
			t.Errorf("%s and %s are both of user %s", other, m[1], m[2])
		}
		users[m[2]] += " " + m[1]
	}
	if users["0"] != " agent-network agent-compute" || len(users) != 6 {
		t.Errorf("users and processes: %v", users)
	}
}

// TestNodeReadsItsOwnSliceOnly: what a node's certificates are good for, where
// every role is a process of its own.
func TestNodeReadsItsOwnSliceOnly(t *testing.T) {
	needRoot(t)
	const port = 15140
	dir := openDir(t)
	out, status := imprint(t, 3*time.Minute, "demo", "--apart", "--keep", "--state-dir", dir, "--config", configuration(t, "e2n-", port, apartPorts(port)))
	takeDown := sync.OnceFunc(func() { takeDownApart(t, dir) })
	t.Cleanup(takeDown)
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port+6)
	checkAgentsEndAlone(t, dir, at)
	checkStoreAway(t, dir, at)
	t.Cleanup(takeDown) // before what was started since is waited for
	compute, network := slice(t, filepath.Join(dir, "node", "identity-compute"), at), slice(t, filepath.Join(dir, "node", "identity-network"), at)
	metadata := slice(t, filepath.Join(dir, "agent-metadata", "identity-metadata"), at)
	if len(compute.Instances) != 3 || len(compute.Routers) != 0 {
		t.Errorf("the compute agent reads %d instances and %d routers", len(compute.Instances), len(compute.Routers))
	}
	for _, port := range compute.Ports {
		if port.Owner == cloud.OwnerDHCP || port.Owner == cloud.OwnerRouterInterface {
			t.Errorf("the compute agent reads port %s of %s", port.ID, port.Owner)
		}
	}
	if len(network.Instances) != 0 || len(network.Routers) != 1 || len(metadata.Instances) != 0 || len(metadata.Ports) == 0 {
		t.Errorf("network: %d instances, %d routers; metadata: %d instances, %d ports",
			len(network.Instances), len(network.Routers), len(metadata.Instances), len(metadata.Ports))
	}

	stranger := filepath.Join(t.TempDir(), "identity")
	token, status := imprint(t, time.Minute, "node", "token", "stranger", "--role", "compute", "--role", "metadata-agent", "--state-dir", filepath.Join(dir, "api"))
	if status != 0 {
		t.Fatal(token)
	}
	file := filepath.Join(t.TempDir(), "token")
	os.WriteFile(file, []byte(token), 0o600)
	enrol := []string{"node", "enroll", "https://" + at, "--token-file", file, "--identity", stranger}
	if out, status := imprint(t, time.Minute, enrol...); status != 0 {
		t.Fatal(out)
	}
	if out, status := imprint(t, time.Minute, enrol...); status != 1 {
		t.Errorf("the token is good twice: %d %s", status, out)
	}
	if s := slice(t, stranger, at); len(s.Instances)+len(s.Ports)+len(s.Networks)+len(s.Routers) != 0 {
		t.Errorf("a node without servers reads %+v", s)
	}
	checkNothingElse(t, stranger, at, fmt.Sprintf("127.0.0.1:%d", port+5), filepath.Join(dir, "api", "blobs"))

	if out, status := imprint(t, time.Minute, "node", "token", "ghost", "--role", "compute", "--lifetime", "999h", "--state-dir", filepath.Join(dir, "api")); status != 1 {
		t.Errorf("a token for ever: %s", out)
	}
	if out, _ := imprint(t, time.Minute, "node", "list", "--state-dir", filepath.Join(dir, "api")); strings.Contains(out, "ghost") || !strings.Contains(out, "stranger") {
		t.Errorf("nodes: %s", out)
	}
	if out, status := imprint(t, time.Minute, "node", "revoke", "stranger", "--state-dir", filepath.Join(dir, "api")); status != 0 {
		t.Fatal(out)
	}
	if out, _ := imprint(t, time.Minute, "node", "list", "--state-dir", filepath.Join(dir, "api")); strings.Contains(out, "stranger") {
		t.Errorf("a revoked node that nothing is on is listed: %s", out)
	}
	id := identity(t, stranger)
	conf := id.ClientConfig(enroll.API)
	conf.NextProtos = []string{"imprint-feed"}
	if c, err := tls.Dial("tcp", at, conf); err == nil {
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("a revoked node is let in: %v", err)
		}
	}
}

// checkAgentsEndAlone: SIGTERM ends the network and the compute agent, but no
// instance and no way to its metadata; their next start takes over.
func checkAgentsEndAlone(t *testing.T, dir, at string) {
	t.Helper()
	driver := container.New(container.Config{Dir: filepath.Join(dir, "node", "instances")})
	ids, err := driver.List()
	if err != nil || len(ids) != 3 {
		t.Fatalf("instances %v: %v", ids, err)
	}
	before := pids(t, driver, ids)
	for _, agent := range []string{"network", "compute"} {
		end(t, filepath.Join(dir, "node", "lock-"+agent))
	}
	answered := 0
	for _, pid := range before {
		out, err := metadataRequest(pid, "/openstack").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "HTTP/1.0 200") {
			answered++
		}
	}
	if answered != 2 { // c2 is on a network without a way to metadata
		t.Errorf("%d instances reach their metadata without agents", answered)
	}
	node := filepath.Join(dir, "node")
	if out, status := imprint(t, time.Minute, "down", "--state-dir", node); status != 1 || strings.Count(out, "has ended without taking down") != 2 {
		t.Errorf("down without agents: %d %s", status, out)
	}
	checkWrongIdentity(t, node)
	for _, agent := range []string{"network", "compute"} {
		start(t, "imprint agent "+agent+" is up", "agent", agent, "--state-dir", filepath.Join(dir, "node"), "--api", "https://"+at, "--config", filepath.Join(dir, "imprint.yaml"))
	}
	if after := pids(t, driver, ids); !slices.Equal(before, after) {
		t.Errorf("first processes %v before, %v after", before, after)
	}
}

// checkStoreAway: without the store metadata is answered on, and a password is
// refused for the time being; with it again the password is kept, once.
func checkStoreAway(t *testing.T, dir, at string) {
	t.Helper()
	driver := container.New(container.Config{Dir: filepath.Join(dir, "node", "instances")})
	ids, err := driver.List()
	if err != nil {
		t.Fatal(err)
	}
	var pid int // of an instance that reaches its metadata
	for _, p := range pids(t, driver, ids) {
		if out, err := metadataRequest(p, "/openstack").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "HTTP/1.0 200") {
			pid = p
		}
	}
	post := func() string {
		return exchange(t, pid, "POST /openstack/latest/password HTTP/1.0\r\nContent-Length: 6\r\n\r\nsecret")
	}
	get := func(path string) string { return exchange(t, pid, "GET "+path+" HTTP/1.0\r\n\r\n") }
	end(t, filepath.Join(dir, "store", "lock"))
	if got := get("/openstack/latest/meta_data.json"); !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("metadata without the store: %s", got)
	}
	if got := post(); !strings.HasPrefix(got, "HTTP/1.0 503") || !strings.Contains(got, "Retry-After:") {
		t.Errorf("a password without the store: %s", got)
	}
	startAs(t, 61902, "imprint serve store is up", "serve", "store", "--state-dir", filepath.Join(dir, "store"), "--config", filepath.Join(dir, "imprint.yaml"), "--api", "https://"+at)
	limit := time.Now().Add(30 * time.Second)
	got := post()
	for ; strings.HasPrefix(got, "HTTP/1.0 503") && time.Now().Before(limit); got = post() {
	}
	if !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("a password with the store again: %s", got)
	}
	if got := get("/openstack/latest/password"); !strings.HasSuffix(got, "secret") {
		t.Errorf("the password: %s", got)
	}
	if got := post(); !strings.HasPrefix(got, "HTTP/1.0 409") {
		t.Errorf("a second password: %s", got)
	}
}

// checkWrongIdentity: an agent with the certificate of another one would take
// what is there for unwanted; it refuses to start.
func checkWrongIdentity(t *testing.T, node string) {
	t.Helper()
	compute, network := filepath.Join(node, "identity-compute"), filepath.Join(node, "identity-network")
	swap := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	swap(compute, compute+".aside")
	swap(network, compute)
	out, status := imprint(t, time.Minute, "agent", "compute", "--state-dir", node, "--config", filepath.Join(filepath.Dir(node), "imprint.yaml"))
	if status != 1 || !strings.Contains(out, "not of a node with role compute") {
		t.Errorf("the compute agent with the network agent's certificate: %d %s", status, out)
	}
	swap(compute, network)
	swap(compute+".aside", compute)
}

func pids(t *testing.T, driver *container.Driver, ids []cloud.ServerID) []int {
	t.Helper()
	var all []int
	for _, id := range ids {
		pid, err := driver.PID(id)
		if err != nil {
			t.Error(err)
		}
		all = append(all, pid)
	}
	return all
}

// end sends SIGTERM to the process whose id is in a lock file, and waits until
// it has let go of the file.
func end(t *testing.T, lock string) {
	t.Helper()
	text, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// checkNothingElse: a node's certificate opens neither the store nor the blobs.
func checkNothingElse(t *testing.T, dir, nodes, storeAt, blobs string) {
	t.Helper()
	id := identity(t, dir)
	engine, err := store.OpenRemote(t.Context(), store.Remote{Endpoints: []string{"https://" + storeAt}, TLS: id.HostConfig()})
	if err == nil {
		engine.Close()
		t.Error("a node may read the store")
	}
	files, err := filepath.Glob(filepath.Join(blobs, "??", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no blobs: %v", err)
	}
	remote := &blob.Remote{BaseURL: "https://" + nodes, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: id.ClientConfig(enroll.API)}}}
	defer remote.Client.CloseIdleConnections()
	for _, file := range files {
		d := cloud.Digest(filepath.Base(filepath.Dir(file)) + strings.TrimPrefix(filepath.Base(file), filepath.Base(filepath.Dir(file))))
		if _, err := remote.ReadAll(d, 1<<20); cloud.KindOf(err) != cloud.Forbidden {
			t.Errorf("blob %s: %v", d, err)
		}
	}
}

func identity(t *testing.T, dir string) *enroll.Identity {
	t.Helper()
	id, err := enroll.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// slice returns all that the feed gives to the node's part that dir identifies.
func slice(t *testing.T, dir, at string) cloud.Slice {
	t.Helper()
	id := identity(t, dir)
	conf := id.ClientConfig(enroll.API)
	conf.NextProtos = []string{"imprint-feed"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := feed.Client{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", at)
	}}
	got := make(chan cloud.Slice, 1)
	go client.Run(ctx, func(s cloud.Slice) {
		select {
		case got <- s:
		default:
		}
	})
	select {
	case s := <-got:
		return s
	case <-ctx.Done():
		t.Fatal("the feed gives nothing")
		return cloud.Slice{}
	}
}

// takeDownApart ends what 'imprint demo --apart --keep' left running.
func takeDownApart(t *testing.T, dir string) {
	for _, role := range []string{"node", "agent-metadata", "metadata-1", "metadata-2", "api", "store"} {
		if out, err := exec.Command(filepath.Join(programs, "imprint"), "down", "--state-dir", filepath.Join(dir, role)).CombinedOutput(); err != nil {
			t.Errorf("down %s: %v: %s", role, err, out)
		}
	}
}
