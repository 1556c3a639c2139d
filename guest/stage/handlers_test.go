package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/rootfs"
	"imprint/base/userdata"
	"imprint/guest/clouddir"
)

// Handlers of all versions are called as cloud-init calls them.
func TestPartHandlers(t *testing.T) {
	root, err := rootfs.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	python := func(name, head, args string) string {
		file := filepath.Join(dir, name+".py")
		text := head + "\ndef list_types(): return ['text/x-" + name + "']\ndef handle_part(data, ctype, filename, payload" + args + "):\n" +
			"    open('" + out + "', 'a').write(' '.join(map(str, ['" + name + "', data.get_instance_id(), ctype, filename, payload" + args + "])) + chr(10))\n" +
			"    print('printed')\n    assert payload != 'bad'\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	b := newMachine(t).boot()
	b.Root = root
	play := func(frequency clouddir.Frequency) string {
		t.Helper()
		h := handlers{b: b, instanceID: "i-1", frequency: frequency}
		for _, file := range []string{python("one", "", ""), python("two", "handler_version = 2\nfrequency = 'always'", ", frequency"),
			python("three", "handler_version = 3", ", frequency, headers")} {
			if err := h.load(t.Context(), strings.TrimSuffix(filepath.Base(file), ".py"), file); err != nil {
				t.Fatal(err)
			}
			kind := "text/x-" + strings.TrimSuffix(filepath.Base(file), ".py")
			if !h.takes(kind) || h.takes("text/x-shellscript") {
				t.Errorf("types %v", h.types)
			}
			p := userdata.Part{Type: kind, Filename: "p", Body: []byte("héllo"), Headers: []userdata.Header{{Name: "X-A", Value: "b"}}}
			if err := h.part(t.Context(), p); err != nil {
				t.Error(err)
			}
		}
		bad := userdata.Part{Type: "text/x-two", Filename: "p", Body: []byte("bad")}
		if err := h.part(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "AssertionError") {
			t.Errorf("error %v", err)
		}
		if err := h.close(t.Context()); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(out)
		return string(data)
	}
	want := `one i-1 __begin__ None None
one i-1 text/x-one p héllo
two i-1 __begin__ None None once-per-instance
two i-1 text/x-two p héllo once-per-instance
three i-1 __begin__ None None once-per-instance {'Content-Type': '__begin__'}
three i-1 text/x-three p héllo once-per-instance {'Content-Type': 'text/x-three', 'X-A': 'b'}
two i-1 text/x-two p bad once-per-instance
one i-1 __end__ None None
three i-1 __end__ None None once-per-instance {'Content-Type': '__end__'}
two i-1 __end__ None None once-per-instance
`
	if diff := cmp.Diff(want, play(clouddir.PerInstance)); diff != "" {
		t.Error(diff)
	}
	want = `two i-1 __begin__ None None always
two i-1 text/x-two p héllo always
two i-1 text/x-two p bad always
two i-1 __end__ None None always
`
	if diff := cmp.Diff(want, play(clouddir.PerAlways)); diff != "" {
		t.Errorf("on a later boot: %s", diff)
	}
	h := handlers{b: b, frequency: clouddir.PerInstance}
	for text, word := range map[string]string{"x = (": "SyntaxError", "x = 1": "no list_types", "import sys; sys.exit(3)": "SystemExit"} {
		file := filepath.Join(dir, "broken.py")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.load(t.Context(), "broken", file); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := h.close(t.Context()); err != nil {
		t.Error(err)
	}
}
