package datasource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
)

// Ec2 reads a metadata service in EC2's form, as OpenStack has it too.
// cloud-init 22.4: sources/DataSourceEc2.py, sources/helpers/ec2.py.
type Ec2 struct{ set Settings }

// NewEc2 makes the source.
func NewEc2(s Settings) *Ec2 { return &Ec2{s} }

// Name is Ec2.
func (*Ec2) Name() string { return "Ec2" }

// Detect knows Amazon's machines and some of others, and takes OpenStack's for
// possible: an old one may have no tree of its own. Elsewhere cloud-init asks
// too, if told so (strict_id); a boot there would wait in vain.
func (*Ec2) Detect(env Env) Evidence {
	e := Evidence{Source: "Ec2", Network: true, Verdict: Absent, Reason: "no DMI value is that of a cloud in EC2's manner"}
	if cloud := ec2Cloud(env.Root); cloud != "unknown" {
		e.Verdict, e.Reason = Present, "DMI values are those of "+cloud
	} else if verdict, reason := detectOpenStack(env); verdict != Absent {
		e.Verdict, e.Reason = Possible, reason
	}
	return e
}

// ec2Cloud: cloud-init 22.4, tools/ds-identify, ec2_identify_platform.
func ec2Cloud(root Files) string {
	serial, vendor := dmi(root, "product_serial"), dmi(root, "sys_vendor")
	uuid := strings.ToLower(dmi(root, "product_uuid"))
	switch {
	case strings.HasSuffix(serial, ".brightbox.com"):
		return "brightbox"
	case strings.HasSuffix(dmi(root, "chassis_asset_tag"), ".zstack.io"):
		return "zstack"
	case vendor == "e24cloud":
		return "e24cloud"
	case vendor == "3DS Outscale" && dmi(root, "product_name") == "3DS Outscale VM":
		return "outscale"
	case strings.HasPrefix(uuid, "ec2") && strings.EqualFold(uuid, serial):
		return "aws"
	}
	return "unknown"
}

// Crawl walks meta-data of version 2009-04-04, or of latest, and reads
// user-data.
func (e *Ec2) Crawl(ctx context.Context, env Env) (*Instance, error) {
	f := newFetcher(env, e.set)
	defer f.close()
	i, err := crawlEC2(ctx, env, f)
	if err != nil {
		return nil, &CrawlError{Source: e.Name(), Tries: f.tries, Err: err}
	}
	i.Tries = f.tries
	return i, nil
}

func crawlEC2(ctx context.Context, env Env, f *fetcher) (*Instance, error) {
	i := &Instance{
		Name: "Ec2", Class: "DataSourceEc2", CloudName: ec2Cloud(env.Root), Platform: "ec2",
		Subplatform: "metadata (" + env.baseURL() + ")", URL: env.baseURL(),
	}
	if err := i.connect(ctx, env); err != nil {
		return nil, err
	}
	version, list, err := ec2Version(ctx, f)
	if err != nil {
		return nil, err
	}
	w := walker{f: f}
	md, err := w.tree(ctx, version+"/meta-data/", list, 0)
	if err != nil {
		return nil, err
	}
	if i.UserData, err = f.get(ctx, version+"/user-data"); err != nil && !isStatus(err, http.StatusNotFound) {
		return nil, fmt.Errorf("read user-data: %w", err)
	}
	i.MetaData, i.EC2, i.Problems = md, md, w.problems
	return i, i.ec2Values(md)
}

func ec2Version(ctx context.Context, f *fetcher) (version, list string, err error) {
	for _, version := range []string{"/2009-04-04", "/latest"} {
		b, err := f.get(ctx, version+"/meta-data/")
		if err == nil {
			return version, string(b), nil
		}
		if !isStatus(err, http.StatusNotFound) {
			return "", "", fmt.Errorf("read meta-data: %w", err)
		}
	}
	return "", "", fmt.Errorf("%w: no meta-data", ErrNotServed)
}

