package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/rootfs"
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

// redirection sends this process's standard output and error, and so those of
// the programs that it starts, elsewhere. A program that gets them outlives the
// stage as long as a daemon started by a script holds the pipe; if the stage
// itself copied, such a daemon would lose its output and die of it.
// cloud-init: util.py redirect_output.
type redirection struct {
	root   *rootfs.Root
	adm    int
	saved  [2]int // standard output and error as they were, if any is set
	begun  bool
	copies []chan struct{} // closed when a program that got output ended
}

// teeProgram is tee(1), where a system has it.
const teeProgram = "/usr/bin/tee"

// teeWait is how long the last output is waited for at the end of a stage.
const teeWait = 500 * time.Millisecond

// begin sends standard output to out, and error to errs: "> FILE", ">> FILE" or
// "| COMMAND"; "" leaves it where it is. The variable _CLOUD_INIT_SAVE_STDOUT
// keeps both.
func (r *redirection) begin(out, errs string) error {
	if keep := strings.ToLower(os.Getenv("_CLOUD_INIT_SAVE_STDOUT")); slices.Contains([]string{"1", "on", "yes", "true"}, keep) {
		return nil
	}
	if err := r.save(); err != nil {
		return err
	}
	var err error
	if out != "" {
		targets := []int{1}
		if errs == out {
			targets = []int{1, 2}
		}
		err = r.send(out, targets)
	}
	if errs != "" && errs != out {
		err = errors.Join(err, r.send(errs, []int{2}))
	}
	return err
}

func (r *redirection) save() error {
	if r.begun {
		return nil
	}
	for i := range r.saved {
		fd, err := unix.FcntlInt(uintptr(i+1), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("keep standard output: %w", err)
		}
		r.saved[i] = fd
	}
	r.begun = true
	return nil
}

// send makes descriptors those of a destination.
func (r *redirection) send(to string, fds []int) error {
	sign, arg, _ := strings.Cut(to, " ")
	var f *os.File
	var err error
	switch {
	case arg == "":
		return fmt.Errorf("output %q names no destination", to)
	case sign == "|":
		f, err = r.pipe(arg)
	default:
		f, err = r.file(arg, sign == ">")
	}
	if err != nil {
		return fmt.Errorf("output %q: %w", to, err)
	}
	defer f.Close()
	for _, fd := range fds {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("output %q: %w", to, err)
		}
	}
	return nil
}

func (r *redirection) file(name string, truncate bool) (*os.File, error) {
	if err := r.root.Append(name, nil, 0o644); err != nil {
		return nil, err
	}
	full, err := r.root.Path(name)
	if err != nil {
		return nil, err
	}
	flags := os.O_WRONLY | os.O_APPEND
	if truncate {
		flags = os.O_WRONLY | os.O_TRUNC
	}
	return os.OpenFile(full, flags, 0)
}

// pipe starts a command that reads what is written to the returned file.
// Files that it makes are for root and the group adm.
func (r *redirection) pipe(line string) (*os.File, error) {
	in, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd, release, err := r.reader(line)
	if err != nil {
		w.Close()
		return nil, err
	}
	defer release()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, os.Stdout, os.Stderr
	cmd.SysProcAttr.Setsid = true
	old := syscall.Umask(0o037)
	err = cmd.Start()
	syscall.Umask(old)
	if err != nil {
		w.Close()
		return nil, err
	}
	done := make(chan struct{})
	r.copies = append(r.copies, done)
	go func() {
		defer close(done)
		_ = cmd.Wait() // what it could not copy is nobody's concern any more
	}()
	return w, nil
}

// reader is the command of a line. The one that is everybody's, "tee -a FILE",
// needs no shell, and in a system that does not run, or has no tee(1), is this
// program itself.
func (r *redirection) reader(line string) (*exec.Cmd, func(), error) {
	words := strings.Fields(line)
	if len(words) == 3 && words[0] == "tee" && words[1] == "-a" && !strings.ContainsAny(words[2], "'\"\\$*?;&|<>`") {
		file, err := openLog(r.root, words[2], r.adm)
		if err != nil {
			return nil, nil, err
		}
		cmd := exec.Command("/proc/self/exe", "tee")
		cmd.Args[0], cmd.ExtraFiles = os.Args[0], []*os.File{file}
		if _, err := os.Stat(teeProgram); err == nil && r.root.Dir() == "/" {
			cmd = exec.Command(teeProgram, "-a", words[2])
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		return cmd, func() { file.Close() }, nil
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if dir := filepath.Clean(r.root.Dir()); dir != "/" {
		cmd.SysProcAttr.Chroot = dir
	}
	if r.adm > 0 && os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Gid: uint32(r.adm), NoSetGroups: true}
	}
	return cmd, func() {}, nil
}

// end gives standard output and error back and waits a moment for what was
// written to be copied.
func (r *redirection) end() {
	if !r.begun {
		return
	}
	for i, fd := range r.saved {
		_ = unix.Dup3(fd, i+1, 0) // there is nobody to tell, and the process ends
		_ = unix.Close(fd)
	}
	r.begun = false
	late := time.After(teeWait)
	for _, done := range r.copies {
		select {
		case <-done:
		case <-late:
			return
		}
	}
}

// teeCommand copies standard input to standard output and to file descriptor 3.
func (p *program) teeCommand() *command {
	return &command{name: "tee", run: func() int {
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		if err := copyBoth(os.Stdin, os.Stdout, os.NewFile(3, "log")); err != nil {
			return p.fail(err)
		}
		return exitOK
	}}
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
