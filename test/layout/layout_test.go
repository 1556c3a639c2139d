// Package layout checks the table of rooms in docs/design.md against the
// imports that the source files really have.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root of the module, seen from this package.
const root = "../.."

// anyRoom stands for every package of a room, "*" for all rooms.
func anyRoom(room string) string { return room + "/*" }

// may lists, for each package, what it may import of this module. It is the
// table of docs/design.md; a package that is not here may not exist.
var may = map[string][]string{
	"cmd/imprint":       {anyRoom("base"), anyRoom("host")},
	"cmd/imprint-guest": {anyRoom("base"), anyRoom("guest")},

	"base/openstack":   {},
	"base/cloudconfig": {},
	"base/jinja":       {},
	"base/userdata":    {"base/cloudconfig", "base/jinja"},
	"base/iso9660":     {},
	"base/vfat":        {},
	"base/partition":   {},
	"base/netns":       {},
	"base/netdev":      {"base/netns"},
	"base/nft":         {"base/netns"},
	"base/dhcp":        {"base/netns"},
	"base/rootfs":      {},
	"base/daemon":      {},

	"host/cloud":           {},
	"host/config":          {},
	"host/store":           {"host/cloud"},
	"host/blob":            {"host/cloud"},
	"host/api":             {"host/cloud"},
	"host/api/apitest":     {"host/cloud", "host/api"},
	"host/identity":        {"host/cloud", "host/api"},
	"host/image":           {"host/cloud", "host/api"},
	"host/network":         {"host/cloud", "host/api"},
	"host/compute":         {"host/cloud", "host/api"},
	"host/plan":            {"host/cloud"},
	"host/feed":            {"host/cloud", "base/daemon"},
	"host/metadata":        {"host/cloud", "host/api", "host/config", "base/openstack", "base/daemon"},
	"host/metadataagent":   {"host/cloud", "base/daemon", "base/netns"},
	"host/nsproxy":         {"host/cloud", "base/daemon", "base/netns"},
	"host/fabric":          {"host/cloud", "base/netdev", "base/nft", "base/netns"},
	"host/dns":             {"base/daemon"},
	"host/dhcpagent":       {"host/cloud", "host/fabric", "host/dns", anyRoom("base")},
	"host/l3agent":         {"host/cloud", "host/fabric", anyRoom("base")},
	"host/computeagent":    {"host/cloud", "host/fabric", "host/configdrive", anyRoom("base")},
	"host/container":       {"host/cloud", anyRoom("base")},
	"host/qemu":            {"host/cloud", anyRoom("base")},
	"host/enroll":          {"host/cloud"},
	"host/configdrive":     {"base/openstack", "base/iso9660", "base/vfat", "base/partition"},
	"host/neutron":         {"host/cloud"},
	"host/novadb":          {"host/cloud"},
	"host/trace":           {"host/cloud", anyRoom("base")},
	"host/dashboard":       {"host/cloud", "host/api"},
	"host/config/oslotest": {},

	"guest/netstate":            {"base/openstack"},
	"guest/netrender":           {"guest/netstate"},
	"guest/netapply":            {"guest/netstate", anyRoom("base")},
	"guest/clouddir":            {"base/rootfs"},
	"guest/distro":              {"base/rootfs"},
	"guest/datasource":          {"guest/datasource/identify", "guest/netstate", "guest/netapply", anyRoom("base")},
	"guest/datasource/identify": {},
	"guest/module":              {"guest/clouddir", "guest/distro", anyRoom("base")},
	"guest/stage":               {anyRoom("guest"), anyRoom("base")},

	"test/lab":        {"*"},
	"test/e2e":        {"*"},
	"test/restapi":    {"*"},
	"test/layout":     {"*"},
	"test/drivebench": {"*"},
	"test/vm":         {"*"},
	"test/pathbench":  {"*"},
	"test/dhcpbench":  {"*"},
	"test/openstack":  {"*"},
	"test/guest":      {},
	"test/report":     {},
}

func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(file, d)
		}
		if strings.HasSuffix(file, ".go") {
			seen++
			checkFile(t, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d Go files found: the walk misses the tree", seen)
	}
}

// skip leaves out what is no source of ours.
func skip(dir string, d fs.DirEntry) error {
	if name := d.Name(); name == "testdata" || name == "bin" || strings.HasPrefix(name, ".") && dir != root {
		return filepath.SkipDir
	}
	return nil
}

func checkFile(t *testing.T, file string) {
	t.Helper()
	rel, err := filepath.Rel(root, file)
	if err != nil {
		t.Fatal(err)
	}
	pkg := path.Dir(filepath.ToSlash(rel))
	allowed, known := may[pkg]
	if !known {
		t.Errorf("%s: package %s has no row in the table of rooms", rel, pkg)
		return
	}
	if path.Base(pkg) != "apitest" && strings.HasSuffix(file, "_test.go") {
		allowed = append(slices.Clone(allowed), testPlumbing(pkg)...)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, ok := strings.CutPrefix(name, "imprint/"); ok && ours != pkg && !covers(allowed, ours) {
			t.Errorf("%s: imports %s; %s may import %v", rel, ours, pkg, allowed)
		}
	}
}

// testPlumbing is what only the tests of a package may use besides.
func testPlumbing(pkg string) []string {
	switch path.Dir(pkg) {
	case "host":
		return []string{"host/api/apitest", "host/config/oslotest", "host/enroll", "base/netns", "base/netdev", "base/nft", "base/dhcp", "base/daemon"}
	case "guest":
		return []string{anyRoom("base")}
	case "base":
		return []string{"base/netns", "base/netdev"}
	}
	return nil
}

func covers(allowed []string, pkg string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		room, wild := strings.CutSuffix(a, "/*")
		return a == "*" || a == pkg || wild && strings.HasPrefix(pkg, room+"/")
	})
}

// TestTableIsInTheDesign keeps docs/design.md and this table together: each
// package that exists stands there by name.
func TestTableIsInTheDesign(t *testing.T) {
	design, err := os.ReadFile(filepath.Join(root, "docs/design.md"))
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range may {
		if !strings.Contains(string(design), "`"+pkg+"`") {
			t.Errorf("docs/design.md does not name `%s`", pkg)
		}
	}
}
