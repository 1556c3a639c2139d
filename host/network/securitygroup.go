package network

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"imprint/host/api"
	"imprint/host/cloud"
)

// defaultGroupName is the name of the one group that each project has.
const defaultGroupName = "default"

// defaultGroup is the id of a project's default security group. The group is
// no record: it follows from the project.
func defaultGroup(p cloud.ProjectID) string { return derived(string(p), "security-group") }

func derived(parts ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(strings.Join(parts, "/"))).String()
}

// groupRules says what holds: everything may pass, in and out.
func groupRules(p *cloud.Project) []api.Document {
	var rules []api.Document
	created := p.CreatedAt.Format(time.RFC3339)
	for i, direction := range [...]string{"egress", "egress", "ingress", "ingress"} {
		ethertype := [...]string{"IPv4", "IPv6"}[i%2]
		rules = append(rules, api.Document{
			{Name: "id", Value: derived(string(p.ProjectID), direction, ethertype)}, {Name: "tenant_id", Value: p.ProjectID},
			{Name: "security_group_id", Value: defaultGroup(p.ProjectID)}, {Name: "ethertype", Value: ethertype},
			{Name: "direction", Value: direction}, {Name: "protocol", Value: nil}, {Name: "port_range_min", Value: nil},
			{Name: "port_range_max", Value: nil}, {Name: "remote_ip_prefix", Value: nil}, {Name: "remote_address_group_id", Value: nil},
			{Name: "normalized_cidr", Value: nil}, {Name: "remote_group_id", Value: nil}, {Name: "standard_attr_id", Value: i + 1},
			{Name: "description", Value: nil}, {Name: "tags", Value: []string{}}, {Name: "created_at", Value: created},
			{Name: "updated_at", Value: created}, {Name: "revision_number", Value: 0}, {Name: "project_id", Value: p.ProjectID},
		})
	}
	return rules
}

func groupDocument(p *cloud.Project) api.Document {
	doc := api.Document{
		{Name: "id", Value: defaultGroup(p.ProjectID)}, {Name: "name", Value: defaultGroupName}, {Name: "stateful", Value: true},
		{Name: "tenant_id", Value: p.ProjectID}, {Name: "description", Value: "Default security group"}, {Name: "shared", Value: false},
		{Name: "security_group_rules", Value: groupRules(p)},
	}
	meta := p.Meta
	meta.UpdatedAt = meta.CreatedAt
	return append(doc, stamps(&meta, 1, p.ProjectID)...)
}

// groups returns the projects whose group the caller sees.
func (r *Role) groups(c cloud.Caller) (projects []*cloud.Project) {
	r.store.View(func(m *cloud.Model) {
		for _, p := range cloud.Sorted(m.Projects) {
			if c.Sees(p.ProjectID) {
				projects = append(projects, p)
			}
		}
	})
	return projects
}

func (r *Role) listSecurityGroups(req *api.Request) (api.Response, error) {
	var docs []api.Document
	for _, p := range r.groups(req.Caller) {
		docs = append(docs, groupDocument(p))
	}
	return list(req, "security_groups", docs)
}

func (r *Role) showSecurityGroup(req *api.Request) (api.Response, error) {
	id := req.PathValue("id")
	for _, p := range r.groups(req.Caller) {
		if defaultGroup(p.ProjectID) == id {
			return show(req, http.StatusOK, "security_group", groupDocument(p))
		}
	}
	return api.Response{}, fault(cloud.NotFound, "SecurityGroupNotFound", "Security group %.64s does not exist", id)
}

func (r *Role) listSecurityGroupRules(req *api.Request) (api.Response, error) {
	var docs []api.Document
	for _, p := range r.groups(req.Caller) {
		docs = append(docs, groupRules(p)...)
	}
	return list(req, "security_group_rules", docs)
}
