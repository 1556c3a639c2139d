package datasource

import (
	"context"
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
// too, if told so (strict_id); here the administrator must name the source.
func (e *Ec2) Detect(env Env) Evidence {
	env = env.Identified()
	found := env.detectNetwork(e.Name())
	cloud, _ := env.Identity.Evidence.EC2Cloud()
	switch openstack := env.Identity.Check("OpenStack"); {
	case found.Verdict == Present && cloud == "" && e.set.StrictID == "true":
		found.Verdict, found.Reason = Absent, "strict_id is true, and the machine is of no cloud that is known"
	case found.Verdict == Absent && openstack.Identity && env.Identity.Named == "":
		found.Verdict, found.Reason = Possible, openstack.Reason
	}
	return found
}

// form is what differs between services in EC2's manner.
type form struct {
	source, cloud string
	urls          []string
	// versions are those that tell more than the least one, newest first.
	versions []string
	least    string
}

// ec2Form is Amazon's, and of those that serve the same. The address by IPv6
// and the one by name are cloud-init's, too.
func ec2Form(cloud string) form {
	return form{
		source: "Ec2", cloud: cloud, urls: []string{DefaultURL, "http://[fd00:ec2::254]"},
		versions: []string{"2021-03-23", "2018-09-24", "2016-09-02"}, least: "2009-04-04",
	}
}

// Crawl reads meta-data and user-data of the newest version that is known, on
// Amazon's machines with a session token and with the identity document.
func (e *Ec2) Crawl(ctx context.Context, env Env) (*Instance, error) {
	env = env.Identified()
	cloud, _ := env.Identity.Evidence.EC2Cloud()
	if cloud == "" {
		cloud = "unknown"
	}
	return crawlEC2(ctx, env, e.set, ec2Form(cloud))
}

func crawlEC2(ctx context.Context, env Env, set Settings, form form) (*Instance, error) {
	if len(set.URLs) == 0 {
		set.URLs = form.urls
	}
	f := newFetcher(env, set)
	ctx, cancel := f.begin(ctx, form.source)
	defer cancel()
	i := &Instance{
		Name: form.source, Class: "DataSource" + form.source, CloudName: form.cloud, Platform: "ec2",
	}
	err := i.crawlEC2(ctx, f, form)
	return f.done(form.source, i, err)
}

func (i *Instance) crawlEC2(ctx context.Context, f *fetcher, form form) error {
	if err := i.connect(ctx, f); err != nil {
		return err
	}
	aws := form.cloud == "aws"
	if aws {
		if err := f.useToken(ctx); err != nil {
			return err
		}
	}
	version, list, err := form.version(ctx, f)
	if err != nil {
		return err
	}
	i.at(f)
	md, problems, err := readTree(ctx, f, version+"/meta-data/", list)
	if err != nil {
		return err
	}
	if i.UserData, err = f.get(ctx, version+"/user-data"); err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("read user-data: %w", err)
	}
	i.MetaData, i.EC2, i.Problems = md, md, problems
	var document *cloudconfig.Node
	if aws {
		if document, err = i.identityDocument(ctx, f, version); err != nil {
			return err
		}
	}
	return i.ec2Values(md, document)
}

// version is the newest that is served, and the list at its meta-data. One of
// which no version is known has latest, perhaps.
func (form form) version(ctx context.Context, f *fetcher) (version string, list []byte, err error) {
	for _, v := range append(slices.Clone(form.versions), form.least, "latest") {
		body, err := f.get(ctx, "/"+v+"/meta-data/")
		if err == nil {
			return "/" + v, body, nil
		}
		if !isStatus(err, http.StatusNotFound) {
			return "", nil, fmt.Errorf("read meta-data: %w", err)
		}
	}
	return "", nil, fmt.Errorf("%w: no meta-data at %s", ErrNotServed, shown(f.base))
}

// identityDocument is Amazon's, signed by it; it goes before the metadata.
func (i *Instance) identityDocument(ctx context.Context, f *fetcher, version string) (*cloudconfig.Node, error) {
	path := version + "/dynamic/instance-identity/document"
	body, err := f.get(ctx, path)
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read identity document: %w", err)
	}
	doc, err := parseJSON(body)
	if err != nil {
		i.Problems = append(i.Problems, shown(f.base+path)+": "+err.Error())
		return nil, nil
	}
	return doc, nil
}

