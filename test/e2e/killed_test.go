package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"imprint/host/cloud"
	"imprint/host/container"
)

// tenant is a user of a running imprint up.
type tenant struct {
	*testing.T
	compute, network, image *gophercloud.ServiceClient
}

func newTenant(t *testing.T, stateDir string, port int) *tenant {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(stateDir, "secrets", "admin.password"))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{
		IdentityEndpoint: fmt.Sprintf("http://127.0.0.1:%d/v3", port), Username: "admin", TenantName: "admin",
		DomainName: "Default", Password: strings.TrimSpace(string(password)),
	})
	if err != nil {
		t.Fatal(err)
	}
	where := gophercloud.EndpointOpts{Region: "RegionOne"}
	u := &tenant{T: t}
	u.compute, _ = openstack.NewComputeV2(provider, where)
	u.network, _ = openstack.NewNetworkV2(provider, where)
	u.image, _ = openstack.NewImageV2(provider, where)
	return u
}

// must returns what a request gave, or ends the test.
func must[R any](u *tenant, what string) func(R, error) R {
	return func(r R, err error) R {
		u.Helper()
		if err != nil {
			u.Fatalf("%s: %v", what, err)
		}
		return r
	}
}

// launch makes a routed network and a server on it.
func (u *tenant) launch(name string) (server string, router string) {
	u.Helper()
	ctx, disk := u.Context(), 1
	n := must[*networks.Network](u, "network")(networks.Create(ctx, u.network, networks.CreateOpts{Name: "net"}).Extract())
	s := must[*subnets.Subnet](u, "subnet")(subnets.Create(ctx, u.network, subnets.CreateOpts{NetworkID: n.ID, CIDR: "17.17.17.0/24", IPVersion: 4}).Extract())
	r := must[*routers.Router](u, "router")(routers.Create(ctx, u.network, routers.CreateOpts{Name: "router"}).Extract())
	must[*routers.InterfaceInfo](u, "interface")(routers.AddInterface(ctx, u.network, r.ID, routers.AddInterfaceOpts{SubnetID: s.ID}).Extract())
	f := must[*flavors.Flavor](u, "flavor")(flavors.Create(ctx, u.compute, flavors.CreateOpts{Name: "f", RAM: 256, VCPUs: 1, Disk: &disk}).Extract())
	i := must[*images.Image](u, "image")(images.Create(ctx, u.image, images.CreateOpts{
		Name: "i", DiskFormat: "raw", ContainerFormat: "bare", Properties: map[string]string{cloud.TreeProperty: "host"},
	}).Extract())
	if err := imagedata.Upload(ctx, u.image, i.ID, strings.NewReader("host\n")).ExtractErr(); err != nil {
		u.Fatal(err)
	}
	made := must[*servers.Server](u, "server")(servers.Create(ctx, u.compute, servers.CreateOpts{
		Name: name, ImageRef: i.ID, FlavorRef: f.ID, Networks: []servers.Network{{UUID: n.ID}},
	}, nil).Extract())
	return made.ID, r.ID
}

func (u *tenant) status(server string) string {
	u.Helper()
	return must[*servers.Server](u, "show server")(servers.Get(u.Context(), u.compute, server).Extract()).Status
}

// active waits until a server runs, as a client does: by asking again.
func (u *tenant) active(server string) {
	u.Helper()
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		status := u.status(server)
		if status == "ACTIVE" {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			u.Fatalf("the server is %s", status)
		}
	}
}

// ask makes a metadata request from an instance's network and returns the
// answer's head and body.
func ask(t *testing.T, pid int, path string) string {
	t.Helper()
	return exchange(t, pid, "GET "+path+" HTTP/1.0\r\n\r\n")
}

// metadataRequest asks for path from the network of a process.
func metadataRequest(pid int, path string) *exec.Cmd {
	return metadataExchange(pid, "GET "+path+" HTTP/1.0\r\n\r\n")
}

