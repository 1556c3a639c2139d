package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"imprint/guest/clouddir"
)

// One process may run all stages (--all-stages): it is started early and
// waits, for each stage, until the stage's unit says so over a socket. The units
// stay as they are: the commands that they run hand over to that process where
// it is, and are the stage themselves where it is not. Sockets and words are
// those of cloud-init since 24.3 (cloudinit/socket.py), whose units
// speak to this process as well: a datagram "start", answered by a line of shell
// that ends with the stage's status.
const shareDir = clouddir.RunDir + "/share"

// stageNames are the stages in the order of a boot.
func stageNames() []string { return []string{"local", "network", "config", "final"} }

func socketName(stage string) string { return filepath.Join(shareDir, stage+".sock") }

// allStages serves each stage once, in their order.
func (p *program) allStages(ctx context.Context) int {
	if err := os.MkdirAll(shareDir, 0o700); err != nil {
		return p.fail(err)
	}
	conns := map[string]*net.UnixConn{}
	for _, name := range stageNames() {
		conn, err := listenStage(name)
		if err != nil {
			return p.fail(err)
		}
		defer os.Remove(socketName(name))
		defer conn.Close()
		conns[name] = conn
	}
	stop := context.AfterFunc(ctx, func() {
		for _, conn := range conns {
			_ = conn.SetReadDeadline(time.Now()) // it ends the wait
		}
	})
	defer stop()
	if err := notify("READY=1"); err != nil {
		return p.fail(err)
	}
	failed := 0
	for _, name := range stageNames() {
		status, err := p.serveStage(ctx, name, conns[name])
		if err != nil {
			return p.fail(err)
		}
		failed += status
	}
	return min(failed, exitFailed)
}

func listenStage(name string) (*net.UnixConn, error) {
	file := socketName(name)
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: file, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return conn, os.Chmod(file, 0o600)
}

// serveStage waits for the word, runs the stage and tells its status.
func (p *program) serveStage(ctx context.Context, name string, conn *net.UnixConn) (int, error) {
	buf := make([]byte, 64)
	for {
		n, from, err := conn.ReadFromUnix(buf)
		if err != nil {
			return 0, fmt.Errorf("wait for stage %s: %w", name, err)
		}
		if strings.TrimSpace(string(buf[:n])) != "start" {
			continue
		}
		_ = notify("STATUS=Running (" + name + " stage)") // it is for people's eyes only
		status := p.runStage(ctx, name)
		_ = notify("STATUS=Completed (" + name + " stage)")
		if from != nil && from.Name != "" {
			answer := fmt.Sprintf("echo 'Completed socket interaction for boot stage %s'; exit %d;", name, status)
			if _, err := conn.WriteToUnix([]byte(answer), from); err != nil {
				fmt.Fprintf(p.err, "WARNING: tell the unit of stage %s: %v\n", name, err)
			}
		}
		return status, nil
	}
}

// notify tells systemd (sd_notify(3)), if it wants to know.
func notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

var exitWord = regexp.MustCompile(`exit (\d+);?\s*$`)

// handOver has the process that runs all stages run this one; ok is false where
// there is no such process.
func handOver(ctx context.Context, out io.Writer, name string) (status int, ok bool) {
	server := &net.UnixAddr{Name: socketName(name), Net: "unixgram"}
	if _, err := os.Stat(server.Name); err != nil {
		return 0, false
	}
	own := filepath.Join(shareDir, name+"-return.sock")
	_ = os.Remove(own) // of a process that was killed
	conn, err := net.DialUnix("unixgram", &net.UnixAddr{Name: own, Net: "unixgram"}, server)
	if err != nil {
		return 0, false
	}
	defer os.Remove(own)
	defer conn.Close()
	if _, err := conn.Write([]byte("start")); err != nil {
		return 0, false
	}
	buf := make([]byte, 1024)
	for ctx.Err() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			m := exitWord.FindStringSubmatch(string(buf[:n]))
			if m == nil {
				continue
			}
			status, _ = strconv.Atoi(m[1])
			return status, true
		case !alive(server):
			fmt.Fprintf(out, "the process of all stages ended; stage %s runs by itself\n", name)
			return 0, false
		}
	}
	return exitFailed, true
}

// alive tells whether somebody has the socket.
func alive(server *net.UnixAddr) bool {
	conn, err := net.DialUnix("unixgram", nil, server)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
