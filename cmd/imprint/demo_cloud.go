package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
	"imprint/host/config"
)

// demoCloud is the cloud that a demo's story is played on.
type demoCloud struct {
	apiDir, nodeDir string // state directories of the API and of the node's agents
	children        []*child
}

// Users of the roles of a demo whose parts are processes of their own.
const (
	storeUser = 61902 + iota
	apiUser
	metadataUser
	metadata2User
	metadataAgentUser
)

// metadata2Offset is from the first metadata service's port to the second's.
const metadata2Offset = 10

// startCloud starts the demo's cloud in the form that o wants.
func startCloud(ctx context.Context, o demoOptions, conf config.Config) (*demoCloud, error) {
	b := cloudBuilder{o: o, conf: conf, cloud: &demoCloud{apiDir: o.stateDir, nodeDir: o.stateDir}}
	build := b.whole
	if o.apart {
		build = b.apart
	}
	if err := build(ctx); err != nil {
		return nil, joinErrors(err, b.cloud.stop(ctx))
	}
	return b.cloud, nil
}

// cloudBuilder starts the processes of a demo's cloud.
type cloudBuilder struct {
	o     demoOptions
	conf  config.Config
	cloud *demoCloud
}

// whole starts everything in one process.
func (b *cloudBuilder) whole(ctx context.Context) error {
	return b.start(ctx, "up", 0, "up", "--state-dir", b.o.stateDir)
}

