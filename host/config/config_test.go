package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReferenceIsTheDefault(t *testing.T) {
	text := Reference()
	got, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	want := Default()
	want.Compute.Trees = map[string]string{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "#  ") || strings.TrimSpace(line) == "#" {
			t.Errorf("a key has no description: %q", line)
		}
	}
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct{ text, err string }{
		"empty":           {"", ""},
		"one key":         {"dhcp: {force_metadata: true}", ""},
		"unknown key":     {"dhcp:\n  lease_seconds: 60\n  forced: true\n", "line 3: unknown key forced"},
		"unknown section": {"\nneutron: {}\n", "line 2: unknown key neutron"},
		"wrong type":      {"api:\n  compute_port: many\n", "line 2"},
		"second document": {"log: {level: info}\n---\nlog: {level: debug}\n", "more than one"},
		"not yaml":        {"a: [", "line"},
		"public listener": {"api: {listen: 0.0.0.0}", "api.listen"},
		"port zero":       {"metadata: {port: 0}", "metadata.port: 0"},
		"port twice":      {"metadata: {port: 5000}", "metadata.port: 5000 is api.identity_port already"},
		"root proxy":      {"metadata: {proxy_user: 0}", "metadata.proxy_user"},
		"same users":      {"metadata: {proxy_user: 70}\ndhcp: {user: 70}", "dhcp.user"},
		"relative tree":   {"compute: {trees: {a: b}}", "compute.trees.a"},
		"root tree":       {"compute: {trees: {a: /..}}", "compute.trees.a"},
		"drive format":    {"compute: {config_drive_format: ext4}", "compute.config_drive_format"},
		"no drive skips":  {"compute: {config_drive_skip_versions: \"\"}", ""},
		"drive skips":     {"compute: {config_drive_skip_versions: \"latest 1.1\"}", "compute.config_drive_skip_versions: \"1.1\""},
		"tree host":       {"compute: {trees: {host: /srv}}", "compute.trees"},
		"control in name": {"dhcp: {domain: \"a\\nb\"}", "dhcp.domain"},
		"level":           {"log: {level: loud}", "log.level"},
		"prefix":          {"network: {name_prefix: ../x}", "network.name_prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			if test.err == "" && err != nil {
				t.Fatal(err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func TestReload(t *testing.T) {
	old, changed := Default(), Default()
	changed.DHCP.ForceMetadata = true
	if got, err := Reload(old, changed); err != nil || !got.DHCP.ForceMetadata {
		t.Errorf("force_metadata was not taken: %v", err)
	}
	changed.API.Compute = 18774
	got, err := Reload(old, changed)
	if err == nil || !strings.Contains(err.Error(), "api.compute_port") {
		t.Errorf("error %v, want one that names api.compute_port", err)
	}
	if got.DHCP.ForceMetadata {
		t.Error("a refused reload took one of its keys")
	}
}
