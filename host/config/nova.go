package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Nova are the options of nova.conf that the metadata service knows, by Nova's
// names (nova/conf, 26.2.2), and those of a group of its own, imprint, which
// Nova ignores.
type Nova struct {
	EnabledAPIs    []string // [DEFAULT] enabled_apis
	EnabledSSLAPIs []string // [DEFAULT] enabled_ssl_apis
	Listen         string   // [DEFAULT] metadata_listen and metadata_listen_port, host:port
	FlatInjected   bool     // [DEFAULT] flat_injected

	DHCPDomain      string        // [api] dhcp_domain
	VendorProviders []string      // [api] vendordata_providers
	VendorFile      string        // [api] vendordata_jsonfile_path
	VendorTargets   []string      // [api] vendordata_dynamic_targets
	VendorCA        string        // [api] vendordata_dynamic_ssl_certfile
	ConnectTimeout  time.Duration // [api] vendordata_dynamic_connect_timeout
	ReadTimeout     time.Duration // [api] vendordata_dynamic_read_timeout
	FailureFatal    bool          // [api] vendordata_dynamic_failure_fatal
	// CacheExpiration is the lifetime of an answer of dynamic vendor data that
	// names none ([api] metadata_cache_expiration).
	CacheExpiration time.Duration
	UseForwardedFor bool // [api] use_forwarded_for

	ServiceProxy bool   // [neutron] service_metadata_proxy
	SharedSecret Secret // [neutron] metadata_proxy_shared_secret

	VendorAuth VendorAuth // [vendordata_dynamic_auth]

	CertFile string // [wsgi] ssl_cert_file
	KeyFile  string // [wsgi] ssl_key_file
	CAFile   string // [wsgi] ssl_ca_file; clients then need a certificate

	// Trust is signed, provider, address, or "" for what ServiceProxy says
	// ([imprint] metadata_trust).
	Trust string
	// NetworkData is nova or complete ([imprint] network_data).
	NetworkData string
	// MetricsListen is host:port of the metrics, "" for none ([imprint]
	// metrics_listen).
	MetricsListen string
}

// VendorAuth is the service user that dynamic targets see.
type VendorAuth struct {
	AuthURL       string
	Username      string
	Password      Secret
	UserDomain    string
	Project       string
	ProjectDomain string
}

// Secret is text that no log shows.
type Secret string

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// novaOption is an option and what takes its value.
type novaOption struct {
	Option
	take func(*Nova, string) error
}

