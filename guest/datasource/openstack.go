package datasource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/openstack"
)

// OpenStack reads Nova's metadata service.
// cloud-init 22.4: sources/DataSourceOpenStack.py, sources/helpers/openstack.py.
type OpenStack struct{ set Settings }

// NewOpenStack makes the source.
func NewOpenStack(s Settings) *OpenStack { return &OpenStack{s} }

// Name is OpenStack.
func (*OpenStack) Name() string { return "OpenStack" }

// Detect accepts the product names and chassis tags of OpenStack and of clouds
// built with it. Departing from cloud-init 22.4, a machine whose architecture has
// no such values is not taken for one (CVE-2024-6174; so does 25.1.4).
func (o *OpenStack) Detect(env Env) Evidence { return env.detectNetwork(o.Name()) }

// Crawl reads the version list and then the newest version's documents at once:
// six requests. The EC2 tree, which cloud-init reads as well, stays unread
// unless the settings ask for it: some twenty-five more requests would tell
// only the names of disks that is not here already.
//
// meta_data.json must be there. Any other document may be missing (404); if
// it cannot be read for another reason the crawl fails, where cloud-init would
// set the instance up, once and for all, without its user data.
func (o *OpenStack) Crawl(ctx context.Context, env Env) (*Instance, error) {
	set := o.set
	if len(set.URLs) == 0 {
		set.URLs = []string{DefaultURL}
		if u := env.linkLocalURL(); u != "" {
			set.URLs = append(set.URLs, u)
		}
	}
	f := newFetcher(env, set)
	ctx, cancel := f.begin(ctx, o.Name())
	defer cancel()
	i, err := crawlOpenStack(ctx, f)
	return f.done(o.Name(), i, err)
}

func crawlOpenStack(ctx context.Context, f *fetcher) (*Instance, error) {
	i := &Instance{
		Name: "OpenStack", Class: "DataSourceOpenStack", Mode: "net", Version: 2,
		CloudName: "openstack", Platform: "openstack",
	}
	if err := i.connect(ctx, f); err != nil {
		return nil, err
	}
	list, err := f.get(ctx, "/openstack")
	if isStatus(err, http.StatusNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNotServed, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	i.at(f)
	dir := "/openstack/" + pickVersion(string(list)) + "/"
	docs, err := readDocuments(ctx, f, dir)
	if err != nil {
		return nil, err
	}
	dsmode, err := i.metaData(docs["meta_data.json"])
	if err == nil {
		err = i.mode(dsmode)
	}
	if err != nil {
		return nil, named(f.base+dir+"meta_data.json", err)
	}
	i.UserData, i.NetworkData = docs["user_data"], docs["network_data.json"]
	i.VendorData = i.vendorData("vendor_data.json", docs)
	i.VendorData2 = i.vendorData("vendor_data2.json", docs)
	if f.set.EC2Tree {
		i.ec2Tree(ctx, f)
	}
	return i, nil
}

// ec2Tree adds the EC2 tree as cloud-init does: one that cannot be read is
// empty. cloud-init 22.4 asks for it at latest.
func (i *Instance) ec2Tree(ctx context.Context, f *fetcher) {
	i.EC2 = cloudconfig.NewMap()
	md, problems, err := readTree(ctx, f, "/latest/meta-data/", nil)
	if err != nil {
		i.Problems = append(i.Problems, "EC2 metadata: "+err.Error())
		return
	}
	i.EC2, i.Problems = md, append(i.Problems, problems...)
}

// at takes over the address that answered.
func (i *Instance) at(f *fetcher) {
	i.URL, i.Subplatform = shown(f.base), "metadata ("+shown(f.base)+")"
}

// connect makes the way to the service, where that is for the source to do. A
// network without IPv4 has no lease to give, but may serve at a link-local
// address.
func (i *Instance) connect(ctx context.Context, f *fetcher) error {
	if f.env.Connect == nil {
		return nil
	}
	i.Class += "Local"
	err := f.env.Connect(ctx)
	if err == nil {
		return nil
	}
	f.set.URLs = slices.DeleteFunc(slices.Clone(f.set.URLs), func(u string) bool { return !strings.Contains(u, "://[fe80:") })
	if len(f.set.URLs) == 0 || ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	f.env.log().Info("no lease, the link-local address is asked", "error", err, "urls", shownAll(f.set.URLs))
	return nil
}

// pickVersion is the newest version that we know and the service has.
func pickVersion(list string) string {
	served := strings.Fields(list)
	for _, v := range slices.Backward(openstack.Versions()) {
		if slices.Contains(served, string(v)) {
			return string(v)
		}
	}
	return openstack.Latest
}

// documents are those of one version; only the first must be there.
func documents() []string {
	return []string{"meta_data.json", "user_data", "vendor_data.json", "vendor_data2.json", "network_data.json"}
}

func readDocuments(ctx context.Context, f *fetcher, dir string) (map[string][]byte, error) {
	var paths []string
	for _, name := range documents() {
		paths = append(paths, dir+name)
	}
	bodies, err := f.all(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	docs := map[string][]byte{}
	for n, name := range documents() {
		if bodies[n] != nil {
			docs[name] = bodies[n]
		}
	}
	if docs["meta_data.json"] == nil {
		return nil, named(f.base+dir+"meta_data.json", statusError{code: http.StatusNotFound})
	}
	return docs, nil
}

// metaData takes over meta_data.json; cloud-init's two names are added. dsmode
// is the property by which a user decides when the data apply.
func (i *Instance) metaData(doc []byte) (dsmode string, err error) {
	md, err := parseJSON(doc)
	if err != nil {
		return "", err
	}
	if md.Kind != cloudconfig.KindMap {
		return "", errors.New("is no object")
	}
	i.InstanceID = text(md, "uuid")
	if !validID(i.InstanceID) {
		return "", fmt.Errorf("uuid %.60q", i.InstanceID)
	}
	if h := text(md, "hostname"); h != "" {
		md = md.With("local-hostname", cloudconfig.NewString(h))
		i.setHostname(h)
	}
	i.MetaData = md.With("instance-id", cloudconfig.NewString(i.InstanceID))
	i.addKeys(md.Get("public_keys"))
	i.standard()
	return text(md, "meta", "dsmode"), nil
}

// mode obeys a dsmode; an empty one, or one that is not known, changes nothing.
// cloud-init 22.4: sources/__init__.py, _determine_dsmode.
func (i *Instance) mode(dsmode string) error {
	switch dsmode {
	case "":
	case "disabled":
		return ErrDisabled
	case "local", "net", "pass":
		i.Mode = dsmode
	default:
		i.Problems = append(i.Problems, fmt.Sprintf("dsmode %.60q is not known", dsmode))
	}
	return nil
}

// validID keeps an id from being a path: it names a directory.
func validID(id string) bool {
	return id != "" && len(id) <= 128 && id != "." && id != ".." && !strings.ContainsAny(id, "/\x00\n")
}
