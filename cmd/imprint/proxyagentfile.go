package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"imprint/host/metadataagent"
	"imprint/host/neutron"
)

// optionFile is what OpenStack's configuration files say, by oslo.config's
// rules.
type optionFile interface {
	// Raw returns an option as it is written.
	Raw(group, name string) (string, bool)
	// Expand replaces the references to other options in a value of the group;
	// fallback has those that the files leave out.
	Expand(group, value string, fallback func(group, name string) (string, bool)) (string, error)
}

// Groups of the options.
const (
	defaultGroup = "DEFAULT"
	neutronGroup = "neutron"
	limitGroup   = "metadata_rate_limiting"
	ownGroup     = "imprint" // which Neutron does not read
)

// agentOptions are those of metadata_agent.ini (neutron:
// conf/agent/metadata/config.py, 21.0.0).
type agentOptions struct {
	socket, mode       string
	user, group        string
	novaHost, protocol string
	novaPort           int
	novaTLS            tlsFiles
	secret             string
	login              neutron.Login
	neutronTLS         tlsFiles
	neutronForm        bool
	limits             agentLimits
}

// agentLimits are Neutron's for its proxies (neutron:
// conf/agent/metadata/config.py, 22.0.0).
type agentLimits struct {
	enabled                         bool
	baseWindow, baseLimit, maxBurst int // seconds, requests, requests
}

// agent makes a bucket of them, for an address and a port alike: so many at
// once, and then as many as fit in the base window.
func (l agentLimits) agent() metadataagent.Limits {
	if !l.enabled {
		return metadataagent.DefaultLimits()
	}
	rate := float64(l.baseLimit) / float64(l.baseWindow)
	return metadataagent.Limits{Rate: rate, Burst: l.maxBurst, SenderRate: rate, SenderBurst: l.maxBurst}
}

// tlsFiles say whom to trust over TLS and how to be known.
type tlsFiles struct {
	ca, cert, key string
	insecure      bool
}

// agentOption is an option: where it stands, by which names older releases
// know it, what it is by default, and what takes its value.
type agentOption struct {
	group, name string
	older       []string // in DEFAULT
	value       string
	take        func(string) error
}

// list names the options. Those of the login have keystoneauth's names, and
// older ones that metadata_agent.ini had before the agent used the message bus.
func (o *agentOptions) list() []agentOption {
	text := func(v *string) func(string) error { return func(s string) error { *v = s; return nil } }
	d, n, l := defaultGroup, neutronGroup, &o.login
	return []agentOption{
		{d, "state_path", nil, "/var/lib/neutron", func(string) error { return nil }},
		{d, "metadata_proxy_socket", nil, "$state_path/metadata_proxy", text(&o.socket)},
		{d, "metadata_proxy_socket_mode", nil, "deduce", oneOf(&o.mode, "deduce", "user", "group", "all")},
		{d, "metadata_proxy_user", nil, "", text(&o.user)},
		{d, "metadata_proxy_group", nil, "", text(&o.group)},
		{d, "nova_metadata_host", []string{"nova_metadata_ip"}, "127.0.0.1", text(&o.novaHost)},
		{d, "nova_metadata_port", nil, "8775", portNumber(&o.novaPort)},
		{d, "nova_metadata_protocol", nil, "http", oneOf(&o.protocol, "http", "https")},
		{d, "nova_metadata_insecure", nil, "false", boolean(&o.novaTLS.insecure)},
		{d, "auth_ca_cert", nil, "", text(&o.novaTLS.ca)},
		{d, "nova_client_cert", nil, "", text(&o.novaTLS.cert)},
		{d, "nova_client_priv_key", nil, "", text(&o.novaTLS.key)},
		{d, "metadata_proxy_shared_secret", []string{"neutron_metadata_proxy_shared_secret"}, "", text(&o.secret)},
		{n, "auth_url", []string{"auth_url"}, "", text(&l.AuthURL)},
		{n, "username", []string{"username", "admin_user"}, "", text(&l.Username)},
		{n, "password", []string{"password", "admin_password"}, "", text(&l.Password)},
		{n, "user_domain_name", []string{"user_domain_name"}, "Default", text(&l.UserDomain)},
		{n, "project_name", []string{"project_name", "admin_tenant_name"}, "", text(&l.Project)},
		{n, "project_domain_name", []string{"project_domain_name"}, "Default", text(&l.ProjectDomain)},
		{n, "region_name", []string{"auth_region"}, "", text(&l.Region)},
		{n, "valid_interfaces", []string{"endpoint_type"}, "public", endpointType(&l.Interface)},
		{n, "endpoint_override", nil, "", text(&l.Endpoint)},
		{n, "cafile", nil, "", text(&o.neutronTLS.ca)},
		{n, "certfile", nil, "", text(&o.neutronTLS.cert)},
		{n, "keyfile", nil, "", text(&o.neutronTLS.key)},
		{n, "insecure", []string{"auth_insecure"}, "false", boolean(&o.neutronTLS.insecure)},
		{limitGroup, "rate_limit_enabled", nil, "false", boolean(&o.limits.enabled)},
		{limitGroup, "base_window_duration", nil, "10", positive(&o.limits.baseWindow)},
		{limitGroup, "base_query_rate_limit", nil, "10", positive(&o.limits.baseLimit)},
		{limitGroup, "burst_query_rate_limit", nil, "10", positive(&o.limits.maxBurst)},
		{ownGroup, "neutron_form", nil, "false", boolean(&o.neutronForm)},
	}
}

