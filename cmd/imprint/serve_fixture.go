package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"imprint/host/config"
	"imprint/host/metadata"
)

// fixtureOptions are those of serving instances from files.
type fixtureOptions struct {
	dir    string
	files  []string // nova.conf
	listen string   // "" for what the files say
	// ready, if not nil, gets the address that is listened on.
	ready chan<- net.Addr
}

// fixtureCommand serves the instances of a directory, without a store.
func fixtureCommand() *cobra.Command {
	var o fixtureOptions
	cmd := &cobra.Command{
		Use:   "metadata --fixture DIR",
		Short: "serve the metadata of instances that are described in files",
		Long: "Serves the documents of the instances in DIR/*.json as the metadata service tells them, without a\n" +
			"store. An instance is known by the address that it asks from, unless a nova.conf has\n" +
			"service_metadata_proxy. docs/metadata.md has the form of the files and the options.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return serveFixture(ctx, o, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
		},
	}
	cmd.Flags().StringVar(&o.dir, "fixture", "", "directory of the instances")
	cmd.Flags().StringArrayVar(&o.files, "config-file", nil, "nova.conf; of several the last one's options count")
	cmd.Flags().StringVar(&o.listen, "listen", "", "address and port, instead of metadata_listen and metadata_listen_port")
	if err := cmd.MarkFlagRequired("fixture"); err != nil {
		panic(err) // the flag stands above
	}
	return cmd
}

func serveFixture(ctx context.Context, o fixtureOptions, log *slog.Logger) error {
	ini, err := config.LoadINI(o.files...)
	if err != nil {
		return err
	}
	conf, err := config.ReadNova(ini, log)
	if err != nil {
		return err
	}
	if len(o.files) == 0 && o.listen == "" {
		o.listen = "127.0.0.1:8775" // not Nova's default, which is every address
	}
	if o.listen != "" {
		conf.Listen = o.listen
	}
	fixture, err := metadata.LoadFixture(o.dir)
	if err != nil {
		return err
	}
	setup, err := metadata.FromNova(conf, fixture, fixture, log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", conf.Listen)
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	if o.ready != nil {
		o.ready <- l.Addr()
	}
	return setup.Serve(ctx, l)
}
