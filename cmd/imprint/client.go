package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"imprint/host/config"
)

// client speaks to the public REST API as any OpenStack program does.
type client struct {
	compute, network, image *gophercloud.ServiceClient
}

// credentials are what a user needs to log in.
type credentials struct {
	AuthURL, User, Password, Project, Region string
}

// login gets a token and finds the services in the catalog.
func login(ctx context.Context, c credentials) (*client, error) {
	provider, err := openstack.NewClient(c.AuthURL)
	if err != nil {
		return nil, fmt.Errorf("log in at %s: %w", c.AuthURL, err)
	}
	provider.HTTPClient = http.Client{Timeout: 60 * time.Second, Transport: patient{&http.Transport{Proxy: nil, DisableKeepAlives: true}}}
	err = openstack.Authenticate(ctx, provider, gophercloud.AuthOptions{
		IdentityEndpoint: c.AuthURL, Username: c.User, Password: c.Password,
		TenantName: c.Project, DomainName: "Default", AllowReauth: true,
	})
	if err != nil {
		return nil, fmt.Errorf("log in at %s as %s: %w", c.AuthURL, c.User, err)
	}
	var cl client
	where := gophercloud.EndpointOpts{Region: c.Region}
	if cl.compute, err = openstack.NewComputeV2(provider, where); err != nil {
		return nil, fmt.Errorf("find the compute service: %w", err)
	}
	if cl.network, err = openstack.NewNetworkV2(provider, where); err != nil {
		return nil, fmt.Errorf("find the network service: %w", err)
	}
	if cl.image, err = openstack.NewImageV2(provider, where); err != nil {
		return nil, fmt.Errorf("find the image service: %w", err)
	}
	return &cl, nil
}

// patient is a transport that waits for a service that is just being started
// again, as far as a request can be repeated: one that did not reach it, and
// one that changes nothing. Connections are not kept: a request on one whose
// service has been killed could have reached it or not.
type patient struct{ http.RoundTripper }

// Bounds of the patience.
const (
	patience = 20 * time.Second
	askAgain = 100 * time.Millisecond
)

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	limit := time.Now().Add(patience)
	for {
		res, err := p.RoundTripper.RoundTrip(r)
		away := errors.Is(err, syscall.ECONNREFUSED) || r.Method == http.MethodGet && err != nil ||
			res != nil && res.StatusCode == http.StatusServiceUnavailable
		if !away || time.Now().After(limit) || (r.Body != nil && r.GetBody == nil) {
			return res, err
		}
		if res != nil {
			res.Body.Close()
		}
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(askAgain):
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// authURL is where the identity service of a configuration answers.
func authURL(c config.Config) string {
	return fmt.Sprintf("http://%s/v3", hostPort(c.API.Listen, c.API.Identity))
}
