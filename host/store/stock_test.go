package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"imprint/host/cloud"
)

// serveStock serves what `etcd` would: all of its services, with its own TLS.
func serveStock(dir string) error {
	addr, err := os.ReadFile(filepath.Join(dir, "addr"))
	if err != nil {
		return err
	}
	client := url.URL{Scheme: "https", Host: string(addr)}
	peer := freeURL()
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.LogLevel = "stock", filepath.Join(dir, "stock"), "fatal"
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.InitialCluster = "stock=" + peer.String()
	cfg.ClientTLSInfo = transport.TLSInfo{
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		TrustedCAFile: filepath.Join(dir, "ca.pem"), ClientCertAuth: true,
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	<-server.Server.ReadyNotify()
	fmt.Println("serving")
	<-server.Server.StopNotify()
	return errors.New("it stopped")
}

// TestStock: a store can lie in an etcd that someone else runs.
func TestStock(t *testing.T) {
	p := newProcess(t, "serve stock")
	p.start(t)
	defer p.kill()
	key := filepath.Join(t.TempDir(), "key")
	s := mustOpen(t, Options{Engine: p.open(t, RoleAPI), Key: key})
	create(t, s, project("a", "a"), port("01", "10.0.0.1"))
	wantConflict(t, s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{port("02", "10.0.0.1")}}), "ip/net/10.0.0.1 is taken")
	if n, err := s.NextNumber(t.Context(), "n"); n != 1 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
	other := mustOpen(t, Options{Engine: p.open(t, RoleMetadata), ReadOnly: true})
	create(t, s, project("b", "b"))
	waitFor(t, other, func(m *cloud.Model) bool { return m.Projects["b"] != nil })
	conf := p.ca.client(newAuthority(t, "another authority").issue(t, "c", []Role{RoleAPI}))
	wantRefused(t, "https://"+p.addr, conf, "does not know the authority")
}
