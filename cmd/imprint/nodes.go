package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imprint/host/api"
	"imprint/host/cloud"
	"imprint/host/enroll"
	"imprint/host/feed"
)

func nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "node",
		Short: "let machines in as nodes, and out again",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(nodeTokenCommand(), nodeEnrollCommand(), nodeListCommand(), nodeRevokeCommand())
	return c
}

// tokenWish is what 'imprint node token' asks of serve api.
type tokenWish struct {
	Node             string            `json:"node"`
	Roles            []enroll.NodeRole `json:"roles"`
	Zone             string            `json:"availability_zone"`
	ForceConfigDrive bool              `json:"force_config_drive"`
	Lifetime         time.Duration     `json:"lifetime"` // nanoseconds
}

// nodeRow is a node as 'imprint node list' shows it.
type nodeRow struct {
	Name    string `json:"name"`
	Network bool   `json:"network"`
	Compute bool   `json:"compute"`
	Zone    string `json:"availability_zone"`
}

func nodeTokenCommand() *cobra.Command {
	var stateDir string
	var roles []string
	wish := tokenWish{}
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "print a token that makes its first user the node NAME",
		Long: "Token is run where 'serve api' runs. The token works once, within its lifetime, for the roles given: each\n" +
			"agent of a node is to have a token for its own role. Who has it can become the node: keep it secret.",
		Example: "  imprint node token n1 --role compute > token\n  imprint node token n1 --role network --lifetime 10m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(roles) == 0 {
				return &usageError{errors.New("--role: network, compute or metadata-agent is missing")}
			}
			wish.Node = args[0]
			for _, role := range roles {
				wish.Roles = append(wish.Roles, enroll.NodeRole(role))
			}
			var token string
			if err := order(cmd.Context(), stateDir, "", "POST /nodes/token", wish, &token); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	apiDirFlag(c, &stateDir)
	c.Flags().StringSliceVar(&roles, "role", nil, "network, compute or metadata-agent; may be given several times")
	c.Flags().StringVar(&wish.Zone, "zone", "nova", "availability zone of the node's servers")
	c.Flags().BoolVar(&wish.ForceConfigDrive, "force-config-drive", false, "every new server of the node gets a config drive")
	c.Flags().DurationVar(&wish.Lifetime, "lifetime", time.Hour, "how long the token may wait for the node")
	return c
}

func apiDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "state-dir", defaultAPIDir, "state directory of 'serve api'")
}

func nodeEnrollCommand() *cobra.Command {
	var tokenFile, dir string
	c := &cobra.Command{
		Use:   "enroll URL",
		Short: "become a node: trade a token for a certificate",
		Long: "Enroll makes a key that never leaves this machine, and has 'serve api' at URL certify it for the token. It\n" +
			"speaks with no other server than the one that the token is from. Run it as the user of the agent.",
		Example: "  imprint node enroll https://controller:6781 --token-file token --identity /var/lib/imprint/identity-compute\n" +
			"  ssh controller imprint node token n1 --role network |\n" +
			"    imprint node enroll https://controller:6781 --token-file - --identity /var/lib/imprint/identity-network",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" || tokenFile == "" {
				return &usageError{errors.New("--identity and --token-file are needed")}
			}
			token, err := readToken(cmd.InOrStdin(), tokenFile)
			if err != nil {
				return err
			}
			id, err := enroll.Enroll(cmd.Context(), args[0], token, dir)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, until %s\n", id.Peer(), id.Peer().NotAfter.Format(time.RFC3339))
			return nil
		},
	}
	c.Flags().StringVar(&tokenFile, "token-file", "", "file with the token, - for standard input")
	c.Flags().StringVar(&dir, "identity", "", "directory for key and certificate: identity-<agent> in the agent's state directory")
	return c
}

// maxToken bounds a token's file, in bytes.
const maxToken = 4096

