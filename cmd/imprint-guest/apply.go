package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/stage"
)

const (
	maxSeedFiles = 10000
	maxSeedFile  = 64 << 20
)

func (p *program) applyCommand(ctx context.Context) *command {
	var dir, seed string
	var dry bool
	return &command{
		name:    "apply",
		summary: "Provision a system that does not run.",
		about: `Provisions the system in the directory DIR, which does not run, from a seed: a
directory with user-data and meta-data, one with a config drive's tree, or the
image of such a volume. A directory is copied to /var/lib/cloud/seed of the
system. What only a boot can do (scripts, boothooks, part handlers, services) is
listed, and done by the first boot.`,
		options: []option{
			{names: []string{"--root"}, meta: "DIR", value: &dir, needed: true, help: "the system's root directory"},
			{names: []string{"--seed"}, meta: "SEED", value: &seed, needed: true, help: "directory, or image of a volume"},
			{names: []string{"--dry-run"}, flag: &dry, help: "change nothing, print what would change"},
		},
		run: func() int {
			if filepath.Clean(dir) == "/" {
				return p.fail(errors.New("the running system is provisioned by its boot"))
			}
			if _, err := os.Stat(seed); err != nil {
				return p.fail(fmt.Errorf("seed %s: %w", seed, err))
			}
			if dry {
				return p.dryRun(dir, func(shadow string) int { return p.apply(ctx, shadow, seed) })
			}
			return p.apply(ctx, dir, seed)
		},
	}
}

// apply provisions the system in dir and lists what is left for its boot.
func (p *program) apply(ctx context.Context, dir, seed string) int {
	p.dir = dir
	return p.withBoot(patience{}, func(b *stage.Boot) int {
		disks, err := plant(b.Root, seed)
		if err != nil {
			return p.fail(fmt.Errorf("seed %s: %w", seed, err))
		}
		config, _ := b.Configs.System() // newBoot told what is wrong with it
		b.Sources, b.Disks, b.Redirect = volumeSources(config), disks, nil
		errs := b.Apply(ctx)
		for _, what := range b.Queued {
			fmt.Fprintln(p.out, "queued:", what)
		}
		for _, e := range errs {
			fmt.Fprintln(p.err, "ERROR:", e)
		}
		return min(len(errs), exitFailed)
	})
}

// volumeSources are the sources of a system that is prepared from a seed.
func volumeSources(config *cloudconfig.Node) []datasource.Source {
	dsmode, _ := config.Get("datasource", "ConfigDrive").Text("dsmode")
	return []datasource.Source{datasource.NewNoCloud(nil, datasource.Settings{}), datasource.NewConfigDrive(dsmode)}
}

// plant puts a seed where the data sources find it: a directory is copied into
// the system, an image is its only volume.
func plant(root *rootfs.Root, seed string) (datasource.Disks, error) {
	info, err := os.Stat(seed)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return image{seed, info.Size()}, nil
	}
	to := "nocloud"
	for _, name := range []string{"openstack", "ec2"} {
		if _, err := os.Stat(filepath.Join(seed, name)); err == nil {
			to = "config_drive"
		}
	}
	return nil, copyTree(root, path.Join(clouddir.CloudDir, "seed", to), seed)
}

// copyTree copies the files of a directory, for root alone.
func copyTree(root *rootfs.Root, to, from string) error {
	count := 0
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, from), "/")
		if count++; count > maxSeedFiles {
			return errors.New("too many files")
		}
		if d.IsDir() {
			return root.MkdirAll(path.Join(to, rel), 0o700)
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxSeedFile+1))
		if err == nil && len(data) > maxSeedFile {
			err = fmt.Errorf("%s is larger than %d bytes", name, maxSeedFile)
		}
		if err != nil {
			return err
		}
		return root.WriteFile(path.Join(to, rel), data, 0o600)
	})
}

// image is a volume in a file of this machine.
type image struct {
	file string
	size int64
}

// List names the image as if it were a device of the system.
func (i image) List() []string { return []string{"/dev/" + filepath.Base(i.file)} }

// Open opens it.
func (i image) Open(string) (datasource.Disk, error) {
	f, err := os.Open(i.file)
	if err != nil {
		return nil, err
	}
	return openImage{f, i.size}, nil
}

type openImage struct {
	*os.File
	size int64
}

func (o openImage) Size() int64 { return o.size }
