package main

import (
	"context"
	"fmt"
	"net/http"
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
	provider.HTTPClient = http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{Proxy: nil}}
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

// authURL is where the identity service of a configuration answers.
func authURL(c config.Config) string {
	return fmt.Sprintf("http://%s/v3", hostPort(c.API.Listen, c.API.Identity))
}
