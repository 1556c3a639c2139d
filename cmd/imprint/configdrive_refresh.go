package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func driveRefreshCommand() *cobra.Command {
	var stateDir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "refresh SERVER",
		Short: "have a server's config drive made anew, with its documents as they are now",
		Long: "Refresh asks the compute service to have the node of SERVER (a name or an id) make its config drive anew. The\n" +
			"node writes it beside the old one and renames it; an instance that runs sees it at its next boot.\n" +
			"It logs in as OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME and OS_REGION_NAME say, or else with\n" +
			"clouds.yaml of the state directory. To have it done by itself at every boot, set compute.refresh_config_drive.",
		Example: "  imprint configdrive refresh c3\n  imprint configdrive refresh --state-dir /srv/imprint c3",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cred, err := userCredentials(stateDir)
			if err != nil {
				return err
			}
			cl, err := login(cmd.Context(), cred)
			if err != nil {
				return err
			}
			id, err := findServer(cmd.Context(), cl.compute, args[0])
			if err != nil {
				return err
			}
			if err := refreshDrive(cmd.Context(), cl.compute, id); err != nil {
				return fmt.Errorf("refresh the config drive of server %s: %w", args[0], err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
					Server string `json:"server"` // its id
				}{id})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: its node makes the config drive anew; the instance sees it at its next boot\n", args[0])
			return err
		},
	}
	stateDirFlag(c, &stateDir)
	c.Flags().BoolVar(&asJSON, "json", false, "print the id of the server as JSON")
	return c
}

// userCredentials are those of the environment, as the stock client takes them,
// or else those that imprint up wrote for its administrator.
func userCredentials(stateDir string) (credentials, error) {
	if url := os.Getenv("OS_AUTH_URL"); url != "" {
		return credentials{AuthURL: url, User: os.Getenv("OS_USERNAME"), Password: os.Getenv("OS_PASSWORD"),
			Project: os.Getenv("OS_PROJECT_NAME"), Region: os.Getenv("OS_REGION_NAME")}, nil
	}
	text, err := os.ReadFile(filepath.Join(stateDir, cloudsFile))
	if err != nil {
		return credentials{}, fmt.Errorf("no credentials: OS_AUTH_URL is not set, and %w", err)
	}
	var clouds struct {
		Clouds map[string]struct {
			Region string `yaml:"region_name"`
			Auth   struct {
				URL      string `yaml:"auth_url"`
				User     string `yaml:"username"`
				Password string `yaml:"password"`
				Project  string `yaml:"project_name"`
			} `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &clouds); err != nil {
		return credentials{}, fmt.Errorf("read %s: %w", filepath.Join(stateDir, cloudsFile), err)
	}
	c := clouds.Clouds["imprint"]
	return credentials{AuthURL: c.Auth.URL, User: c.Auth.User, Password: c.Auth.Password, Project: c.Auth.Project, Region: c.Region}, nil
}

// findServer finds a server by its id or its name, which must be its alone.
func findServer(ctx context.Context, compute *gophercloud.ServiceClient, name string) (string, error) {
	pages, err := servers.List(compute, servers.ListOpts{}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list servers: %w", err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return "", fmt.Errorf("list servers: %w", err)
	}
	var found []string
	for _, s := range all {
		if s.ID == name {
			return s.ID, nil
		}
		if s.Name == name {
			found = append(found, s.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no server %s", name)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d servers are called %s; name one by its id", len(found), name)
}

func refreshDrive(ctx context.Context, compute *gophercloud.ServiceClient, id string) error {
	res, err := compute.Post(ctx, compute.ServiceURL("servers", id, "action"),
		map[string]any{"imprint-refreshConfigDrive": nil}, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusAccepted}})
	if err != nil {
		return err
	}
	return res.Body.Close()
}