// novaOptions lists the options. Those without take are known and without
// effect.
func novaOptions() []novaOption {
	old := func(names ...string) []INIOption {
		var places []INIOption
		for _, n := range names {
			places = append(places, INIOption{defaultGroup, n})
		}
		return places
	}
	d, api, neutron, auth := defaultGroup, "api", "neutron", "vendordata_dynamic_auth"
	return []novaOption{
		{Option{INIOption{d, "enabled_apis"}, nil, "osapi_compute,metadata"}, list(func(n *Nova) *[]string { return &n.EnabledAPIs }, "osapi_compute", "metadata")},
		{Option{INIOption{d, "enabled_ssl_apis"}, nil, ""}, list(func(n *Nova) *[]string { return &n.EnabledSSLAPIs })},
		{Option{INIOption{d, "metadata_listen"}, nil, "0.0.0.0"}, host},
		{Option{INIOption{d, "metadata_listen_port"}, nil, "8775"}, port},
		{Option{INIOption{d, "metadata_workers"}, nil, ""}, nil},
		{Option{INIOption{d, "state_path"}, nil, "/var/lib/nova"}, nil},
		{Option{INIOption{d, "flat_injected"}, nil, "false"}, flag(func(n *Nova) *bool { return &n.FlatInjected })},
		{Option{INIOption{api, "dhcp_domain"}, old("dhcp_domain"), "novalocal"}, text(func(n *Nova) *string { return &n.DHCPDomain })},
		{Option{INIOption{api, "vendordata_providers"}, old("vendordata_providers"), "StaticJSON"}, list(func(n *Nova) *[]string { return &n.VendorProviders }, "StaticJSON", "DynamicJSON", "DeprecatedJSON")},
		{Option{INIOption{api, "vendordata_jsonfile_path"}, old("vendordata_jsonfile_path"), ""}, text(func(n *Nova) *string { return &n.VendorFile })},
		{Option{INIOption{api, "vendordata_dynamic_targets"}, old("vendordata_dynamic_targets"), ""}, list(func(n *Nova) *[]string { return &n.VendorTargets })},
		{Option{INIOption{api, "vendordata_dynamic_ssl_certfile"}, old("vendordata_dynamic_ssl_certfile"), ""}, text(func(n *Nova) *string { return &n.VendorCA })},
		{Option{INIOption{api, "vendordata_dynamic_connect_timeout"}, old("vendordata_dynamic_connect_timeout"), "5"}, seconds(3, func(n *Nova) *time.Duration { return &n.ConnectTimeout })},
		{Option{INIOption{api, "vendordata_dynamic_read_timeout"}, old("vendordata_dynamic_read_timeout"), "5"}, seconds(0, func(n *Nova) *time.Duration { return &n.ReadTimeout })},
		{Option{INIOption{api, "vendordata_dynamic_failure_fatal"}, nil, "false"}, flag(func(n *Nova) *bool { return &n.FailureFatal })},
		{Option{INIOption{api, "metadata_cache_expiration"}, old("metadata_cache_expiration"), "15"}, seconds(0, func(n *Nova) *time.Duration { return &n.CacheExpiration })},
		{Option{INIOption{api, "local_metadata_per_cell"}, nil, "false"}, nil},
		{Option{INIOption{api, "use_forwarded_for"}, old("use_forwarded_for"), "false"}, flag(func(n *Nova) *bool { return &n.UseForwardedFor })},
		{Option{INIOption{neutron, "service_metadata_proxy"}, append(old("service_metadata_proxy", "service_neutron_metadata_proxy"), INIOption{neutron, "service_neutron_metadata_proxy"}), "false"}, flag(func(n *Nova) *bool { return &n.ServiceProxy })},
		{Option{INIOption{neutron, "metadata_proxy_shared_secret"}, append(old("metadata_proxy_shared_secret", "neutron_metadata_proxy_shared_secret"), INIOption{neutron, "neutron_metadata_proxy_shared_secret"}), ""}, secret(func(n *Nova) *Secret { return &n.SharedSecret })},
		{Option{INIOption{auth, "auth_url"}, nil, ""}, text(func(n *Nova) *string { return &n.VendorAuth.AuthURL })},
		{Option{INIOption{auth, "auth_type"}, nil, "password"}, oneOf(nil, "password", "v3password", "")},
		{Option{INIOption{auth, "username"}, []INIOption{{auth, "user_name"}}, ""}, text(func(n *Nova) *string { return &n.VendorAuth.Username })},
		{Option{INIOption{auth, "password"}, nil, ""}, secret(func(n *Nova) *Secret { return &n.VendorAuth.Password })},
		{Option{INIOption{auth, "user_domain_name"}, nil, "Default"}, text(func(n *Nova) *string { return &n.VendorAuth.UserDomain })},
		{Option{INIOption{auth, "project_name"}, []INIOption{{auth, "tenant_name"}}, ""}, text(func(n *Nova) *string { return &n.VendorAuth.Project })},
		{Option{INIOption{auth, "project_domain_name"}, nil, "Default"}, text(func(n *Nova) *string { return &n.VendorAuth.ProjectDomain })},
		{Option{INIOption{"wsgi", "ssl_cert_file"}, old("ssl_cert_file"), ""}, text(func(n *Nova) *string { return &n.CertFile })},
		{Option{INIOption{"wsgi", "ssl_key_file"}, old("ssl_key_file"), ""}, text(func(n *Nova) *string { return &n.KeyFile })},
		{Option{INIOption{"wsgi", "ssl_ca_file"}, old("ssl_ca_file"), ""}, text(func(n *Nova) *string { return &n.CAFile })},
		{Option{INIOption{"imprint", "metadata_trust"}, nil, ""}, oneOf(func(n *Nova) *string { return &n.Trust }, "signed", "provider", "address", "")},
		{Option{INIOption{"imprint", "network_data"}, nil, "nova"}, oneOf(func(n *Nova) *string { return &n.NetworkData }, "nova", "complete")},
		{Option{INIOption{"imprint", "metrics_listen"}, nil, ""}, hostPort(func(n *Nova) *string { return &n.MetricsListen })},
	}
}

