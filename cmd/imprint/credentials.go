package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"imprint/host/config"
)

// adminCredentials reads what imprint up wrote for the administrator.
func adminCredentials(conf config.Config, stateDir string) (credentials, error) {
	password, err := os.ReadFile(filepath.Join(stateDir, secretsDir, adminPasswordFile))
	if err != nil {
		return credentials{}, fmt.Errorf("read the administrator's password: %w", err)
	}
	return credentials{
		AuthURL: authURL(conf), User: "admin", Project: "admin", Region: conf.API.Region,
		Password: strings.TrimSpace(string(password)),
	}, nil
}

// environment returns the lines that set the stock client's variables.
func (c credentials) environment(indent string) string {
	var b strings.Builder
	for _, kv := range [][2]string{
		{"OS_AUTH_URL", c.AuthURL}, {"OS_USERNAME", c.User}, {"OS_PASSWORD", c.Password},
		{"OS_PROJECT_NAME", c.Project}, {"OS_USER_DOMAIN_ID", "default"}, {"OS_PROJECT_DOMAIN_ID", "default"},
		{"OS_REGION_NAME", c.Region}, {"OS_IDENTITY_API_VERSION", "3"},
	} {
		fmt.Fprintf(&b, "%sexport %s=%s\n", indent, kv[0], kv[1])
	}
	return b.String()
}

// cloudsYAML returns the same for clients that read clouds.yaml.
func (c credentials) cloudsYAML() string {
	return fmt.Sprintf(`clouds:
  imprint:
    region_name: %s
    identity_api_version: "3"
    auth:
      auth_url: %s
      username: %s
      password: "%s"
      project_name: %s
      user_domain_id: default
      project_domain_id: default
`, c.Region, c.AuthURL, c.User, c.Password, c.Project)
}

// hostPort joins an address and a port.
func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