// ec2Values takes over what has a name of its own; document is nil but on
// Amazon's machines. cloud-init 22.4: sources/DataSourceEc2.py.
func (i *Instance) ec2Values(md, document *cloudconfig.Node) error {
	i.standard()
	if i.InstanceID = text(document, "instanceId"); i.InstanceID == "" {
		i.InstanceID = text(md, "instance-id")
	}
	if !validID(i.InstanceID) {
		return fmt.Errorf("instance-id %.60q", i.InstanceID)
	}
	if h := text(md, "local-hostname"); h != "" {
		i.setHostname(h)
	}
	i.addKeys(md.Get("public-keys"))
	i.AvailabilityZone = text(md, "placement", "availability-zone")
	if az := text(document, "availabilityZone"); az != "" {
		i.AvailabilityZone = az
	}
	if i.Region = text(document, "region"); i.Region == "" && i.AvailabilityZone != "" {
		i.Region = i.AvailabilityZone[:len(i.AvailabilityZone)-1]
	}
	return nil
}

// Limits of the walk; Nova's tree has about 25 leaves and three levels.
const (
	maxLeaves = 256
	maxLevels = 6
)

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

// branch is a directory that is being read.
type branch struct {
	path string
	list []byte // nil: still to be read
	key  string
	kids []*branch
	leaf *cloudconfig.Node
	gone bool
}

// readTree turns a directory and all below it into one value, level by level,
// several documents at once. list is the directory's own text, nil to read it.
// The problems name what is listed and not there.
func readTree(ctx context.Context, f *fetcher, dir string, list []byte) (*cloudconfig.Node, []string, error) {
	if list == nil {
		body, err := f.get(ctx, dir)
		if err != nil {
			return nil, nil, fmt.Errorf("read meta-data: %w", err)
		}
		list = body
	}
	root := &branch{path: dir, list: list}
	var problems []string
	asked := 0
	for level, dirs := 0, []*branch{root}; len(dirs) > 0; level++ {
		if level > maxLevels {
			return nil, nil, named(f.base+dirs[0].path, fmt.Errorf("more than %d levels", maxLevels))
		}
		var next []*branch
		for _, d := range dirs {
			next = append(next, d.open()...)
		}
		if asked += len(next); asked > maxLeaves {
			return nil, nil, named(f.base+dir, fmt.Errorf("more than %d entries", maxLeaves))
		}
		gone, err := readBranches(ctx, f, next)
		if err != nil {
			return nil, nil, fmt.Errorf("read meta-data: %w", err)
		}
		problems = append(problems, gone...)
		dirs = slices.DeleteFunc(next, func(b *branch) bool { return b.list == nil })
	}
	return root.node(), problems, nil
}

// open makes the entries of a directory.
func (b *branch) open() []*branch {
	for _, e := range entries(string(b.list)) {
		kid := &branch{path: b.path + e.path, key: e.name}
		if e.dir {
			kid.path += "/"
		}
		b.kids = append(b.kids, kid)
	}
	return b.kids
}

func readBranches(ctx context.Context, f *fetcher, all []*branch) (problems []string, err error) {
	var paths []string
	for _, b := range all {
		paths = append(paths, b.path)
	}
	bodies, err := f.all(ctx, paths)
	if err != nil {
		return nil, err
	}
	for n, b := range all {
		switch {
		case bodies[n] == nil:
			b.gone = true
			problems = append(problems, shown(f.base+b.path)+": listed, but not there")
		case strings.HasSuffix(b.path, "/"):
			b.list = bodies[n]
		default:
			b.leaf = leaf(string(bodies[n]))
		}
	}
	return problems, nil
}

func (b *branch) node() *cloudconfig.Node {
	if b.leaf != nil {
		return b.leaf
	}
	var pairs []cloudconfig.Pair
	for _, kid := range b.kids {
		if !kid.gone {
			pairs = append(pairs, cloudconfig.Pair{Key: cloudconfig.NewString(kid.key), Value: kid.node()})
		}
	}
	return cloudconfig.NewMap(pairs...)
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
