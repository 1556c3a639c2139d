package datasource

import (
	"context"

	"imprint/base/cloudconfig"
)

// None is the source of last resort: it is always there and knows nothing but
// what the system's own configuration says.
// cloud-init 22.4: sources/DataSourceNone.py.
type None struct{ set NoneSettings }

// NoneSettings are the fall-back values of cloud.cfg (datasource: None:).
type NoneSettings struct {
	UserData []byte            // userdata_raw
	MetaData *cloudconfig.Node // metadata
}

// NewNone makes the source.
func NewNone(s NoneSettings) *None { return &None{s} }

const noneName = "None"

// Name is None.
func (*None) Name() string { return noneName }

// Detect says yes.
func (*None) Detect(Env) Evidence {
	return Evidence{Source: noneName, Verdict: Present, Reason: "always there"}
}

// Crawl does not fail.
func (n *None) Crawl(context.Context, Env) (*Instance, error) {
	i := &Instance{
		Name: noneName, Class: "DataSourceNone", CloudName: "none", Platform: "none", Subplatform: "config",
		InstanceID: "iid-datasource-none", UserData: n.set.UserData, MetaData: n.set.MetaData,
	}
	if h := text(n.set.MetaData, "local-hostname"); h != "" {
		i.setHostname(h)
	}
	if keys := n.set.MetaData.Get("public-keys"); !keys.IsNull() {
		i.addKeys(keys)
	}
	return i, nil
}
