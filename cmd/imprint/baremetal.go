package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"imprint/host/configdrive"
)

func bareMetalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "bare-metal",
		Short:   "provision the disk of a machine that is no virtual one",
		Example: "  imprint bare-metal write --image debian.raw --disk /dev/sda instance.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(bareMetalWriteCommand())
	return c
}

func bareMetalWriteCommand() *cobra.Command {
	var b bareMetal
	c := &cobra.Command{
		Use:   "write --image IMAGE --disk DISK DIR|INSTANCE.json",
		Short: "copy an image to a disk, add the config drive as its last partition, and read it all back",
		Long: "Write copies a raw disk image to the beginning of DISK, puts a drive made of DIR or INSTANCE.json at its end, as\n" +
			"'configdrive append' does, reads both back and compares. WHAT DISK HAS IS LOST. A disk that is in use is\n" +
			"refused. DISK may be a file that is at least as large as the image.",
		Example: "  imprint bare-metal write --image debian.raw --disk /dev/sda instance.json\n" +
			"  imprint bare-metal write --image debian.raw --disk /dev/sda drive/ --format vfat --json",
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.imageName == "" || b.diskName == "" {
				return &usageError{errors.New("imprint bare-metal write: --image and --disk are needed")}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			return b.write(ctx, args[0], cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&b.imageName, "image", "", "raw disk image with a partition table")
	c.Flags().StringVar(&b.diskName, "disk", "", "the disk to be written")
	c.Flags().BoolVar(&b.asJSON, "json", false, "print progress and outcome as JSON, one object a line")
	b.volume.add(c)
	return c
}

// bareMetal writes a machine's disk.
type bareMetal struct {
	imageName, diskName string
	asJSON              bool
	volume              volumeFlags
}

// write does all that can be refused before the first byte.
func (b *bareMetal) write(ctx context.Context, source string, out io.Writer) (err error) {
	m, done, err := b.volume.image(source)
	if err != nil {
		return err
	}
	defer done()
	image, err := os.Open(b.imageName)
	if err != nil {
		return err
	}
	defer image.Close()
	disk, err := configdrive.OpenDisk(b.diskName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	size, err := disk.CheckImage(image, m)
	if err != nil {
		return err
	}
	tell := teller{out: out, asJSON: b.asJSON, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	if err := disk.Copy(ctx, image, size, tell.step("copy")); err != nil {
		return fmt.Errorf("copy %s to %s: %w", b.imageName, b.diskName, err)
	}
	placed, err := disk.Append(m, configdrive.Placing{})
	if err != nil {
		return err
	}
	if err := disk.Compare(ctx, image, size, placed, tell.step("verify")); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	drive, err := disk.Drive(placed)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if wrong := drive.Verify(); len(wrong) > 0 {
		return fmt.Errorf("the drive on %s: %w", b.diskName, joinErrors(wrong...))
	}
	if err := disk.Reread(); err != nil {
		return err
	}
	return tellPlaced(out, b.asJSON, placedReport{b.diskName, placed.Number, placed.Start, placed.Size, string(placed.Scheme), drive.Label})
}

// teller shows progress: on a terminal in one line of standard error that is
// written over, else nothing but with JSON, an object at every tenth.
type teller struct {
	out              io.Writer
	asJSON, terminal bool
}

func (t teller) step(name string) configdrive.Progress {
	started, last := time.Now(), int64(-1)
	return func(done, total int64) {
		tenth := done * 10 / total
		switch {
		case t.asJSON && tenth != last:
			json.NewEncoder(t.out).Encode(struct {
				Step  string `json:"step"`
				Done  int64  `json:"done"`
				Total int64  `json:"total"`
			}{name, done, total})
		case t.terminal && !t.asJSON:
			rate := float64(done) / (1 << 20) / max(time.Since(started).Seconds(), 0.001)
			fmt.Fprintf(os.Stderr, "\r%s: %3d %% of %d MiB, %.0f MiB/s ", name, done*100/total, total>>20, rate)
			if done == total {
				fmt.Fprintln(os.Stderr)
			}
		}
		last = tenth
	}
}
