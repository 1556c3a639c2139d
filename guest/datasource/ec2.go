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
	i.MetaData, i.Problems, i.APIVersion = md, problems, strings.TrimPrefix(version, "/")
	if aws {
		if i.Identity, err = i.identityDocument(ctx, f, version); err != nil {
			return err
		}
	}
	return i.ec2Values(md)
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

// ec2Values takes over what has a name of its own; what Amazon's document says
// goes first. cloud-init 22.4: sources/DataSourceEc2.py.
func (i *Instance) ec2Values(md *cloudconfig.Node) error {
	document := i.Identity
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
