package datasource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"imprint/base/cloudconfig"
)

// standard takes over what any source's metadata may say under the same names.
// cloud-init 22.4: sources/__init__.py, DataSource.availability_zone, region,
// cloud_name.
func (i *Instance) standard() {
	i.AvailabilityZone = firstText(i.MetaData, []string{"availability-zone"}, []string{"availability_zone"}, []string{"placement", "availability-zone"})
	i.Region = text(i.MetaData, "region")
	if n := i.MetaData.Get("cloud-name"); n != nil && n.Kind == cloudconfig.KindString && n.String() != "" {
		i.CloudName = strings.ToLower(n.String())
	}
}

func firstText(n *cloudconfig.Node, paths ...[]string) string {
	for _, p := range paths {
		if s := text(n, p...); s != "" {
			return s
		}
	}
	return ""
}

// Data is what stands below ds in the instance data: what the source read, but
// for user data and vendor data. Departing from cloud-init 22.4, of Amazon's
// identity tree the document alone is there.
// cloud-init 22.4: sources/__init__.py, persist_instance_data.
func (i *Instance) Data() *cloudconfig.Node {
	data := cloudconfig.NewMap()
	if i.APIVersion != "" {
		data = data.With("meta-data", i.MetaData).With("_metadata_api_version", cloudconfig.NewString(i.APIVersion))
		if i.Identity != nil {
			document := cloudconfig.NewMap().With("document", i.Identity)
			data = data.With("dynamic", cloudconfig.NewMap().With("instance-identity", document))
		}
		return data
	}
	md := i.MetaData
	if md == nil {
		md = cloudconfig.NewMap()
	}
	data = data.With("meta_data", md)
	if i.EC2 != nil {
		data = data.With("ec2_metadata", i.EC2)
	}
	if n, err := parseJSON(i.NetworkData); err == nil {
		data = data.With("network_json", n)
	}
	return data
}

// CloudID is the standard key cloud_id: the cloud's name, made exact by the
// region for the partitions of some clouds, or the platform where the cloud is
// not known.
// cloud-init 22.4: sources/__init__.py, canonical_cloud_id.
func (i *Instance) CloudID() string {
	const unknown = "unknown"
	name := i.CloudName
	if name == "" || name == unknown {
		return i.Platform
	}
	for _, part := range []struct{ prefix, cloud, id string }{
		{"cn-", "aws", "aws-china"}, {"us-gov-", "aws", "aws-gov"}, {"china", "azure", "azure-china"},
	} {
		if name == part.cloud && strings.HasPrefix(i.Region, part.prefix) {
			return part.id
		}
	}
	return name
}

// setHostname takes what a source calls local-hostname, which may be a whole
// name or, on old clouds, an address.
// cloud-init 22.4: sources/__init__.py, get_hostname.
func (i *Instance) setHostname(s string) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		s = "ip-" + strings.ReplaceAll(s, ".", "-")
	}
	i.LocalHostname, _, _ = strings.Cut(s, ".")
	i.FQDN = strings.TrimSuffix(s, ".localdomain")
}

// addKeys takes public keys in any of the forms that sources have them: text,
// a list, or a map by name. What is no SSH key, as Nova's X.509 key pairs are
// not, becomes a problem.
// cloud-init 22.4: sources/__init__.py, normalize_pubkey_data.
func (i *Instance) addKeys(n *cloudconfig.Node) {
	if len(n.Pairs()) > 0 {
		for _, p := range n.Pairs() {
			i.addKeys(p.Value)
		}
		return
	}
	texts, err := n.AsStrings()
	if err != nil {
		i.Problems = append(i.Problems, "public keys: "+err.Error())
		return
	}
	for _, t := range texts {
		if strings.HasPrefix(t, "-----BEGIN ") {
			i.Problems = append(i.Problems, "public keys: one is no SSH key")
			continue
		}
		for line := range strings.Lines(t) {
			if line = strings.TrimSpace(line); line != "" {
				i.PublicKeys = append(i.PublicKeys, line)
			}
		}
	}
}

// parseJSON reads a document; the error says at which byte.
func parseJSON(doc []byte) (*cloudconfig.Node, error) {
	n, err := cloudconfig.ParseJSON(doc)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("byte %d: %w", len(doc), err)
	}
	return n, err
}

// text is a scalar's text at a path, "" where there is none.
func text(n *cloudconfig.Node, path ...string) string {
	n = n.Get(path...)
	if n.IsNull() {
		return ""
	}
	s, err := n.AsString()
	if err != nil {
		return ""
	}
	return s
}
