package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fixtureInstance = `{"uuid": "u", "project_id": "p", "name": "c1", "hostname": "c1.novalocal",
  "ports": [{"id": "port", "subnets": [{"cidr": "127.0.0.0/8", "addrs": ["127.0.0.1"]}]}], "ec2": {}}`

func writeFixture(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestServeFixture(t *testing.T) {
	dir := writeFixture(t, map[string]string{
		"c1.json": fixtureInstance, "vendor_data.json": `{"site": 1}`, "nova.conf": "[DEFAULT]\nmetadata_listen = 192.0.2.1\n[api]\nother = 1\n",
	})
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan net.Addr), make(chan error, 1)
	var log bytes.Buffer
	go func() {
		ended <- serveFixture(ctx, fixtureOptions{dir: dir, files: []string{filepath.Join(dir, "nova.conf")}, listen: "127.0.0.1:0", ready: ready},
			slog.New(slog.NewTextHandler(&log, nil)))
	}()
	var address net.Addr
	select {
	case address = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/latest/meta-data/hostname":         "c1.novalocal",
		"/openstack/latest/vendor_data.json": `{"site": 1}`,
	} {
		res, err := http.Get("http://" + address.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %s %q, %v; want %q", path, res.Status, body, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "metadata request"); n != 2 {
		t.Errorf("%d lines in the access log:\n%s", n, log.String())
	}
}

func TestServeFixtureRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":      {nil, "there is no instance"},
		"no uuid":      {map[string]string{"a.json": "{}"}, "a.json: instance: no uuid"},
		"twice":        {map[string]string{"a.json": fixtureInstance, "b.json": "[" + fixtureInstance + "]"}, "b.json: instance u is there already"},
		"vendor data":  {map[string]string{"a.json": fixtureInstance, "vendor_data.json": "[]"}, "vendor_data.json"},
		"no secret":    {map[string]string{"a.json": fixtureInstance, "nova.conf": "[neutron]\nservice_metadata_proxy = true\n"}, "no shared secret"},
		"bad settings": {map[string]string{"a.json": fixtureInstance, "nova.conf": "[neutron]\nservice_metadata_proxy = perhaps\n"}, "service_metadata_proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFixture(t, c.files)
			args := []string{"--fixture", dir, "--listen", "127.0.0.1:0"}
			if c.files["nova.conf"] != "" {
				args = append(args, "--config-file", filepath.Join(dir, "nova.conf"))
			}
			cmd := serveMetadataCommand()
			cmd.SetArgs(args)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
