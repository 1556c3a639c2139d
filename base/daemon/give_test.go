package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// holder cannot give.
type holder struct{ Handler }

// TestTake: a worker's sockets come with its items; what is asked of it after
// that is refused. One that cannot give stays as it is.
func TestTake(t *testing.T) {
	for name, giver := range map[string]bool{"giver": true, "other": false} {
		var h Handler = &greeter{items: map[string]*greeting{}}
		if !giver {
			h = holder{h}
		}
		path := filepath.Join(t.TempDir(), "control")
		l, err := ListenUnix(path, 0o600, -1, -1)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- ServeHandover(t.Context(), l, nil, h, uint32(os.Getuid())) }()
		owner := NewHandover(path)
		defer owner.Close()
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		files, err := Files(socket.(*net.TCPListener))
		if err != nil {
			t.Fatal(err)
		}
		item := Item{Key: "a", Data: []byte(`1`)}
		if err := owner.Put(t.Context(), item, files...); err != nil {
			t.Fatal(err)
		}
		closeAll(files)
		all, err := owner.take(t.Context())
		if (err == nil) != giver {
			t.Errorf("%s: %v", name, err)
		}
		if giver && (len(all) != 1 || all[0].item.Key != "a" || string(all[0].item.Data) != "1" || len(all[0].files) != 1) {
			t.Errorf("%s: took %+v", name, all)
		}
		all.close()
		for what, err := range map[string]error{"put": owner.Put(t.Context(), item), "remove": owner.Remove(t.Context(), "a")} {
			if refused := err != nil && strings.Contains(err.Error(), errGiven.Error()); refused != giver {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if giver {
			owner.Close() // the taker goes away, which the worker sees soon
			for err = errGiven; err != nil && strings.Contains(err.Error(), errGiven.Error()); {
				err = owner.Put(t.Context(), item)
			}
			if err != nil {
				t.Errorf("%s: after the taker's end: %v", name, err)
			}
		}
		if err := owner.dismiss(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrStop) {
			t.Error(err)
		}
	}
}
