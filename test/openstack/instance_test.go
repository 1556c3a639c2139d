//go:build openstack

package openstack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"imprint/base/netns"
)

// instance is a server of the control plane with a body: a namespace with its
// ports.
type instance struct {
	Alias   string // of the captured answers
	ID      string
	Project string
	Name    string
	Ports   []port
	paths   []string // those that were captured
	ns      *netns.NS
}

type port struct {
	ID, MAC, Network string
	Addrs            []netip.Addr
}

// captured has the paths that each instance was asked for.
const captured = "../../base/openstack/testdata/nova-zed.json"

// readInstances reads the servers that were seeded, in the order of their
// numbers, with the paths captured of each.
func readInstances() ([]*instance, error) {
	var golden struct {
		Instances []struct {
			Name      string
			Responses map[string]json.RawMessage
		}
	}
	b, err := os.ReadFile(captured)
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil {
		return nil, err
	}
	var all []*instance
	if err := query(&all, `select json_arrayagg(json_object('ID', i.uuid, 'Project', i.project_id, 'Name', i.display_name,
		'Ports', (select json_arrayagg(json_object('ID', p.id, 'MAC', p.mac_address, 'Network', p.network_id,
			'Addrs', (select json_arrayagg(a.ip_address order by s.ip_version) from neutron.ipallocations a join neutron.subnets s on s.id = a.subnet_id where a.port_id = p.id)) order by v.id)
			from nova.virtual_interfaces v join neutron.ports p on p.id = v.uuid where v.instance_uuid = i.uuid and v.deleted = 0)) order by i.id)
		from nova.instances i where i.deleted = 0`); err != nil {
		return nil, err
	}
	for _, i := range all {
		i.Alias = strings.ToLower(strings.Fields(i.Name)[0])
		for _, g := range golden.Instances {
			if g.Name == i.Alias {
				for path := range g.Responses {
					i.paths = append(i.paths, path)
				}
			}
		}
		if len(i.paths) < 90 || len(i.Ports) == 0 {
			return nil, fmt.Errorf("server %s: %d paths, %d ports", i.Name, len(i.paths), len(i.Ports))
		}
	}
	return all, nil
}

// plug gives the instance its namespace, and waits until Neutron's own way
// answers there.
func (i *instance) plug() error {
	if _, err := shell(fmt.Sprintf(`"$HERE/plug" %s %s`, i.ID, i.Alias)); err != nil {
		return err
	}
	var err error
	if i.ns, err = netns.Open("osp-i-" + i.Alias); err != nil {
		return err
	}
	return eventually(i.Alias, func() error {
		r, err := i.ask(metadataURL+"/openstack", nil)
		if err == nil && r.Status != http.StatusOK {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
}

// reply is what matters of an answer. Of a random seed the length is kept.
type reply struct {
	Status     int
	Kind, Body string
}

const metadataURL = "http://169.254.169.254"

// linkURL is where metadata is on an isolated network over IPv6.
func (i *instance) linkURL() (url string, err error) {
	err = i.ns.Do(func() error {
		first, err := net.InterfaceByName("eth0")
		if err == nil {
			url = fmt.Sprintf("http://[fe80::a9fe:a9fe%%25%d]", first.Index)
		}
		return err
	})
	return url, err
}

var seed = regexp.MustCompile(`"random_seed": "[^"]*"`)

// ask asks as the instance does, from its first port.
func (i *instance) ask(url string, more http.Header) (reply, error) {
	return ask(func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = i.ns.Do(func() error {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return c, err
	}, url, more)
}

// askNova asks a metadata service as an agent would for the instance.
func (i *instance) askNova(service, path string) (reply, error) {
	return ask(new(net.Dialer).DialContext, "http://"+service+path, i.signed())
}

// signed is what an agent says of the instance (neutron: agent/metadata/agent.py).
func (i *instance) signed() http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(i.ID))
	return http.Header{
		"X-Forwarded-For": {i.Ports[0].Addrs[0].String()}, "X-Instance-Id": {i.ID}, "X-Tenant-Id": {i.Project},
		"X-Instance-Id-Signature": {hex.EncodeToString(mac.Sum(nil))},
	}
}

// ask asks over a connection of its own, with the headers of curl.
func ask(dial func(ctx context.Context, network, address string) (net.Conn, error), url string, more http.Header) (reply, error) {
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	client := http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") }}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return reply{}, err
	}
	req.Header = http.Header{"User-Agent": {"curl/7.88.1"}, "Accept": {"*/*"}}
	for name, values := range more {
		req.Header[name] = values
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", url, err)
	}
	r := reply{res.StatusCode, res.Header.Get("Content-Type"), string(body)}
	r.Body = seed.ReplaceAllStringFunc(r.Body, func(s string) string { return fmt.Sprintf(`"random_seed": %d`, len(s)) })
	return r, nil
}
