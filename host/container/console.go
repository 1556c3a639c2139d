package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"imprint/host/cloud"
)

// Bounds of a console: what a guest writes is kept up to maxConsole bytes, of
// which keepConsole stay when it gets too long, and taken at consoleRate bytes
// a second in the long run.
const (
	maxConsole  = 1 << 20
	keepConsole = maxConsole / 2
	consoleRate = 1 << 20
)

// consoleFile is the console's file in an instance's folder.
const consoleFile = "console.log"

// Console returns what the instance wrote to its console, as far as it is kept
// (the last 512 KiB at least): the last lines of it, or all with a negative
// number. Bytes that are not UTF-8 are replaced.
func (d *Driver) Console(id cloud.ServerID, lines int) (string, error) {
	dir, err := d.folder(id)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, consoleFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read console of %s: %w", id, err)
	}
	return strings.ToValidUTF8(lastLines(string(text), lines), "\uFFFD"), nil
}

// lastLines returns the last n lines of text, all for a negative n.
func lastLines(text string, n int) string {
	at := len(text)
	for ; n > 0 && at > 0; n-- {
		at = strings.LastIndexByte(text[:at-1], '\n') + 1
	}
	if n < 0 {
		return text
	}
	return text[at:]
}

// console copies a terminal to a bounded file.
type console struct {
	master *os.File
	name   string
	file   *os.File
	size   int64
	done   chan struct{}
	once   sync.Once
}

// newConsole starts to copy master to the end of the file name.
func newConsole(master *os.File, name string) (*console, error) {
	c := &console{master: master, name: name, done: make(chan struct{})}
	if err := c.open(); err != nil {
		return nil, err
	}
	go c.copy()
	return c, nil
}

func (c *console) open() error {
	f, err := os.OpenFile(c.name, os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open console log: %w", err)
	}
	c.file = f
	c.size, err = f.Seek(0, io.SeekEnd)
	return err
}

// drain returns when all that was written to the terminal is in the file. The
// guest's side must be closed: its processes have ended.
func (c *console) drain() {
	c.once.Do(func() {
		c.master.SetReadDeadline(time.Now().Add(time.Second))
		<-c.done
		c.file.Close()
		c.master.Close()
	})
}

func (c *console) copy() {
	defer close(c.done)
	buf := make([]byte, 16<<10)
	pace := rate.NewLimiter(consoleRate, maxConsole)
	for {
		n, err := c.master.Read(buf)
		if n > 0 {
			c.write(buf[:n])
		}
		if err != nil {
			// EIO: no process has the other end open, and none will.
			return
		}
		time.Sleep(pace.ReserveN(time.Now(), n).Delay())
	}
}

// write appends to the file. A full disk must not stop the guest: what cannot
// be written is lost.
func (c *console) write(p []byte) {
	if c.size+int64(len(p)) > maxConsole {
		if err := c.shorten(); err != nil {
			fmt.Fprintln(os.Stderr, "shorten console log:", err)
			return
		}
	}
	n, _ := c.file.Write(p)
	c.size += int64(n)
}

// shorten replaces the file by its end, from the first whole line on.
func (c *console) shorten() error {
	tail := make([]byte, keepConsole)
	n, err := c.file.ReadAt(tail, max(0, c.size-keepConsole))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := os.WriteFile(c.name+".new", wholeLines(tail[:n]), 0o600); err != nil {
		return err
	}
	if err := os.Rename(c.name+".new", c.name); err != nil {
		return err
	}
	c.file.Close()
	return c.open()
}

// wholeLines drops what is left of the first line, unless it is all there is.
func wholeLines(p []byte) []byte {
	for i, b := range p[:max(0, len(p)-1)] {
		if b == '\n' {
			return p[i+1:]
		}
	}
	return p
}