// start starts a process and waits until it is ready.
func (b *cloudBuilder) start(ctx context.Context, name string, uid int, args ...string) error {
	c := &child{
		name: name, uid: uid, dir: b.o.stateDir, log: filepath.Join(b.o.stateDir, logName), stays: b.o.keep,
		args: append(args, "--config", filepath.Join(b.o.stateDir, configName), "--log-format", "json"),
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	b.cloud.children = append(b.cloud.children, c)
	return nil
}

// apart starts each role as a process of its own user, with certificates of
// the API's authority.
func (b *cloudBuilder) apart(ctx context.Context) error {
	if err := b.makeHomes(); err != nil {
		return err
	}
	b.cloud.apiDir, b.cloud.nodeDir = b.home("api"), b.home("node")
	store := "https://" + hostPort(b.conf.Store.Listen, b.conf.Store.Port)
	nodes := "https://" + hostPort(b.conf.Nodes.Listen, b.conf.Nodes.Port)
	first, second := hostPort("127.0.0.1", b.conf.Metadata.Port), hostPort("127.0.0.1", b.conf.Metadata.Port+metadata2Offset)
	for _, step := range []func() error{
		func() error { return b.issue(ctx, "store", "store", storeUser) },
		func() error { return b.issue(ctx, "metadata", "metadata-1", metadataUser) },
		func() error { return b.issue(ctx, "metadata", "metadata-2", metadata2User) },
		func() error { return b.shareSecret("metadata-1", "metadata-2", "agent-metadata") },
		func() error {
			return b.start(ctx, "store", storeUser, "serve", "store", "--state-dir", b.home("store"), "--api", nodes)
		},
		func() error {
			return b.start(ctx, "api", apiUser, "serve", "api", "--state-dir", b.home("api"), "--store", store)
		},
		func() error { return b.enroll(ctx, nodes, "network", "node", networkAgent, 0) },
		func() error { return b.enroll(ctx, nodes, "compute", "node", computeAgent, 0) },
		func() error {
			return b.enroll(ctx, nodes, "metadata-agent", "agent-metadata", metadataAgent, metadataAgentUser)
		},
		func() error {
			return b.start(ctx, "metadata-1", metadataUser, "serve", "metadata", "--state-dir", b.home("metadata-1"), "--store", store, "--api", nodes, "--listen", first)
		},
		func() error {
			return b.start(ctx, "metadata-2", metadata2User, "serve", "metadata", "--state-dir", b.home("metadata-2"), "--store", store, "--api", nodes, "--listen", second)
		},
		func() error {
			return b.start(ctx, "agent-metadata", metadataAgentUser, "agent", "metadata", "--state-dir", b.home("agent-metadata"), "--api", nodes, "--service", first, "--service", second)
		},
		func() error {
			return b.start(ctx, "agent-network", 0, "agent", "network", "--state-dir", b.home("node"), "--api", nodes)
		},
		func() error {
			return b.start(ctx, "agent-compute", 0, "agent", "compute", "--state-dir", b.home("node"), "--api", nodes)
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// home is the state directory of a role.
func (b *cloudBuilder) home(role string) string { return filepath.Join(b.o.stateDir, role) }

// makeHomes makes the state directories, each for its user alone, and the
// directory of the metadata agent's socket.
func (b *cloudBuilder) makeHomes() error {
	if err := os.Chmod(b.o.stateDir, 0o711); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	for _, d := range []struct {
		name string
		uid  int
		mode os.FileMode
	}{
		{"store", storeUser, 0o700}, {"api", apiUser, 0o700}, {"metadata-1", metadataUser, 0o700}, {"metadata-2", metadata2User, 0o700},
		{"agent-metadata", metadataAgentUser, 0o700}, {"node", 0, 0o700}, {filepath.Dir(proxySocket), metadataAgentUser, 0o711},
	} {
		dir := b.home(d.name)
		if err := errors.Join(os.Mkdir(dir, d.mode), os.Chmod(dir, d.mode), os.Lchown(dir, d.uid, d.uid)); err != nil {
			return fmt.Errorf("state directory of %s: %w", d.name, err)
		}
	}
	return nil
}

// proxySocket is where the metadata agent hears the proxy, below the demo's
// state directory.
const proxySocket = "proxy/metadata.sock"

// issue has the authority issue a service's identity, and gives it to the
// service's user.
func (b *cloudBuilder) issue(ctx context.Context, role, home string, uid int) error {
	issued := filepath.Join(b.home("api"), "issued", home)
	if _, err := b.imprint(ctx, apiUser, "", "authority", "issue", role, "--state-dir", b.home("api"), "--to", issued); err != nil {
		return err
	}
	to := filepath.Join(b.home(home), identityDir)
	if err := errors.Join(os.Rename(issued, to), os.Lchown(to, uid, uid)); err != nil {
		return fmt.Errorf("identity of %s: %w", home, err)
	}
	files, err := os.ReadDir(to)
	for _, f := range files {
		err = errors.Join(err, os.Lchown(filepath.Join(to, f.Name()), uid, uid))
	}
	return err
}

// shareSecret makes the secret of metadata agents and services.
func (b *cloudBuilder) shareSecret(homes ...string) error {
	secret := []byte(cloud.NewSecret(32) + "\n")
	for _, home := range homes {
		var owner unix.Stat_t
		if err := unix.Stat(b.home(home), &owner); err != nil {
			return fmt.Errorf("shared secret: %w", err)
		}
		dir := filepath.Join(b.home(home), secretsDir)
		file := filepath.Join(dir, metadataKeyFile)
		err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, secret, 0o600))
		for _, name := range []string{dir, file} {
			err = errors.Join(err, os.Lchown(name, int(owner.Uid), int(owner.Gid)))
		}
		if err != nil {
			return fmt.Errorf("shared secret: %w", err)
		}
	}
	return nil
}

// enroll makes an agent's user a node in a role, by a token.
func (b *cloudBuilder) enroll(ctx context.Context, url, role, home, agent string, uid int) error {
	name, err := nodeName(b.conf)
	if err != nil {
		return err
	}
	token, err := b.imprint(ctx, 0, "", "node", "token", name, "--role", role, "--state-dir", b.home("api"))
	if err != nil {
		return err
	}
	identity := filepath.Join(b.home(home), ofAgent(identityDir, agent, ""))
	_, err = b.imprint(ctx, uid, token, "node", "enroll", url, "--token-file", "-", "--identity", identity)
	return err
}

// imprint runs a short command of this program as a user.
func (b *cloudBuilder) imprint(ctx context.Context, uid int, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	cmd := (&child{args: args, uid: uid}).command()
	cmd.Stdin = strings.NewReader(stdin)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	defer stop()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("imprint %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return string(out), nil
}

// stop takes the cloud down: the agents with what they made, then the others,
// the last started first.
func (c *demoCloud) stop(ctx context.Context) error {
	var errs []error
	if c.nodeDir != c.apiDir {
		if agents, err := running(c.nodeDir); err == nil && len(agents) > 0 {
			errs = append(errs, down(context.WithoutCancel(ctx), c.nodeDir))
		}
	}
	for _, child := range slices.Backward(c.children) {
		errs = append(errs, child.stop())
	}
	return joinErrors(errs...)
}

// stateDirs are the directories of the processes, in the order in which to
// take them down.
func (c *demoCloud) stateDirs(o demoOptions) []string {
	if !o.apart {
		return []string{o.stateDir}
	}
	dirs := []string{c.nodeDir}
	for _, name := range []string{"agent-metadata", "metadata-1", "metadata-2", "api", "store"} {
		dirs = append(dirs, filepath.Join(o.stateDir, name))
	}
	return dirs
}

// child finds a process by its name.
func (c *demoCloud) child(name string) (*child, error) {
	var names []string
	for _, child := range c.children {
		if child.name == name {
			return child, nil
		}
		names = append(names, child.name)
	}
	return nil, &usageError{fmt.Errorf("--kill: there is no process %s, but %s", name, strings.Join(names, ", "))}
}

// fault is a process to be killed in the middle of a step.
type fault struct {
	name string
	step int
}

// parseFault reads NAME@STEP.
func parseFault(text string) (*fault, error) {
	name, at, found := strings.Cut(text, "@")
	step, err := strconv.Atoi(at)
	if !found || err != nil || step < 1 {
		return nil, &usageError{fmt.Errorf("--kill: %q is not of the form NAME@STEP", text)}
	}
	return &fault{name, step}, nil
}

// arm has the process killed in the middle of the step, and started again
// while the story goes on. again waits for that.
func (f fault) arm(ctx context.Context, r *report, c *demoCloud) (again func() error, err error) {
	victim, err := c.child(f.name)
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	r.middle = func(step int) {
		if step != f.step {
			return
		}
		victim.kill()
		r.asked("%s is killed", f.name)
		go func() { started <- victim.start(ctx) }()
	}
	return func() error {
		if r.reached < f.step {
			return nil // the story has ended before, and says why
		}
		select {
		case err := <-started:
			r.check(f.name+" was started again", err == nil, seen("", err))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}
