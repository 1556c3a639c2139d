package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/host/config"
	"imprint/host/config/oslotest"
)

// agentDepartures are the cases that end otherwise than with oslo.config, on
// purpose.
var agentDepartures = map[string]string{
	"port 0":                        "cannot be told to a client",
	"empty port":                    "is Python's None, which makes no address",
	"no base limit":                 "Neutron takes 0 and negative numbers, of which haproxy makes nothing",
	"older names of older releases": "names that Neutron no longer reads, of files that are older",
}

// agentTypes are the options as Neutron registers them
// (conf/agent/metadata/config.py, 21.0.0 and 22.0.0).
func agentTypes() []oslotest.Option {
	d, l := "DEFAULT", "metadata_rate_limiting"
	return []oslotest.Option{
		{Group: d, Name: "state_path", Type: "str", Default: "/var/lib/neutron"},
		{Group: d, Name: "metadata_proxy_socket", Type: "str", Default: "$state_path/metadata_proxy"},
		{Group: d, Name: "metadata_proxy_socket_mode", Type: "choice", Default: "deduce", Choices: []string{"deduce", "user", "group", "all"}},
		{Group: d, Name: "metadata_proxy_user", Type: "str", Default: ""},
		{Group: d, Name: "metadata_proxy_group", Type: "str", Default: ""},
		{Group: d, Name: "nova_metadata_host", Type: "host", Default: "127.0.0.1"},
		{Group: d, Name: "nova_metadata_port", Type: "port", Default: 8775},
		{Group: d, Name: "nova_metadata_protocol", Type: "choice", Default: "http", Choices: []string{"http", "https"}},
		{Group: d, Name: "nova_metadata_insecure", Type: "bool", Default: false},
		{Group: d, Name: "auth_ca_cert", Type: "str"},
		{Group: d, Name: "nova_client_cert", Type: "str", Default: ""},
		{Group: d, Name: "nova_client_priv_key", Type: "str", Default: ""},
		{Group: d, Name: "metadata_proxy_shared_secret", Type: "str", Default: ""},
		{Group: l, Name: "rate_limit_enabled", Type: "bool", Default: false},
		{Group: l, Name: "base_window_duration", Type: "int", Default: 10},
		{Group: l, Name: "base_query_rate_limit", Type: "int", Default: 10},
		{Group: l, Name: "burst_query_rate_limit", Type: "int", Default: 10},
	}
}

func agentValues(o agentOptions) map[string]any {
	return map[string]any{
		"[DEFAULT] metadata_proxy_socket": o.socket, "[DEFAULT] metadata_proxy_socket_mode": o.mode,
		"[DEFAULT] metadata_proxy_user": o.user, "[DEFAULT] metadata_proxy_group": o.group,
		"[DEFAULT] nova_metadata_host": o.novaHost, "[DEFAULT] nova_metadata_port": float64(o.novaPort),
		"[DEFAULT] nova_metadata_protocol": o.protocol, "[DEFAULT] nova_metadata_insecure": o.novaTLS.insecure,
		"[DEFAULT] auth_ca_cert": o.novaTLS.ca, "[DEFAULT] nova_client_cert": o.novaTLS.cert, "[DEFAULT] nova_client_priv_key": o.novaTLS.key,
		"[DEFAULT] metadata_proxy_shared_secret":          o.secret,
		"[metadata_rate_limiting] rate_limit_enabled":     o.limits.enabled,
		"[metadata_rate_limiting] base_window_duration":   float64(o.limits.baseWindow),
		"[metadata_rate_limiting] base_query_rate_limit":  float64(o.limits.baseLimit),
		"[metadata_rate_limiting] burst_query_rate_limit": float64(o.limits.maxBurst),
	}
}

// TestAgentOptionsAsOslo reads files as metadata_agent.ini with the real
// oslo.config and with readAgentOptions.
func TestAgentOptionsAsOslo(t *testing.T) {
	cases := agentCases()
	for i, a := range oslotest.Ask(t, agentTypes(), cases) {
		c := cases[i]
		t.Run(c.Name, func(t *testing.T) {
			for at, v := range a.Values {
				if v == nil {
					a.Values[at] = ""
				}
			}
			delete(a.Values, "[DEFAULT] state_path")
			o, err := agentOptions{}, error(nil)
			f, err := config.LoadINI(a.Dir + "/a.conf")
			if err == nil {
				o, err = readAgentOptions(f)
			}
			var diff string
			switch refused := a.Refusal(); {
			case (refused != "") != (err != nil):
				diff = fmt.Sprintf("ours: %v; oslo.config: %q", err, refused)
			case err == nil:
				diff = cmp.Diff(a.Values, agentValues(o))
			}
			if reason, known := agentDepartures[c.Name]; known == (diff == "") {
				t.Errorf("departure %q: %s", reason, diff)
			}
		})
	}
}

func agentCases() []oslotest.Case {
	const secret = "[DEFAULT]\nmetadata_proxy_shared_secret = s\n"
	one := func(name, lines string) oslotest.Case { return oslotest.One(name, secret+lines+"\n") }
	cases := []oslotest.Case{
		one("defaults", ""),
		one("socket below another directory", "state_path = /srv/$metadata_proxy_user\nmetadata_proxy_user = neutron"),
		one("secret of dollars", `metadata_proxy_shared_secret = a$$b\$c$1`),
		one("secret of spaces", "metadata_proxy_shared_secret = ' a '"),
		one("secret with a comment", "metadata_proxy_shared_secret = a # b"),
		one("unknown reference", "metadata_proxy_socket = $nowhere/x"),
		one("reference into the group of limits", "metadata_proxy_group = ${metadata_rate_limiting.burst_query_rate_limit}"),
		one("port 0", "nova_metadata_port = 0"),
		one("empty port", "nova_metadata_port ="),
		one("port with spaces", `nova_metadata_port = " 80 "`),
		one("port with a sign", "nova_metadata_port = +8_775"),
		one("port too high", "nova_metadata_port = 65536"),
		one("mode in capitals", "metadata_proxy_socket_mode = ALL"),
		one("mode with spaces", `metadata_proxy_socket_mode = " all "`),
		one("protocol", "nova_metadata_protocol = https"),
		one("other protocol", "nova_metadata_protocol = ftp"),
		one("limits", "[metadata_rate_limiting]\nrate_limit_enabled = True\nbase_window_duration = 20\n"),
		one("limits in capitals", "[METADATA_RATE_LIMITING]\nrate_limit_enabled = on\n"),
		one("no base limit", "[metadata_rate_limiting]\nbase_query_rate_limit = 0"),
		one("older names of older releases", "nova_metadata_ip = 192.0.2.1"),
	}
	for _, v := range []string{"true", "YES", "0", "", `" on "`, "2", "maybe"} {
		cases = append(cases, one("boolean "+v, "nova_metadata_insecure = "+v))
	}
	for _, v := range []string{
		"192.0.2.1", "::1", "[::1]", "fe80::1%eth0", "2001:db8::1", "::ffff:192.0.2.1", "1.2.3", "192.0.2.01", "0x7f.1", "256.1.1.1", "nova", "nova.", "nova..", ".", "", "a_b",
		"-a", "a-", "a.b-", "x.1", "1.x", "a..b", "nova.example.com.", "Nova.Example", `" nova "`, "a b", "nova:8775", "é", "xn--9ca",
		"a123456789012345678901234567890123456789012345678901234567890123", "a12345678901234567890123456789012345678901234567890123456789012",
	} {
		cases = append(cases, one("host "+v, "nova_metadata_host = "+v))
	}
	return cases
}