func (i *Instance) ec2Values(md *cloudconfig.Node) error {
	if i.InstanceID = text(md, "instance-id"); !validID(i.InstanceID) {
		return fmt.Errorf("instance-id %.60q", i.InstanceID)
	}
	if h := text(md, "local-hostname"); h != "" {
		i.setHostname(h)
	}
	i.addKeys(md.Get("public-keys"))
	i.AvailabilityZone = text(md, "placement", "availability-zone")
	if n := len(i.AvailabilityZone); n > 0 {
		i.Region = i.AvailabilityZone[:n-1]
	}
	return nil
}

// Limits of the walk; Nova's tree has about 25 leaves and three levels.
const (
	maxLeaves = 256
	maxLevels = 6
)

// walker turns an EC2 tree into one value.
type walker struct {
	f        *fetcher
	asked    int
	problems []string
}

// entry is a line of a directory: where it is and what it is called.
type entry struct {
	name, path string
	dir        bool
}

// entries reads a directory: a name, a name with a slash for a directory, or
// N=NAME for a public key. Credentials are not for keeping.
func entries(list string) (out []entry) {
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		e := entry{name: strings.TrimRight(line, "/"), dir: strings.HasSuffix(line, "/")}
		e.path = e.name
		if number, name, ok := strings.Cut(line, "="); ok && strings.Trim(number, "0123456789") == "" {
			e = entry{name: name, path: number + "/openssh-key"}
		}
		known := slices.ContainsFunc(out, func(o entry) bool { return o.name == e.name })
		if e.name == "" || e.name == "security-credentials" || known || !safePath(e.path) {
			continue
		}
		out = append(out, e)
	}
	// Directories come first, as in cloud-init's value.
	slices.SortStableFunc(out, func(a, b entry) int {
		switch {
		case a.dir == b.dir:
			return 0
		case a.dir:
			return -1
		}
		return 1
	})
	return out
}

// safePath keeps names from a listing within their directory.
func safePath(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "?#%\\ \t\x00") {
			return false
		}
	}
	return true
}

func (w *walker) tree(ctx context.Context, dir, list string, level int) (*cloudconfig.Node, error) {
	if level > maxLevels {
		return nil, fmt.Errorf("%s: more than %d levels", dir, maxLevels)
	}
	var pairs []cloudconfig.Pair
	for _, e := range entries(list) {
		n, err := w.entry(ctx, dir, e, level)
		if err != nil {
			return nil, err
		}
		if n != nil {
			pairs = append(pairs, cloudconfig.Pair{Key: cloudconfig.NewString(e.name), Value: n})
		}
	}
	return cloudconfig.NewMap(pairs...), nil
}

func (w *walker) entry(ctx context.Context, dir string, e entry, level int) (*cloudconfig.Node, error) {
	if w.asked++; w.asked > maxLeaves {
		return nil, errors.New("meta-data has too many entries")
	}
	path := dir + e.path
	if e.dir {
		path += "/"
	}
	body, err := w.f.get(ctx, path)
	if isStatus(err, http.StatusNotFound) {
		w.problems = append(w.problems, path+": listed, but not there")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if e.dir {
		return w.tree(ctx, path, string(body), level+1)
	}
	return leaf(string(body)), nil
}

// leaf is an object if it reads as one, a list of lines if there are several.
func leaf(s string) *cloudconfig.Node {
	if t := strings.TrimSpace(s); strings.HasPrefix(t, "{") && strings.HasSuffix(t, "}") {
		if n, err := cloudconfig.ParseJSON([]byte(t)); err == nil {
			return n
		}
	}
	if !strings.Contains(s, "\n") {
		return cloudconfig.NewString(s)
	}
	var lines []*cloudconfig.Node
	for line := range strings.Lines(s) {
		lines = append(lines, cloudconfig.NewString(strings.TrimRight(line, "\r\n")))
	}
	return cloudconfig.NewList(lines...)
}
