package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/distro"
	"imprint/guest/stage"
)

// goldenFile is a path that cloud-init left different.
type goldenFile struct {
	Path, Type, Mode, Owner, Target string
	Content                         *string
}

// seed is a data source that has one instance.
type seed struct{ inst *datasource.Instance }

func (s seed) Name() string { return "NoCloud" }

func (s seed) Detect(datasource.Env) datasource.Evidence {
	return datasource.Evidence{Source: "NoCloud", Verdict: datasource.Present}
}

func (s seed) Crawl(context.Context, datasource.Env) (*datasource.Instance, error) {
	return s.inst, nil
}

// The same user data make the same files as with the real cloud-init. The
// cases are those of its golden data; see testdata/golden.
func TestGolden(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	cases, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(cases) < 20 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			for _, f := range archive.Files {
				files[f.Name] = f.Data
			}
			compareGolden(t, provision(t, files), files["want.jsonl"])
		})
	}
}

// provision boots a Debian 12 with the case's data.
func provision(t *testing.T, files map[string][]byte) *rootfs.Root {
	t.Helper()
	root := debian(t)
	bootAll(t, root, seed{instance(t, files)}, stage.NoNetwork{})
	return root
}

// debian is the tree of a Debian 12, as far as the agent looks at it.
func debian(t *testing.T) *rootfs.Root {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/golden/debian12")); err != nil {
		t.Fatal(err)
	}
	root, err := rootfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	for _, name := range []string{"/etc/subuid", "/etc/subgid", "/usr/share/zoneinfo/Europe/Vienna", "/run/systemd/system/x"} {
		if err := root.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/etc/shadow", "/etc/gshadow"} {
		if err := errors.Join(root.Chmod(name, 0o640), root.Chown(name, 0, 42)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// bootAll runs the four stages.
func bootAll(t *testing.T, root *rootfs.Root, source datasource.Source, network stage.Network) {
	t.Helper()
	journal := clouddir.NewLog(nil, nil)
	log := slog.New(journal)
	b := &stage.Boot{
		Root: root, Dir: clouddir.New(root, nil),
		Distro: distro.New(distro.Distro{Root: root, Log: log, Version: version,
			Runner: func(context.Context, distro.Command) error { return nil },
			Kernel: func(string) error { return nil }, Live: func() string { return "oracle" }}),
		Sources: []datasource.Source{source}, Network: network,
		Init: initModules(), Config: configModules(), Final: finalModules(),
		Journal: journal, Log: log, Output: io.Discard, Console: io.Discard, Version: version, Now: time.Now, Uptime: uptime,
	}
	for _, run := range []func(context.Context) []string{b.RunLocal, b.RunInit, b.RunConfig, b.RunFinal} {
		for _, e := range run(t.Context()) {
			t.Log("error: ", e)
		}
	}
}

func instance(t *testing.T, files map[string][]byte) *datasource.Instance {
	t.Helper()
	i := &datasource.Instance{Name: "NoCloud", Class: "DataSourceNoCloud", CloudName: "nocloud",
		InstanceID: "i-oracle", UserData: files["user-data"], VendorData: files["vendor-data"]}
	md, err := cloudconfig.Parse(files["meta-data"])
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := md.Text("instance-id"); id != "" {
		i.InstanceID = id
	}
	if i.FQDN, _ = md.Text("local-hostname"); len(files["meta-data"]) == 0 {
		i.FQDN = "oracle" // what the seeds without meta-data had
	}
	keys := md.Get("public-keys")
	for _, p := range keys.Pairs() {
		i.PublicKeys = append(i.PublicKeys, p.Value.String())
	}
	for _, n := range keys.Items() {
		i.PublicKeys = append(i.PublicKeys, n.String())
	}
	return i
}

// What varies from run to run, as in the golden data.
var normal = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^(# (?:Created|added) by cloud-init v\. ).*$`), "$1<VERSION AND TIME>"},
	{regexp.MustCompile(`(\$6|\$y\$j9T)\$[^$:\n]+\$[^$:\n]+`), "$1$$<SALT>$$<HASH>"},
	{regexp.MustCompile(`(?m)^([^:\n]+:[*!$][^:\n]*):(\d{5}|<DAY>):`), "$1:<DAY>:"},
}

func compareGolden(t *testing.T, root *rootfs.Root, want []byte) {
	t.Helper()
	for line := range bytes.Lines(want) {
		var w goldenFile
		if err := json.Unmarshal(line, &w); err != nil {
			t.Fatal(err)
		}
		got, err := describe(root, w)
		if err != nil {
			t.Error(err)
			continue
		}
		if w.Content != nil {
			*w.Content = sortedKeys(w.Path, *w.Content)
		}
		if diff := cmp.Diff(lines(w), lines(got)); diff != "" {
			t.Errorf("(-cloud-init +ours):\n%s", diff)
		}
	}
}

// lines is a file in a form that is easy to compare.
func lines(f goldenFile) []string {
	out := []string{f.Path, f.Type + " " + f.Mode + " " + f.Owner + " " + f.Target}
	if f.Content != nil {
		out = append(out, strings.Split(*f.Content, "\n")...)
	}
	return out
}

// describe says of a path what the golden data say.
func describe(root *rootfs.Root, w goldenFile) (goldenFile, error) {
	info, err := root.Lstat(w.Path)
	if err != nil {
		return goldenFile{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	g := goldenFile{Path: w.Path, Mode: fmt.Sprintf("%04o", st.Mode&0o7777),
		Owner: idName(root, "/etc/passwd", int(st.Uid)) + ":" + idName(root, "/etc/group", int(st.Gid))}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		g.Type, g.Mode = "link", ""
		g.Target, err = root.Readlink(w.Path)
	case info.IsDir():
		g.Type = "dir"
	default:
		g.Type = "file"
	}
	if err != nil || w.Content == nil {
		return g, err
	}
	data, err := root.ReadFile(w.Path)
	text := string(data)
	if !strings.HasPrefix(w.Path, "/var/lib/") {
		for _, n := range normal {
			text = n.re.ReplaceAllString(text, n.with)
		}
	}
	text = sortedKeys(w.Path, text)
	g.Content = &text
	return g, err
}

// sortedKeys sorts authorized_keys: cloud-init's own order changes.
func sortedKeys(path, text string) string {
	if !strings.HasSuffix(path, "/authorized_keys") {
		return text
	}
	return strings.Join(sortLines(text), "")
}

func sortLines(text string) []string { return slices.Sorted(strings.Lines(text)) }

// idName is the name of a user's or group's number.
func idName(root *rootfs.Root, file string, id int) string {
	data, _ := root.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(id) {
			return f[0]
		}
	}
	return strconv.Itoa(id)
}
