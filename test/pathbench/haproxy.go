package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// neutronConfig is the configuration that Neutron gives its proxies (neutron:
// agent/metadata/driver.py, 21.0.0), but for the log, which nobody takes here.
// Its parameters are user, group, pid file, binds, socket, kind that is deleted,
// kind and id.
const neutronConfig = `
global
    log         /dev/log local0 info
    log-tag     haproxy-metadata-proxy-%[8]s
    user        %[1]s
    group       %[2]s
    maxconn     1024
    pidfile     %[3]s
    daemon

defaults
    log global
    mode http
    option httplog
    option dontlognull
    option http-server-close
    option forwardfor
    retries                 3
    timeout http-request    30s
    timeout connect         30s
    timeout client          32s
    timeout server          32s
    timeout http-keep-alive 30s

listen listener
    %[4]s
    server metadata %[5]s
    http-request del-header X-Neutron-%[6]s-ID
    http-request set-header X-Neutron-%[7]s-ID %[8]s
`

// measureHAProxy runs one haproxy in each place, asks through it, and returns
// the private memory of one.
func measureHAProxy(dir string, places []place) (float64, error) {
	var sum float64
	for _, p := range places {
		pid, err := startHAProxy(dir, p)
		if err != nil {
			return 0, err
		}
		defer endHAProxy(pid)
		if err := p.ask(); err != nil {
			return 0, fmt.Errorf("through haproxy: %w", err)
		}
		bytes, err := private(pid)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum / float64(len(places)), nil
}

func startHAProxy(dir string, p place) (pid int, err error) {
	kind, other := "Network", "Router"
	if p.router {
		kind, other = other, kind
	}
	var binds []string
	for _, a := range p.addresses() {
		host := a.Addr().String()
		if a.Addr().IsUnspecified() {
			host = "::"
		}
		binds = append(binds, fmt.Sprintf("bind %s:%d", host, a.Port()))
	}
	pidFile, conf := filepath.Join(dir, p.id+".pid"), filepath.Join(dir, p.id+".conf")
	text := fmt.Sprintf(neutronConfig, "nobody", "nogroup", pidFile, strings.Join(binds, "\n    "), agentSocket(dir), other, kind, p.id)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command("haproxy", "-f", conf)
	cmd.Stderr = os.Stderr
	if err := p.ns.Do(cmd.Start); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil { // it goes on in the background
		return 0, fmt.Errorf("haproxy -f %s: %w", conf, err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func endHAProxy(pid int) {
	for range 1000 {
		if errors.Is(syscall.Kill(pid, syscall.SIGTERM), syscall.ESRCH) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
