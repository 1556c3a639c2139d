package main

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/openstack"
	"imprint/host/configdrive"
)

func configDriveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "configdrive",
		Short: "make, look into, check and compare config drives",
		Long: "Configdrive makes the volume from which an instance learns what the metadata service would tell it,\n" +
			"and reads such volumes back, whoever made them: ISO 9660 (Rock Ridge, Joliet, plain) and FAT12, FAT16, FAT32.\n" +
			"It needs no mount, no other program and no privilege.",
		Example: "  imprint configdrive make drive/ -o disk.config\n  imprint configdrive show disk.config openstack/latest/meta_data.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(driveMakeCommand(), driveShowCommand(), driveVerifyCommand(), driveDiffCommand(), driveAppendCommand(), driveRefreshCommand())
	return c
}

// exactly is cobra.ExactArgs for a command below another.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

// between is cobra.RangeArgs for a command below another.
func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.RangeArgs(low, high)(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%s: %w", cmd.CommandPath(), err)}
		}
		return nil
	}
}

// volumeFlags say how a drive is made.
type volumeFlags struct {
	format, label, publisher, time, id, seed string
	fat32                                    bool
	skip                                     []string
}

func (o *volumeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.format, "format", "iso9660", "file system: iso9660 or vfat")
	f.BoolVar(&o.fat32, "fat32", false, "with --format vfat: FAT32 instead of FAT16")
	f.StringVar(&o.label, "label", configdrive.Label, "label: config-2, or cidata for a NoCloud volume")
	f.StringVar(&o.publisher, "publisher", "", "who made the drive (ISO 9660 only; default: Imprint and its version)")
	f.StringVar(&o.time, "time", "", "time of the volume and all its files, RFC 3339 or seconds since 1970 (default: $SOURCE_DATE_EPOCH, or now)")
	f.StringVar(&o.id, "volume-id", "", "serial number of a VFAT volume, eight hexadecimal digits (default: one made of the contents)")
	f.StringVar(&o.seed, "random", "", "file whose bytes become the random_seed of the documents (default: the kernel's random bytes)")
	f.StringSliceVar(&o.skip, "skip-versions", openstack.DriveSkips(), "versions of the EC2 tree that are left out (Nova's config_drive_skip_versions)")
}

// volume reads the flags.
func (o *volumeFlags) volume() (v configdrive.Volume, err error) {
	v = configdrive.Volume{Label: o.label, FAT32: o.fat32, Publisher: cmp.Or(o.publisher, "Imprint "+version()), Sync: true, Skip: append([]string{}, o.skip...)}
	if v.Format, err = configdrive.ParseFormat(o.format); err != nil {
		return v, &usageError{fmt.Errorf("--format: %w", err)}
	}
	if o.fat32 && v.Format != configdrive.VFAT {
		return v, &usageError{errors.New("--fat32 goes with --format vfat")}
	}
	if !configdrive.Known(o.label) {
		return v, &usageError{fmt.Errorf("--label: no instance looks for %q, only for %s and %s", o.label, configdrive.Label, configdrive.NoCloud)}
	}
	if v.Created, err = volumeTime(o.time, os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return v, &usageError{err}
	}
	if o.id != "" {
		b, err := hex.DecodeString(strings.Replace(o.id, "-", "", 1))
		if err != nil || len(b) != 4 {
			return v, &usageError{fmt.Errorf("--volume-id: %q is not eight hexadecimal digits", o.id)}
		}
		v.ID = binary.BigEndian.Uint32(b)
	}
	return v, nil
}

// volumeTime is the time that is asked for, that of the build, or now.
func volumeTime(asked, epoch string) (time.Time, error) {
	text, what := asked, "--time"
	if text == "" {
		text, what = epoch, "SOURCE_DATE_EPOCH"
	}
	if text == "" {
		return time.Now(), nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%s: %q is neither RFC 3339 nor seconds since 1970", what, text)
	}
	return t, nil
}

// maxInstance bounds an instance's JSON form, in bytes.
const maxInstance = 64 << 20

// image plans a drive of source: a directory, or an instance's JSON form. The
// image reads the directory when it is written; done lets go of it.
func (o *volumeFlags) image(source string) (m *configdrive.Image, done func(), err error) {
	v, err := o.volume()
	if err != nil {
		return nil, nil, err
	}
	done = func() {}
	if o.seed != "" {
		f, err := os.Open(o.seed)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		v.Random = f
	}
	st, err := os.Stat(source)
	switch {
	case err != nil:
	case st.IsDir():
		var root *os.Root // which no link leaves
		if root, err = os.OpenRoot(source); err == nil {
			done = func() { root.Close() }
			m, err = v.Tree(root.FS())
		}
	default:
		var i *openstack.Instance
		if i, err = readInstance(source); err == nil {
			m, err = v.Instance(i)
		}
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("make config drive of %s: %w", source, err)
	}
	return m, done, nil
}

func readInstance(name string) (*openstack.Instance, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxInstance+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxInstance {
		return nil, fmt.Errorf("it has more than %d bytes", maxInstance)
	}
	return openstack.ParseInstance(b)
}
