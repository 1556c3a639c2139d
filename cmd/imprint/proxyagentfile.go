package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"imprint/host/config"
	"imprint/host/metadataagent"
	"imprint/host/neutron"
)

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

// agentOption is an option and what takes its value.
type agentOption struct {
	config.Option
	take func(string) error
}

// list names the options. Those of the login have keystoneauth's names, and
// older ones that metadata_agent.ini had before the agent used the message bus.
func (o *agentOptions) list() []agentOption {
	text := func(v *string) func(string) error { return func(s string) error { *v = s; return nil } }
	option := func(group, name string, older []string, value string, take func(string) error) agentOption {
		a := agentOption{config.Option{INIOption: config.INIOption{Group: group, Name: name}, Default: value}, take}
		for _, name := range older {
			a.Older = append(a.Older, config.INIOption{Group: defaultGroup, Name: name})
		}
		return a
	}
	d, n, l := defaultGroup, neutronGroup, &o.login
	return []agentOption{
		option(d, "state_path", nil, "/var/lib/neutron", func(string) error { return nil }),
		option(d, "metadata_proxy_socket", nil, "$state_path/metadata_proxy", text(&o.socket)),
		option(d, "metadata_proxy_socket_mode", nil, "deduce", oneOf(&o.mode, "deduce", "user", "group", "all")),
		option(d, "metadata_proxy_user", nil, "", text(&o.user)),
		option(d, "metadata_proxy_group", nil, "", text(&o.group)),
		option(d, "nova_metadata_host", []string{"nova_metadata_ip"}, "127.0.0.1", hostName(&o.novaHost)),
		option(d, "nova_metadata_port", nil, "8775", integer(&o.novaPort, 65535)),
		option(d, "nova_metadata_protocol", nil, "http", oneOf(&o.protocol, "http", "https")),
		option(d, "nova_metadata_insecure", nil, "false", boolean(&o.novaTLS.insecure)),
		option(d, "auth_ca_cert", nil, "", text(&o.novaTLS.ca)),
		option(d, "nova_client_cert", nil, "", text(&o.novaTLS.cert)),
		option(d, "nova_client_priv_key", nil, "", text(&o.novaTLS.key)),
		option(d, "metadata_proxy_shared_secret", []string{"neutron_metadata_proxy_shared_secret"}, "", text(&o.secret)),
		option(n, "auth_url", []string{"auth_url"}, "", text(&l.AuthURL)),
		option(n, "username", []string{"username", "admin_user"}, "", text(&l.Username)),
		option(n, "password", []string{"password", "admin_password"}, "", text(&l.Password)),
		option(n, "user_domain_name", []string{"user_domain_name"}, "Default", text(&l.UserDomain)),
		option(n, "project_name", []string{"project_name", "admin_tenant_name"}, "", text(&l.Project)),
		option(n, "project_domain_name", []string{"project_domain_name"}, "Default", text(&l.ProjectDomain)),
		option(n, "region_name", []string{"auth_region"}, "", text(&l.Region)),
		option(n, "valid_interfaces", []string{"endpoint_type"}, "public", endpointType(&l.Interface)),
		option(n, "endpoint_override", nil, "", text(&l.Endpoint)),
		option(n, "cafile", nil, "", text(&o.neutronTLS.ca)),
		option(n, "certfile", nil, "", text(&o.neutronTLS.cert)),
		option(n, "keyfile", nil, "", text(&o.neutronTLS.key)),
		option(n, "insecure", []string{"auth_insecure"}, "false", boolean(&o.neutronTLS.insecure)),
		option(limitGroup, "rate_limit_enabled", nil, "false", boolean(&o.limits.enabled)),
		option(limitGroup, "base_window_duration", nil, "10", integer(&o.limits.baseWindow, math.MaxInt32)),
		option(limitGroup, "base_query_rate_limit", nil, "10", integer(&o.limits.baseLimit, math.MaxInt32)),
		option(limitGroup, "burst_query_rate_limit", nil, "10", integer(&o.limits.maxBurst, math.MaxInt32)),
		option(ownGroup, "neutron_form", nil, "false", boolean(&o.neutronForm)),
	}
}

// readAgentOptions takes the options that it knows from file; others are other
// services' matter. Errors name the option.
func readAgentOptions(file *config.INI) (agentOptions, error) {
	var o agentOptions
	options := o.list()
	var known []config.Option
	for _, a := range options {
		known = append(known, a.Option)
	}
	for _, a := range options {
		value, err := file.Value(a.Option, known)
		if err == nil {
			err = a.take(value)
		}
		if err != nil {
			return agentOptions{}, fmt.Errorf("%s: %w", a, err)
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

func oneOf(to *string, allowed ...string) func(string) error {
	return func(s string) (err error) {
		*to, err = config.ParseChoice(s, allowed...)
		return err
	}
}

// integer takes one from 1 to most.
func integer(to *int, most int) func(string) error {
	return func(s string) (err error) {
		*to, err = config.ParseInteger(s, 1, most)
		return err
	}
}

func boolean(to *bool) func(string) error {
	return func(s string) (err error) {
		*to, err = config.ParseBoolean(s)
		return err
	}
}

func hostName(to *string) func(string) error {
	return func(s string) (err error) {
		*to, err = config.ParseHost(s)
		return err
	}
}

// endpointType takes the first of a list, with or without the older suffix.
func endpointType(to *string) func(string) error {
	return func(s string) error {
		first := append(config.ParseList(s), "")[0]
		return oneOf(to, "public", "internal", "admin")(strings.TrimSuffix(first, "URL"))
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
