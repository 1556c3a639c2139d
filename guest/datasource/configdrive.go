package datasource

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ConfigDrive reads the volume that Nova attaches to a server, or a directory
// with the same tree. It asks nobody and waits for nothing.
// cloud-init 22.4: sources/DataSourceConfigDrive.py, sources/helpers/openstack.py.
//
// Departing from it, a volume must have a config drive's label; cloud-init
// looks into every ISO 9660 and FAT volume as well, once it was told that there
// is a drive.
type ConfigDrive struct{ dsmode string }

// NewConfigDrive makes the source. dsmode is cloud.cfg's default for drives
// that do not say themselves when they apply: local, net, pass or disabled;
// empty means net.
func NewConfigDrive(dsmode string) *ConfigDrive { return &ConfigDrive{dsmode} }

// PassError is a crawl that found an instance whose dsmode is pass: its files
// and its network shall be applied, but the instance's data are another
// source's.
type PassError struct{ Instance *Instance }

func (e *PassError) Error() string {
	return e.Instance.Drive + " leaves the instance to other sources (dsmode pass)"
}

const configDrive = "ConfigDrive"

// Name is ConfigDrive.
func (*ConfigDrive) Name() string { return configDrive }

// Detect looks for a drive. One that cannot be read is one, too.
func (*ConfigDrive) Detect(env Env) Evidence {
	e := Evidence{Source: configDrive, Verdict: Absent, Reason: "no volume has the label config-2"}
	for d := range drives(env) {
		e.Verdict, e.Reason = Present, "there is a config drive in "+d.source
		break
	}
	return e
}

// Crawl reads the first drive that can be read. Its error names every drive
// and what is wrong with it; it is a *PassError if the drive found leaves the
// instance to other sources.
func (c *ConfigDrive) Crawl(ctx context.Context, env Env) (*Instance, error) {
	var failed []string
	for d := range drives(env) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		i, err := c.read(d)
		switch {
		case errors.Is(err, ErrDisabled):
			return nil, fmt.Errorf("%s: %w", d.source, err)
		case err != nil:
			env.log().Warn("Broken config drive", "device", d.source, "error", err)
			failed = append(failed, d.source+": "+err.Error())
		case i.Mode == "pass":
			return nil, &PassError{i}
		default:
			return i, nil
		}
	}
	if len(failed) == 0 {
		failed = []string{"the config drive is gone"}
	}
	return nil, &CrawlError{Source: configDrive, Err: errors.New(strings.Join(failed, "; "))}
}

// read reads one drive in its version 2 form or, where that is not there, in
// version 1's.
func (c *ConfigDrive) read(d drive) (*Instance, error) {
	if d.err != nil {
		return nil, d.err
	}
	i := &Instance{
		Name: configDrive, Class: "DataSource" + configDrive, Mode: "net", Version: 2, Drive: d.source,
		CloudName: "configdrive", Platform: "configdrive", Subplatform: "seed-dir (" + d.source + ")",
	}
	if strings.HasPrefix(d.source, "/dev") {
		i.Subplatform = "config-disk (" + d.source + ")"
	}
	said, err := i.driveV2(d.tree)
	if errors.Is(err, errNoDocuments) {
		i.Version = 1
		said, err = i.driveV1(d.tree)
	}
	if err != nil {
		return nil, err
	}
	for _, dsmode := range []string{said, c.dsmode} {
		if dsmode != "" {
			return i, i.mode(dsmode)
		}
	}
	return i, nil
}
