package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// openLog opens a log file for appending, with mode 0640 and the group adm,
// when it is new.
func openLog(root *rootfs.Root, name string, adm int) (*os.File, error) {
	_, err := root.Stat(name)
	fresh := err != nil
	if err := root.Append(name, nil, 0o640); err != nil {
		return nil, err
	}
	if fresh && adm > 0 {
		if err := root.Chown(name, -1, adm); err != nil {
			return nil, err
		}
	}
	path, err := root.Path(name)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

// output is where a stage and its programs print: standard output, and
// cloud-init-output.log through a process of its own. That process outlives
// the stage as long as a daemon started by a script holds the pipe; if the
// stage itself copied, such a daemon would lose its output and die of it.
// cloud-init does the same with tee(1).
type output struct {
	*os.File
	done chan struct{}
}

// teeWait is how long the last output is waited for at the end of a stage.
const teeWait = 500 * time.Millisecond

// teeOutput starts the process.
func teeOutput(root *rootfs.Root, adm int) (*output, error) {
	file, err := openLog(root, clouddir.OutputFile, adm)
	if err != nil {
		return nil, fmt.Errorf("open output log: %w", err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open output pipe: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "tee")
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start output process: %w", err)
	}
	o := &output{File: w, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		_ = cmd.Wait() // what it could not copy is nobody's concern any more
	}()
	return o, nil
}

// finish ends the stage's own output and waits a moment for it to be copied.
func (o *output) finish() {
	o.Close()
	select {
	case <-o.done:
	case <-time.After(teeWait):
	}
}

// teeCommand is the process that copies standard input to standard output and
// to file descriptor 3.
func teeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "tee", Hidden: true, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
			file := os.NewFile(3, "log")
			if file == nil {
				return usageError{errors.New("file descriptor 3 is not open")}
			}
			return copyBoth(os.Stdin, os.Stdout, file)
		},
	}
}

// copyBoth copies until in ends; a writer that fails is left out from then on.
func copyBoth(in io.Reader, outs ...io.Writer) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		for i, out := range outs {
			if out == nil {
				continue
			}
			if _, werr := out.Write(buf[:n]); werr != nil {
				outs[i] = nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("copy output: %w", err)
		}
	}
}