// ReadNova takes the options from files. An option that it does not know is
// told in the log as debug and left alone, since most of a nova.conf is other
// services' matter. A value that makes no sense is an error that names the
// option; a nil log discards.
func ReadNova(f *INI, log *slog.Logger) (Nova, error) {
	var n Nova
	options := novaOptions()
	var known []Option
	for _, o := range options {
		known = append(known, o.Option)
	}
	for _, o := range options {
		value, err := f.Value(o.Option, known)
		if err == nil && o.take != nil {
			err = o.take(&n, value)
		}
		if err != nil {
			return Nova{}, fmt.Errorf("%s: %w", o, err)
		}
	}
	if log != nil {
		for _, o := range f.Options() {
			if !slices.ContainsFunc(known, func(k Option) bool { return slices.Contains(k.names(), o) }) {
				log.Debug("option is not the metadata service's", "group", o.Group, "option", o.Name)
			}
		}
	}
	return n, n.check()
}

func (n *Nova) check() error {
	if n.TLS() && (n.CertFile == "" || n.KeyFile == "") {
		return fmt.Errorf("[DEFAULT] enabled_ssl_apis: metadata needs [wsgi] ssl_cert_file and ssl_key_file")
	}
	return nil
}

// Serves reports whether the metadata service is among the enabled APIs.
func (n *Nova) Serves() bool { return slices.Contains(n.EnabledAPIs, "metadata") }

// TLS reports whether the metadata service is to speak TLS.
func (n *Nova) TLS() bool { return slices.Contains(n.EnabledSSLAPIs, "metadata") }

// StaticVendor and DynamicVendor report which providers of vendor data are on.
func (n *Nova) StaticVendor() bool {
	return slices.Contains(n.VendorProviders, "StaticJSON") || slices.Contains(n.VendorProviders, "DeprecatedJSON")
}

// DynamicVendor reports whether dynamic targets are asked.
func (n *Nova) DynamicVendor() bool {
	return slices.Contains(n.VendorProviders, "DynamicJSON") && len(n.VendorTargets) > 0
}

func text(at func(*Nova) *string) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		*at(n) = v
		return nil
	}
}

func secret(at func(*Nova) *Secret) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		*at(n) = Secret(v)
		return nil
	}
}

func flag(at func(*Nova) *bool) func(*Nova, string) error {
	return func(n *Nova, v string) (err error) {
		*at(n), err = ParseBoolean(v)
		return err
	}
}

// list takes a list of choices, of anything if there are none.
func list(at func(*Nova) *[]string, choices ...string) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		*at(n) = ParseList(v)
		for _, item := range *at(n) {
			if _, err := ParseChoice(item, choices...); err != nil && choices != nil {
				return err
			}
		}
		return nil
	}
}

const maxSeconds = 24 * 60 * 60

func seconds(least int, at func(*Nova) *time.Duration) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		s, err := ParseInteger(v, least, maxSeconds)
		*at(n) = time.Duration(s) * time.Second
		return err
	}
}

func oneOf(at func(*Nova) *string, choices ...string) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		v, err := ParseChoice(v, choices...)
		if at != nil {
			*at(n) = v
		}
		return err
	}
}

func host(n *Nova, v string) error {
	if _, err := netip.ParseAddr(v); err != nil {
		return fmt.Errorf("%.80q is not an IP address", v)
	}
	n.Listen = v
	return nil
}

// port completes the listener that host began.
func port(n *Nova, v string) error {
	p, err := ParseInteger(v, 1, 65535)
	n.Listen = net.JoinHostPort(n.Listen, strconv.Itoa(p))
	return err
}

func hostPort(at func(*Nova) *string) func(*Nova, string) error {
	return func(n *Nova, v string) error {
		if _, err := netip.ParseAddrPort(v); v != "" && err != nil {
			return fmt.Errorf("%.80q is not an address and a port", v)
		}
		*at(n) = v
		return nil
	}
}
