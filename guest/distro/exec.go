package distro

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"imprint/base/rootfs"
)

// Command is a program to run inside the system's root.
type Command struct {
	// Args is the program, a name inside the root, and its arguments. A
	// name without slash is looked for in the usual directories.
	Args []string
	// Env is added to a plain environment of PATH and LANG.
	Env []string
	// Output gets standard output, nil means nowhere; Errors standard error,
	// nil means Output.
	Output, Errors io.Writer
}

// Runner runs a command to its end. Its error is an *ExitError when the
// program ran and failed.
type Runner func(context.Context, Command) error

// ExitError is a program that did not end with status 0.
type ExitError struct {
	Args []string
	// Code is the exit status, or -1 when a signal ended it.
	Code int
}

// Error is worded as cloud-init's ProcessExecutionError, which is what ends up
// in status.json and what people search for.
func (e *ExitError) Error() string {
	return fmt.Sprintf("Unexpected error while running command.\nCommand: %s\nExit code: %d\nReason: -\nStdout: -\nStderr: -",
		pythonList(e.Args), e.Code)
}

func pythonList(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `\'`) + "'"
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// grace is how long a program's output is read on after the program ended: a
// daemon that it left behind keeps the pipe open for ever.
const grace = 200 * time.Millisecond

// lookUp finds a program inside root.
func lookUp(root *rootfs.Root, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for dir := range strings.SplitSeq(defaultPath, ":") {
		file := dir + "/" + name
		if info, err := root.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return "/" + name // its absence will be the error
}

// Exec returns the Runner that starts programs inside root: by chroot(2)
// unless root is the running system's.
func Exec(root *rootfs.Root) Runner {
	return func(ctx context.Context, c Command) error {
		cmd := exec.CommandContext(ctx, lookUp(root, c.Args[0]), c.Args[1:]...)
		cmd.Args[0] = c.Args[0]
		cmd.Env = append([]string{"PATH=" + defaultPath, "LANG=C.UTF-8"}, c.Env...)
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = c.Output, c.Errors
		if c.Errors == nil {
			cmd.Stderr = c.Output
		}
		cmd.WaitDelay = grace
		if dir := filepath.Clean(root.Dir()); dir != "/" {
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
		}
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && ctx.Err() == nil:
			return &ExitError{Args: c.Args, Code: exit.ExitCode()}
		case errors.Is(err, exec.ErrWaitDelay):
			return nil
		case err != nil:
			return fmt.Errorf("run %s: %w", c.Args[0], err)
		}
		return nil
	}
}
