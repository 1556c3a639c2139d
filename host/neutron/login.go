package neutron

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// Login says where Keystone and Neutron are, and who asks: a user who may list
// the ports of all projects. The fields have the names of keystoneauth's
// options.
type Login struct {
	AuthURL       string
	Username      string
	Password      string
	UserDomain    string // its name; empty: Default
	Project       string
	ProjectDomain string // its name; empty: Default
	Region        string // empty: the only one
	Interface     string // public, internal or admin; empty: public
	Endpoint      string // of Neutron; empty: the catalog's
	// TLS is for both; nil: the system's authorities.
	TLS *tls.Config
}

const (
	defaultDomain = "Default"
	loginTime     = 10 * time.Second
	answerTime    = 10 * time.Second
)

func (l Login) check() error {
	for name, value := range map[string]string{"auth_url": l.AuthURL, "username": l.Username, "password": l.Password, "project_name": l.Project} {
		if value == "" {
			return fmt.Errorf("neutron: %s is missing", name)
		}
	}
	return nil
}

// session is a login that is made when it is first needed.
type session struct {
	login Login
	http  http.Client

	mu     sync.Mutex
	client *gophercloud.ServiceClient // nil until then
}

func newSession(l Login) *session {
	return &session{login: l, http: http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			TLSClientConfig: l.TLS, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: time.Minute,
		},
	}}
}

// network returns the client of the network service. A token that ends is
// replaced by gophercloud.
func (s *session) network(ctx context.Context) (*gophercloud.ServiceClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	provider, err := openstack.NewClient(s.login.AuthURL)
	if err != nil {
		return nil, fmt.Errorf("keystone %s: %w", s.login.AuthURL, err)
	}
	provider.HTTPClient = s.http
	if err := openstack.Authenticate(ctx, provider, s.login.options()); err != nil {
		return nil, fmt.Errorf("log in at %s: %w", s.login.AuthURL, withoutBody(err))
	}
	client, err := s.login.service(provider)
	if err != nil {
		return nil, fmt.Errorf("find the network service: %w", withoutBody(err))
	}
	s.client = client
	return client, nil
}

func (l Login) options() gophercloud.AuthOptions {
	return gophercloud.AuthOptions{
		IdentityEndpoint: l.AuthURL, Username: l.Username, Password: l.Password, DomainName: cmp.Or(l.UserDomain, defaultDomain),
		AllowReauth: true, Scope: &gophercloud.AuthScope{ProjectName: l.Project, DomainName: cmp.Or(l.ProjectDomain, defaultDomain)},
	}
}

func (l Login) service(p *gophercloud.ProviderClient) (*gophercloud.ServiceClient, error) {
	if l.Endpoint != "" {
		base := strings.TrimSuffix(gophercloud.NormalizeURL(l.Endpoint), "v2.0/")
		return &gophercloud.ServiceClient{ProviderClient: p, Endpoint: base, ResourceBase: base + "v2.0/", Type: "network"}, nil
	}
	return openstack.NewNetworkV2(p, gophercloud.EndpointOpts{
		Region: l.Region, Availability: gophercloud.Availability(cmp.Or(l.Interface, string(gophercloud.AvailabilityPublic))),
	})
}

// withoutBody keeps what a service answered out of a log.
func withoutBody(err error) error {
	if unexpected := (gophercloud.ErrUnexpectedResponseCode{}); errors.As(err, &unexpected) {
		return fmt.Errorf("status %d", unexpected.Actual)
	}
	return err
}
