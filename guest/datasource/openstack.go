package datasource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
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

// Product names of machines that OpenStack made; the second is RDO's.
const (
	nova    = "OpenStack Nova"
	compute = "OpenStack Compute"
)

// Name is OpenStack.
func (*OpenStack) Name() string { return "OpenStack" }

// Detect accepts the product names and chassis tags of OpenStack and of clouds
// built with it. Only PCs are sure to have them.
func (*OpenStack) Detect(env Env) Evidence {
	verdict, reason := detectOpenStack(env)
	return Evidence{Source: "OpenStack", Verdict: verdict, Network: true, Reason: reason}
}

func detectOpenStack(env Env) (Verdict, string) {
	if p := dmi(env.Root, "product_name"); p == nova || p == compute {
		return Present, "DMI product name is " + p
	}
	tags := []string{nova, compute, "HUAWEICLOUD", "OpenTelekomCloud", "SAP CCloud VM"}
	if tag := dmi(env.Root, "chassis_asset_tag"); slices.Contains(tags, tag) {
		return Present, "DMI chassis asset tag is " + tag
	}
	if initEnv(env.Root, "product_name") == nova {
		return Present, "the first process has product_name=" + nova
	}
	if !isPC(env.Arch) {
		return Possible, "machines of this architecture have no reliable DMI values"
	}
	return Absent, "no DMI value is OpenStack's"
}

func isPC(arch string) bool {
	if arch == "" {
		arch = runtime.GOARCH
	}
	return arch == "amd64" || arch == "x86_64" || len(arch) == 4 && arch[0] == 'i' && arch[2:] == "86" || arch == "386"
}

// Crawl reads the version list and the newest version's documents: six
// requests. The EC2 tree, which cloud-init reads as well, stays unread: twenty
// more requests would tell only what is here already.
//
// meta_data.json must be there. Any other document may be missing (404); if
// it cannot be read for another reason the crawl fails, where cloud-init would
// set the instance up, once and for all, without its user data.
func (o *OpenStack) Crawl(ctx context.Context, env Env) (*Instance, error) {
	f := newFetcher(env, o.set)
	defer f.close()
	i, err := crawlOpenStack(ctx, env, f)
	if err != nil {
		return nil, &CrawlError{Source: o.Name(), Tries: f.tries, Err: err}
	}
	i.Tries = f.tries
	return i, nil
}

func crawlOpenStack(ctx context.Context, env Env, f *fetcher) (*Instance, error) {
	i := &Instance{
		Name: "OpenStack", Class: "DataSourceOpenStack", Mode: "net", Version: 2,
		CloudName: "openstack", Platform: "openstack",
		Subplatform: "metadata (" + env.baseURL() + ")", URL: env.baseURL(),
	}
	if err := i.connect(ctx, env); err != nil {
		return nil, err
	}
	list, err := f.get(ctx, "/openstack")
	if isStatus(err, http.StatusNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNotServed, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	docs, err := readDocuments(ctx, f, "/openstack/"+pickVersion(string(list))+"/")
	if err != nil {
		return nil, err
	}
	dsmode, err := i.metaData(docs["meta_data.json"])
	if err == nil {
		err = i.mode(dsmode)
	}
	if err != nil {
		return nil, fmt.Errorf("meta_data.json: %w", err)
	}
	i.UserData, i.NetworkData = docs["user_data"], docs["network_data.json"]
	i.VendorData = i.vendorData("vendor_data.json", docs)
	i.VendorData2 = i.vendorData("vendor_data2.json", docs)
	return i, nil
}

// connect makes the way to the service, where that is for the source to do.
func (i *Instance) connect(ctx context.Context, env Env) error {
	if env.Connect == nil {
		return nil
	}
	i.Class += "Local"
	if err := env.Connect(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
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
	docs := map[string][]byte{}
	for _, name := range documents() {
		body, err := f.get(ctx, dir+name)
		if isStatus(err, http.StatusNotFound) && name != "meta_data.json" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		docs[name] = body
	}
	return docs, nil
}

// metaData takes over meta_data.json; cloud-init's two names are added. dsmode
// is the property by which a user decides when the data apply.
func (i *Instance) metaData(doc []byte) (dsmode string, err error) {
	md, err := cloudconfig.ParseJSON(doc)
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
	i.AvailabilityZone = text(md, "availability_zone")
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
