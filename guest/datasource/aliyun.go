package datasource

import (
	"context"
)

// AliYun reads Alibaba Cloud's metadata service, which is EC2's with another
// address and newer versions.
// cloud-init 22.4: sources/DataSourceAliYun.py.
type AliYun struct{ set Settings }

// NewAliYun makes the source.
func NewAliYun(s Settings) *AliYun { return &AliYun{s} }

// Name is AliYun.
func (*AliYun) Name() string { return "AliYun" }

// Detect knows the product name.
func (a *AliYun) Detect(env Env) Evidence { return env.detectNetwork(a.Name()) }

// Crawl reads meta-data and user-data. The host name is hostname's, as a
// whole, not local-hostname's.
func (a *AliYun) Crawl(ctx context.Context, env Env) (*Instance, error) {
	i, err := crawlEC2(ctx, env, a.set, form{
		source: a.Name(), cloud: "aliyun", urls: []string{"http://100.100.100.200"}, least: "2016-01-01",
	})
	if err != nil {
		return nil, err
	}
	i.LocalHostname = text(i.MetaData, "hostname")
	i.FQDN = i.LocalHostname
	return i, nil
}