// readToken reads a token from a file, or from in. A token is never an
// argument, which everybody on the machine could read.
func readToken(in io.Reader, file string) (enroll.Token, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return enroll.Token{}, fmt.Errorf("read the token: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxToken))
	if err != nil {
		return enroll.Token{}, fmt.Errorf("read the token: %w", err)
	}
	return enroll.ParseToken(string(text))
}

func nodeListCommand() *cobra.Command {
	var stateDir string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "list the nodes",
		Example: "  imprint node list\n  imprint node list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var rows []nodeRow
			if err := order(cmd.Context(), stateDir, "", "GET /nodes", nil, &rows); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tNETWORK\tCOMPUTE\tZONE")
			for _, n := range rows {
				fmt.Fprintf(w, "%s\t%t\t%t\t%s\n", n.Name, n.Network, n.Compute, n.Zone)
			}
			return w.Flush()
		},
	}
	apiDirFlag(c, &stateDir)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func nodeRevokeCommand() *cobra.Command {
	var stateDir string
	c := &cobra.Command{
		Use:   "revoke NAME",
		Short: "refuse every certificate and token that the node NAME has",
		Long: "Revoke cuts the node's agents off within ten seconds, and no server is placed on it any more. Its name\n" +
			"goes from the list when no server and no port is on it. A new token lets the node in again.",
		Example: "  imprint node revoke n1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return order(cmd.Context(), stateDir, "", "POST /nodes/revoke", tokenWish{Node: args[0]}, nil)
		},
	}
	apiDirFlag(c, &stateDir)
	return c
}

// nodeRoutes are the orders that serve api takes about nodes.
func nodeRoutes(c *controller, authority *enroll.Authority) []route {
	return []route{
		{"GET /nodes", func(w http.ResponseWriter, _ *http.Request) { answerOrder(w, c.nodes(), nil) }},
		{"POST /nodes/token", func(w http.ResponseWriter, r *http.Request) {
			var wish tokenWish
			err := json.NewDecoder(r.Body).Decode(&wish)
			var token enroll.Token
			if err == nil {
				token, err = authority.NewToken(wish.Node, wish.Roles, wish.Lifetime)
			}
			if err == nil {
				err = c.declare(r.Context(), wish)
			}
			answerOrder(w, token.Text(), err)
		}},
		{"POST /nodes/revoke", func(w http.ResponseWriter, r *http.Request) {
			var wish tokenWish
			err := json.NewDecoder(r.Body).Decode(&wish)
			if err == nil {
				err = c.known(wish.Node)
			}
			if err == nil {
				err = authority.Revoke(wish.Node)
			}
			if err == nil {
				err = c.left(r.Context(), wish.Node)
			}
			answerOrder(w, nil, err)
		}},
	}
}

func answerOrder(w http.ResponseWriter, say any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	json.NewEncoder(w).Encode(say)
}

// nodes lists the nodes by name.
func (c *controller) nodes() []nodeRow {
	rows := []nodeRow{}
	c.store.View(func(m *cloud.Model) {
		for _, n := range m.Nodes {
			rows = append(rows, nodeRow{n.Name, n.Network, n.Compute, n.AvailabilityZone})
		}
	})
	slices.SortFunc(rows, func(a, b nodeRow) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

// known refuses the name of a node that is not there.
func (c *controller) known(name string) error {
	if !slices.ContainsFunc(c.nodes(), func(n nodeRow) bool { return n.Name == name }) {
		return fmt.Errorf("there is no node %q", name)
	}
	return nil
}

// declare makes the record of a node that a token is for. Nothing is placed on
// it before it has joined.
func (c *controller) declare(ctx context.Context, wish tokenWish) error {
	return c.register(ctx, wish.Node, func(n *cloud.Node) {
		if slices.Contains(wish.Roles, enroll.ComputeNode) {
			n.AvailabilityZone, n.ForceConfigDrive = wish.Zone, wish.ForceConfigDrive
		}
	}, allowed)
}

// joined notes what a node is there for, once it is fed.
func (c *controller) joined(ctx context.Context, peer feed.Peer) error {
	return c.register(ctx, peer.Node, func(n *cloud.Node) {
		n.Network, n.Compute = n.Network || peer.Parts.Network, n.Compute || peer.Parts.Compute
	}, allowed)
}

// left notes that a node that was revoked is there for nothing. Its record
// goes when nothing is on it.
func (c *controller) left(ctx context.Context, name string) error {
	return api.NewWriter(c.store).Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		if m.Nodes[name] == nil {
			return cloud.Txn{}, nil
		}
		node := *m.Nodes[name]
		if !carries(m, name) {
			return cloud.Txn{Delete: []cloud.Record{&node}}, nil
		}
		node.Network, node.Compute = false, false
		return cloud.Txn{Put: []cloud.Record{&node}}, nil
	})
}

// carries reports whether a server or a port is on a node.
func carries(m *cloud.Model, node string) bool {
	for _, s := range m.Servers {
		if s.Host == node {
			return true
		}
	}
	for _, p := range m.Ports {
		if p.Host == node {
			return true
		}
	}
	return false
}

// allowed finds nothing against a node.
func allowed(*cloud.Model) error { return nil }
