package nsproxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imprint/base/daemon"
)

const nobody = 65534

// TestMain makes the test binary a proxy too: "worker <agent socket> …".
func TestMain(m *testing.M) {
	if len(os.Args) >= 3 && os.Args[1] == "worker" {
		if err := runWorker(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runWorker(agentSocket string) error {
	control, err := daemon.EnterWorker()
	if err != nil {
		return err
	}
	log := daemon.NewLogger(os.Stderr, slog.LevelWarn, false)
	if err := Run(context.Background(), control, agentSocket, log); err != daemon.ErrStop {
		return err
	}
	return nil
}

// TestWorker runs a real proxy as nobody, hands a listener over, and asks
// through it; the agent sees the proxy's user.
func TestWorker(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := openDir(t)
	agentSocket, controlSocket := filepath.Join(dir, "agent"), filepath.Join(dir, "control")
	l, err := daemon.ListenUnix(agentSocket, 0o660, -1, nobody)
	if err != nil {
		t.Fatal(err)
	}
	agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "as nobody") })}
	go agent.Serve(daemon.AdmitUIDs(l, nil, nobody))
	defer agent.Close()

	control, err := daemon.ListenUnix(controlSocket, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	file, err := control.File()
	control.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Spawn(t.Context(), daemon.Command{
			Args: []string{"worker", agentSocket}, UID: nobody, GID: nobody,
			Files: []*os.File{file}, Log: os.Stderr, Grace: 5 * time.Second,
		})
	}()
	owner, err := daemon.DialHandover(t.Context(), controlSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	socket, address := socketFile(t, "127.0.0.1:0")
	if err := owner.Put(t.Context(), daemon.Item{Key: routerKey}, socket); err != nil {
		t.Fatal(err)
	}
	socket.Close()
	if res, text := talk(t, address, get); res == nil || text != "as nobody" {
		t.Errorf("%v %q", res, text)
	}
	if items, err := owner.List(t.Context()); err != nil || len(items) != 1 || items[0].Key != routerKey {
		t.Errorf("%v, %v", items, err)
	}
	if err := owner.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != daemon.ErrStop {
		t.Errorf("the proxy ended with %v", err)
	}
}

// openDir returns a directory that other users may walk through.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nsproxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
