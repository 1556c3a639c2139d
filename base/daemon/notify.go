package daemon

import (
	"fmt"
	"net"
	"strings"
)

// Notify tells the service manager the process's state, for example
// "READY=1". socket is the value of NOTIFY_SOCKET; empty does nothing.
// systemd: sd_notify(3).
func Notify(socket string, state ...string) error {
	if socket == "" {
		return nil
	}
	if strings.HasPrefix(socket, "@") {
		socket = "\x00" + socket[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(state, "\n"))); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