// readAgentOptions takes the options that it knows from file; others are other
// services' matter. Errors name the option.
func readAgentOptions(file optionFile) (agentOptions, error) {
	var o agentOptions
	options := o.list()
	fallback := func(group, name string) (string, bool) {
		i := slices.IndexFunc(options, func(a agentOption) bool { return a.group == group && a.name == name })
		if i < 0 {
			return "", false
		}
		return options[i].value, true
	}
	for _, a := range options {
		group, raw := a.find(file)
		value, err := file.Expand(group, raw, fallback)
		if err == nil {
			err = a.take(strings.TrimSpace(value))
		}
		if err != nil {
			return agentOptions{}, fmt.Errorf("[%s] %s: %w", a.group, a.name, err)
		}
	}
	if o.secret == "" {
		return agentOptions{}, errors.New("[DEFAULT] metadata_proxy_shared_secret is missing")
	}
	var err error
	if o.neutronTLS != (tlsFiles{}) {
		o.login.TLS, err = o.neutronTLS.config()
	}
	return o, err
}

// find returns the value and the group that it stands in.
func (a agentOption) find(file optionFile) (group, raw string) {
	if v, ok := file.Raw(a.group, a.name); ok {
		return a.group, v
	}
	for _, older := range a.older {
		if v, ok := file.Raw(defaultGroup, older); ok {
			return defaultGroup, v
		}
	}
	return a.group, a.value
}

func oneOf(to *string, allowed ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(allowed, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(allowed, ", "))
		}
		*to = s
		return nil
	}
}

func portNumber(to *int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a port", s)
		}
		*to = int(n)
		return nil
	}
}

func positive(to *int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a positive number", s)
		}
		*to = int(n)
		return nil
	}
}

// boolean takes oslo.config's words (oslo_config/types.py, 9.0.0).
func boolean(to *bool) func(string) error {
	return func(s string) error {
		switch strings.ToLower(s) {
		case "true", "1", "on", "yes":
			*to = true
		case "false", "0", "off", "no":
			*to = false
		default:
			return fmt.Errorf("%q is neither true nor false", s)
		}
		return nil
	}
}

// endpointType takes the first of a list, with or without the older suffix.
func endpointType(to *string) func(string) error {
	return func(s string) error {
		first, _, _ := strings.Cut(s, ",")
		return oneOf(to, "public", "internal", "admin")(strings.TrimSuffix(strings.TrimSpace(first), "URL"))
	}
}

// config reads the files.
func (f tlsFiles) config() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: f.insecure}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("a client's certificate and its key belong together")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
