package clouddir

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/rootfs"
)

// newDir returns an empty state whose clock goes on by a second per call.
func newDir(t *testing.T) (*Dir, *rootfs.Root) {
	t.Helper()
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	now := time.Date(2026, 11, 21, 4, 0, 0, 500e6, time.UTC)
	d := New(root, func() time.Time { now = now.Add(time.Second); return now })
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d, root
}

func read(t *testing.T, root *rootfs.Root, name string) string {
	t.Helper()
	data, err := root.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestInstancify(t *testing.T) {
	d, root := newDir(t)
	if got := d.PreviousID(); got != NoPreviousInstance {
		t.Errorf("previous id %q", got)
	}
	type cached struct{ ID string }
	for _, id := range []string{"i-1", "i-2"} {
		if err := d.Instancify(Identity{ID: id, Source: "DataSourceNone: DataSourceNone"}, cached{id}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"/var/lib/cloud/data/instance-id":          "i-2\n",
		"/var/lib/cloud/data/previous-instance-id": "i-1\n",
		"/var/lib/cloud/data/previous-datasource":  "DataSourceNone: DataSourceNone\n",
		"/var/lib/cloud/instances/i-2/datasource":  "DataSourceNone: DataSourceNone\n",
		"/run/cloud-init/.instance-id":             "i-2\n",
	}
	for name, text := range want {
		if got := read(t, root, name); got != text {
			t.Errorf("%s is %q, want %q", name, got, text)
		}
	}
	if target, _ := root.Readlink(InstanceLink); target != "/var/lib/cloud/instances/i-2" {
		t.Errorf("instance link to %q", target)
	}
	var c cached
	if err := d.LoadCache(&c); err != nil || c.ID != "i-2" {
		t.Errorf("cache %v, %v", c, err)
	}
	if info, err := root.Stat(cacheLink); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("cache mode %v, %v", info.Mode(), err)
	}
}

func TestInstanceDirStaysInside(t *testing.T) {
	for id, want := range map[string]string{
		"i-1": "i-1", "../../etc": ".._.._etc", "..": "_..", ".": "_.", "": "_", "a/b": "a_b",
	} {
		if got := InstanceDir(id); got != CloudDir+"/instances/"+want {
			t.Errorf("InstanceDir(%q) = %q", id, got)
		}
	}
}

func TestLoadCacheMissing(t *testing.T) {
	d, root := newDir(t)
	if err := d.LoadCache(new(any)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := d.Instancify(Identity{ID: "i"}, 1); err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile(cacheLink, []byte("{"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := d.LoadCache(new(any)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestSemaphores(t *testing.T) {
	d, root := newDir(t)
	instancify := func(id string) {
		if err := d.Instancify(Identity{ID: id}, nil); err != nil {
			t.Fatal(err)
		}
	}
	instancify("i-1")
	for _, f := range []Frequency{PerInstance, PerOnce, PerAlways} {
		if d.HasRun("config-users-groups", f) {
			t.Errorf("%s: has run before", f)
		}
		if err := d.Mark("config-users-groups", f); err != nil {
			t.Fatal(err)
		}
		if got := d.HasRun("config-users-groups", f); got != (f != PerAlways) {
			t.Errorf("%s: has run = %v", f, got)
		}
	}
	read(t, root, "/var/lib/cloud/instances/i-1/sem/config_users_groups")
	read(t, root, "/var/lib/cloud/sem/config_users_groups.once")
	instancify("i-2")
	if d.HasRun("config-users-groups", PerInstance) {
		t.Error("a new instance inherits a semaphore")
	}
	if !d.HasRun("config-users-groups", PerOnce) {
		t.Error("once is forgotten by a new instance")
	}
}

func TestStatusFiles(t *testing.T) {
	d, root := newDir(t)
	const source = "DataSourceOpenStackLocal [net,ver=2]"
	for _, stage := range []Stage{StageLocal, StageInit, StageConfig, StageFinal} {
		if err := d.Begin(stage); err != nil {
			t.Fatal(err)
		}
		o := Outcome{}
		if stage == StageLocal {
			o.Datasource = source
		}
		if stage == StageConfig {
			o.Errors = []string{"timezone: <bad> & worse"}
			o.Warnings = map[string][]string{"WARNING": {"w"}}
		}
		if err := d.Finish(stage, o); err != nil {
			t.Fatal(err)
		}
	}
	want := `{
 "v1": {
  "datasource": "DataSourceOpenStackLocal [net,ver=2]",
  "init": {
   "errors": [],
   "finished": 1795233604.5,
   "start": 1795233603.5
  },
  "init-local": {
   "errors": [],
   "finished": 1795233602.5,
   "start": 1795233601.5
  },
  "modules-config": {
   "errors": [
    "timezone: <bad> & worse"
   ],
   "finished": 1795233606.5,
   "recoverable_errors": {
    "WARNING": [
     "w"
    ]
   },
   "start": 1795233605.5
  },
  "modules-final": {
   "errors": [],
   "finished": 1795233608.5,
   "start": 1795233607.5
  },
  "modules-init": {
   "errors": [],
   "finished": null,
   "start": null
  },
  "stage": null
 }
}
`
	if diff := cmp.Diff(want, read(t, root, "/run/cloud-init/status.json")); diff != "" {
		t.Error(diff)
	}
	wantResult := "{\n \"v1\": {\n  \"datasource\": \"" + source + "\",\n  \"errors\": [\n   \"timezone: <bad> & worse\"\n  ]\n }\n}\n"
	if diff := cmp.Diff(wantResult, read(t, root, "/run/cloud-init/result.json")); diff != "" {
		t.Error(diff)
	}
	if err := d.Begin(StageLocal); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/run/cloud-init/result.json", "/var/lib/cloud/data/result.json"} {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s outlived its boot: %v", name, err)
		}
	}
}

func TestReport(t *testing.T) {
	const source = "DataSourceOpenStackLocal [net,ver=2]"
	cases := map[string]struct {
		play    func(*Dir) error
		cmdline string
		files   []string
		want    Report
	}{
		"before a run": {
			files: []string{"/run/systemd/system/x"},
			want:  Report{State: NotRun, Switch: Switch{Code: "unknown"}, Detail: "Systemd generator may not have run yet."},
		},
		"disabled by file": {
			files: []string{"/run/systemd/system/x", "/etc/cloud/cloud-init.disabled"},
			want:  Report{State: Disabled, Switch: Switch{Code: "disabled-by-marker-file", Off: true}, Detail: "Cloud-init disabled by /etc/cloud/cloud-init.disabled"},
		},
		"disabled by command line": {
			files: []string{"/run/systemd/system/x"}, cmdline: "quiet cloud-init=disabled",
			want: Report{State: Disabled, Switch: Switch{Code: "disabled-by-kernel-cmdline", Off: true}, Detail: "Cloud-init disabled by kernel parameter cloud-init=disabled"},
		},
		"in a stage": {
			play: func(d *Dir) error { return d.Begin(StageLocal) },
			want: Report{State: Running, Switch: Switch{Code: "enabled-by-sysvinit"}, Detail: "Running in stage: init-local"},
		},
		"between stages": {
			play: func(d *Dir) error {
				return errors.Join(d.Begin(StageLocal), d.Finish(StageLocal, Outcome{Datasource: source}))
			},
			want: Report{State: Running, Switch: Switch{Code: "enabled-by-sysvinit"}, Datasource: "openstacklocal", Detail: source},
		},
		"done": {
			play: func(d *Dir) error {
				return errors.Join(d.Begin(StageLocal), d.Finish(StageLocal, Outcome{Datasource: source}),
					d.Begin(StageFinal), d.Finish(StageFinal, Outcome{Warnings: map[string][]string{"WARNING": {"w"}}}))
			},
			want: Report{State: Done, Switch: Switch{Code: "enabled-by-sysvinit"}, Datasource: "openstacklocal", Detail: source, Warnings: []string{"w"}, Recoverable: map[string][]string{"WARNING": {"w"}}},
		},
		"failed": {
			play: func(d *Dir) error {
				return errors.Join(d.Begin(StageLocal), d.Finish(StageLocal, Outcome{Errors: []string{"a", "b"}}),
					d.Begin(StageFinal), d.Finish(StageFinal, Outcome{}))
			},
			want: Report{State: Failed, Switch: Switch{Code: "enabled-by-sysvinit"}, Detail: "a\nb", Errors: []string{"a", "b"}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d, root := newDir(t)
			for _, f := range c.files {
				if err := root.WriteFile(f, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.play != nil {
				if err := c.play(d); err != nil {
					t.Fatal(err)
				}
			}
			got := d.Report(c.cmdline, "")
			got.Switch.Reason, got.LastUpdate = "", time.Time{}
			if c.want.Errors == nil {
				c.want.Errors = []string{}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDamagedStatus(t *testing.T) {
	d, root := newDir(t)
	if err := root.WriteFile(statusFile, []byte("{\"v1\": [1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Begin(StageInit); err != nil {
		t.Fatal(err)
	}
	if got := d.Report("", "").State; got != Running {
		t.Errorf("state %q", got)
	}
}

func TestClean(t *testing.T) {
	d, root := newDir(t)
	for _, f := range []string{LogFile, CloudDir + "/seed/nocloud/meta-data"} {
		if err := root.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Clean(false, false); err != nil {
		t.Fatal(err)
	}
	entries, err := root.ReadDir(CloudDir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "seed" {
		t.Errorf("left: %v, %v", entries, err)
	}
	read(t, root, LogFile)
	if err := d.Clean(true, true); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Stat(LogFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("log is left: %v", err)
	}
}

func TestLog(t *testing.T) {
	var file, console bytes.Buffer
	handler := NewLog(&file, &console)
	log := slog.New(handler).With(Component, "cc_runcmd.py", "part", "part-001")
	at := time.Date(2026, 11, 21, 3, 59, 34, 110e6, time.UTC)
	write := func(level slog.Level, message string, attrs ...any) {
		r := slog.NewRecord(at, level, message, 0)
		r.Add(attrs...)
		if err := log.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	write(slog.LevelDebug, "Shellified 1 commands.")
	write(slog.LevelWarn, "forged\n2026-11-21 03:59:34,110 - x[ERROR]: line", "why", "a b\x1b")
	want := "2026-11-21 03:59:34,110 - cc_runcmd.py[DEBUG]: Shellified 1 commands. part=part-001\n" +
		"2026-11-21 03:59:34,110 - cc_runcmd.py[WARNING]: forged 2026-11-21 03:59:34,110 - x[ERROR]: line part=part-001 why=\"a b\\x1b\"\n"
	if diff := cmp.Diff(want, file.String()); diff != "" {
		t.Error(diff)
	}
	if got := strings.Count(console.String(), "\n"); got != 1 {
		t.Errorf("%d lines on the console", got)
	}
	for range 2 * maxKept {
		write(slog.LevelError, "again")
	}
	kept := handler.Kept()
	if len(kept["WARNING"]) != 1 || len(kept["ERROR"]) != maxKept-1 {
		t.Errorf("kept %d warnings, %d errors", len(kept["WARNING"]), len(kept["ERROR"]))
	}
}

func TestInstanceData(t *testing.T) {
	d, root := newDir(t)
	for _, id := range []string{"none", "openstack"} {
		if err := d.StoreInstanceData(id, map[string]string{"a": "secret"}, map[string]string{"a": Redacted}); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]fs.FileMode{instanceData: 0o644, sensitiveData: 0o600} {
		if info, err := root.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	if got := read(t, root, cloudIDLink); got != "openstack\n" {
		t.Errorf("cloud id %q", got)
	}
	if _, err := root.Stat(cloudIDLink + "-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old cloud id: %v", err)
	}
	for isRoot, want := range map[bool]string{true: "secret", false: Redacted} {
		data, err := d.InstanceData(isRoot)
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("root %v: %s, %v", isRoot, data, err)
		}
	}
	if err := d.StoreInstanceData("../x", nil, nil); err == nil {
		t.Error("bad cloud id accepted")
	}
}
