package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imprint/host/enroll"
)

// The agents of a node that are processes of their own.
const (
	networkAgent  = "network"
	computeAgent  = "compute"
	metadataAgent = "metadata"
)

func agentCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "agent",
		Short: "run one agent of a node alone: network, compute or metadata",
		Long: "An agent is fed by 'serve api' with what it needs to know, and with nothing else, over TLS with the\n" +
			"certificate that 'imprint node enroll' gave it.\n\n" +
			"SIGTERM ends the agent alone: instances run on, networks carry on, and the next start takes over.\n" +
			"'imprint down' takes down what the agent made.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(agentNetworkCommand(), agentComputeCommand(), agentMetadataCommand())
	return c
}

// fedAgent is an agent that 'serve api' feeds.
type fedAgent struct {
	name   string
	role   enroll.NodeRole
	flags  processFlags
	apiURL string
	check  func(*process) error
	add    func(*node) error
}

func (a fedAgent) run(ctx context.Context) error {
	return setup{
		command: "imprint agent " + a.name, agent: a.name, flags: a.flags, stays: true,
		prepare: a.check,
		build: func(_ context.Context, p *process) error {
			id, err := p.identity(a.apiURL)
			if err != nil {
				return err
			}
			name, err := a.ownNode(p.dir, id.Peer())
			if err != nil {
				return err
			}
			dial, err := dialNodes(a.apiURL, id)
			if err != nil {
				return err
			}
			return a.add(newNode(p, name, dial))
		},
	}.run(ctx)
}

// nodeFile keeps the name of the node that a state directory belongs to.
const nodeFile = "node"

// ownNode returns the node's name. An identity that is not for this agent, or
// of another node than the state directory's, would have it remove all that is
// there.
func (a fedAgent) ownNode(dir *stateDir, peer enroll.Peer) (string, error) {
	if peer.Node == "" || !slices.Contains(peer.Roles, a.role) {
		return "", fmt.Errorf("the identity in %s is that of %s with roles %v, not of a node with role %s", dir.file(ofAgent(identityDir, a.name, "")), peer, peer.Roles, a.role)
	}
	text, err := os.ReadFile(dir.file(nodeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return peer.Node, writeWhole(dir.file(nodeFile), []byte(peer.Node+"\n"), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	if was := strings.TrimSpace(string(text)); was != peer.Node {
		return "", fmt.Errorf("the state directory %s belongs to node %s, the identity is that of node %s", dir.path, was, peer.Node)
	}
	return peer.Node, nil
}

// dialNodes connects to the feed of 'serve api'.
func dialNodes(apiURL string, id *enroll.Identity) (func(context.Context) (net.Conn, error), error) {
	at, err := url.Parse(apiURL)
	if err != nil || at.Scheme != "https" || at.Port() == "" {
		return nil, &usageError{fmt.Errorf("--api: %q is not of the form https://host:port", apiURL)}
	}
	return func(ctx context.Context) (net.Conn, error) {
		conf := id.ClientConfig(enroll.API)
		conf.NextProtos = []string{feedProtocol}
		return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", at.Host)
	}, nil
}

func agentNetworkCommand() *cobra.Command {
	a := fedAgent{name: networkAgent, role: enroll.NetworkNode, check: func(*process) error { return checkKernel() }, add: (*node).addNetwork}
	c := &cobra.Command{
		Use:   networkAgent,
		Short: "run routers, DHCP and the namespace proxy of a node",
		Long: "Agent network makes the namespaces of routers and DHCP, and looks after two processes without privileges:\n" +
			"the proxy and the DHCP server. It needs root. With 'agent compute' on the same machine it shares the\n" +
			"state directory, and with it the bridges.",
		Example: "  imprint agent network --api https://controller:6781\n  imprint down --state-dir /var/lib/imprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("imprint agent network"); err != nil {
				return err
			}
			return a.run(cmd.Context())
		},
	}
	a.flags.add(c, defaultStateDir)
	apiFlag(c, &a.apiURL)
	return c
}

func agentComputeCommand() *cobra.Command {
	a := fedAgent{name: computeAgent, role: enroll.ComputeNode, check: checkCompute, add: (*node).addCompute}
	c := &cobra.Command{
		Use:   computeAgent,
		Short: "run the instances of a node",
		Long: "Agent compute starts, stops and removes instances, and makes their config drives. It needs root. With\n" +
			"'agent network' on the same machine it shares the state directory, and with it the bridges.",
		Example: "  imprint agent compute --api https://controller:6781",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("imprint agent compute"); err != nil {
				return err
			}
			return a.run(cmd.Context())
		},
	}
	a.flags.add(c, defaultStateDir)
	apiFlag(c, &a.apiURL)
	return c
}

func agentMetadataCommand() *cobra.Command {
	a := fedAgent{name: metadataAgent, role: enroll.MetadataAgent, check: func(*process) error { return nil }}
	var services []string
	var dropIn dropInAgent
	c := &cobra.Command{
		Use:   metadataAgent,
		Short: "tell the metadata service which instance asks",
		Long: "Agent metadata hears the namespace proxy on a unix socket (metadata.proxy_socket of the configuration, the\n" +
			"same as that of 'agent network'), finds the instance, signs and asks the metadata service. It needs no\n" +
			"privilege; it should be of a user of its own. The secret is secrets/metadata.secret in the state directory.\n\n" +
			"With --config-file it does neutron-metadata-agent's work in a real OpenStack instead: the options are read\n" +
			"from metadata_agent.ini, instances are looked up in Neutron, whose address and user stand in its section\n" +
			"[neutron] (docs/path.md).",
		Example: "  imprint agent metadata --service 127.0.0.1:8775 --service 127.0.0.1:8785\n" +
			"  imprint agent metadata --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/metadata_agent.ini",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dropIn.wanted() {
				return dropIn.run(cmd.Context())
			}
			return a.run(cmd.Context())
		},
	}
	dropIn.add(c)
	a.flags.add(c, "/var/lib/imprint-metadata-agent")
	apiFlag(c, &a.apiURL)
	c.Flags().StringSliceVar(&services, "service", []string{"127.0.0.1:8775"}, "address and port of each replica of the metadata service")
	a.add = func(n *node) error {
		secret, err := n.sharedSecret()
		if err != nil {
			return err
		}
		return n.addMetadataAgent(services, secret)
	}
	return c
}