// metadataExchange sends a request from the network of a process.
func metadataExchange(pid int, request string) *exec.Cmd {
	const script = `exec 3<>/dev/tcp/169.254.169.254/80; printf %s "$0" >&3; cat <&3`
	return exec.Command("nsenter", "--target", strconv.Itoa(pid), "--net", "--", "timeout", "20", "bash", "-c", script, request)
}

// exchange is metadataExchange to its end.
func exchange(t *testing.T, pid int, request string) string {
	t.Helper()
	out, err := metadataExchange(pid, request).CombinedOutput()
	if err != nil {
		t.Errorf("request from the instance: %v: %s", err, out)
	}
	return string(out)
}

// TestKilledUpGoesOn: imprint up is killed. The instance runs on, the proxy says
// that it is to come back later, what others own is left alone, and the next
// imprint up goes on with all that was acknowledged.
func TestKilledUpGoesOn(t *testing.T) {
	needRoot(t)
	const port, prefix = 15090, "e2k-"
	dir, conf := stateDir(t), configuration(t, prefix, port, "")
	args := []string{"--state-dir", dir, "--config", conf}
	first := up(t, args...)
	u := newTenant(t, dir, port)
	server, router := u.launch("c1")
	u.active(server)
	driver := container.New(container.Config{Dir: filepath.Join(dir, "instances")})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := driver.Await(ctx, cloud.ServerID(server), func(s container.State) bool { return s.Phase == container.Running }); err != nil {
		t.Fatal(err)
	}
	pid, err := driver.PID(cloud.ServerID(server))
	if err != nil {
		t.Fatal(err)
	}
	const theirs = prefix + "qrouter-x"
	foreign := ofOthers(t, theirs)

	first.stopped = true
	first.cmd.Process.Signal(syscall.SIGKILL)
	first.cmd.Process.Wait()
	if got := ask(t, pid, "/openstack"); !strings.HasPrefix(got, "HTTP/1.0 503") || !strings.Contains(got, "Retry-After:") {
		t.Errorf("while imprint up is away: %q", got)
	}

	second := up(t, args...)
	u = newTenant(t, dir, port)
	if got := u.status(server); got != "ACTIVE" {
		t.Errorf("the server is %s", got)
	}
	if again, err := driver.PID(cloud.ServerID(server)); err != nil || again != pid {
		t.Errorf("the instance's first process is %d, %v; it was %d", again, err, pid)
	}
	if got := ask(t, pid, "/openstack/latest/meta_data.json"); !strings.Contains(got, server) {
		t.Errorf("after the restart: %q", got)
	}
	if _, err := os.Stat("/run/netns/" + prefix + "qrouter-" + router); err != nil {
		t.Errorf("the router: %v", err)
	}
	second.stop(t)
	if got := foreign(); !strings.Contains(got, "table inet imprint-x") || !strings.Contains(got, "brq-e2k") {
		t.Errorf("what others own: %s", got)
	}
	left, _ := filepath.Glob("/run/netns/" + prefix + "*")
	if len(left) != 1 || filepath.Base(left[0]) != theirs {
		t.Errorf("namespaces left: %v; want %s alone", left, theirs)
	}
}

// ofOthers makes what somebody else could own: a namespace with a name like
// ours, and in it a bridge and an nftables table. It returns a look at them.
func ofOthers(t *testing.T, netns string) func() string {
	t.Helper()
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %v: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	run("ip", "netns", "add", netns)
	t.Cleanup(func() { run("ip", "netns", "delete", netns) })
	run("ip", "-n", netns, "link", "add", "brq-e2k", "type", "bridge")
	run("ip", "netns", "exec", netns, "nft", "add", "table", "inet", "imprint-x")
	return func() string {
		return run("ip", "netns", "exec", netns, "nft", "list", "tables") + run("ip", "-n", netns, "link")
	}
}
