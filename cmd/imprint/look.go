package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// inside looks into an instance from outside with stock tools: nsenter joins
// the namespaces of its first process and runs a program of its root there.
type inside struct {
	pid int
}

// run runs a program in all of the instance's namespaces, as its root.
func (in inside) run(ctx context.Context, argv ...string) (string, error) {
	enter := []string{"--target", strconv.Itoa(in.pid), "--user", "--mount", "--uts", "--ipc", "--net", "--pid", "--setuid", "0", "--setgid", "0", "--"}
	return command(ctx, "nsenter", append(enter, argv...)...)
}

// file returns the content of one of the instance's files.
func (in inside) file(ctx context.Context, name string) (string, error) {
	return in.run(ctx, "/usr/bin/cat", name)
}

// hostname returns the name that the instance's kernel has.
func (in inside) hostname(ctx context.Context) (string, error) {
	name, err := in.run(ctx, "/usr/bin/hostname")
	return strings.TrimSpace(name), err
}

// inNamespace runs a program of this machine in a named network namespace.
func inNamespace(ctx context.Context, netns string, argv ...string) (string, error) {
	return command(ctx, "nsenter", append([]string{"--net=/run/netns/" + netns, "--"}, argv...)...)
}

// commandLimit bounds every look.
const commandLimit = 20 * time.Second

// command runs a program and returns its standard output. The error has the
// last line of standard error.
func command(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", err
	}
	said := strings.TrimSpace(errOut.String())
	if i := strings.LastIndexByte(said, '\n'); i >= 0 {
		said = said[i+1:]
	}
	return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, said)
}
