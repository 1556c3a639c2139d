package compute

import (
	"context"
	"maps"
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// server returns the server that a request names, if the caller may see it.
func server(m *cloud.Model, req *api.Request) (*cloud.Server, error) {
	id := req.PathValue("id")
	s := m.Servers[cloud.ServerID(id)]
	if s == nil || !req.Caller.Sees(s.ProjectID) {
		return nil, cloud.Errorf(cloud.NotFound, "Instance %.255s could not be found.", id)
	}
	return s, nil
}

// changeServer lets change work on a copy of the server.
func (r *Role) changeServer(req *api.Request, change func(*cloud.Model, *cloud.Server) error) error {
	return r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		old, err := server(m, req)
		if err != nil {
			return cloud.Txn{}, err
		}
		s := *old
		s.Metadata = maps.Clone(old.Metadata)
		if err := change(m, &s); err != nil {
			return cloud.Txn{}, err
		}
		return cloud.Txn{Put: []cloud.Record{&s}}, nil
	})
}

func (r *Role) seen(req *api.Request) (v view, err error) {
	r.store.View(func(m *cloud.Model) {
		var s *cloud.Server
		if s, err = server(m, req); err == nil {
			v = look(m, s)
		}
	})
	return v, err
}

func (r *Role) showServer(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	d, err := serverDetail(r, req, v)
	if err != nil {
		return api.Response{}, err
	}
	if req.Version.AtLeast(2, 71) {
		d = append(d, api.Field{Name: "server_groups", Value: []string{}})
	}
	return api.OK(api.Document{{Name: "server", Value: d}})
}

func (r *Role) updateServer(req *api.Request) (api.Response, error) {
	o, err := req.Object("server")
	if err != nil {
		return api.Response{}, err
	}
	name := o.Name("name", 255)
	description, hostname := "", ""
	if req.Version.AtLeast(2, 19) {
		description = o.Multiline("description", 0, 255)
	}
	if req.Version.AtLeast(2, 90) {
		hostname = o.Text("hostname", 2, maxHostname)
		if hostname != "" && !hostnameForm.MatchString(hostname) {
			o.Fail("hostname", "It may have letters, digits and dashes inside.")
		}
	}
	o.Enum("OS-DCF:diskConfig", "MANUAL")
	o.Refuse("accessIPv4", "accessIPv6")
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	err = r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		if name != "" {
			s.Name = name
		}
		if o.Has("description") || o.Null("description") {
			s.Description = description
		}
		if hostname != "" {
			s.HostName = hostname
		}
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	if req.Version.AtLeast(2, 75) {
		return r.showServer(req)
	}
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "server", Value: v.brief(req, false)}})
}

// deleteServer asks the server's node to remove it, or removes at once what no
// node has.
func (r *Role) deleteServer(req *api.Request) (api.Response, error) {
	if _, err := r.seen(req); err != nil {
		return api.Response{}, err
	}
	if err := r.destroy(req.Context(), cloud.ServerID(req.PathValue("id"))); err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}

func (r *Role) destroy(ctx context.Context, id cloud.ServerID) error {
	return r.writer.Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		old := m.Servers[id]
		switch {
		case old == nil || old.Deleting:
			return cloud.Txn{}, nil
		case old.Host == "":
			return r.remove(m, old), nil
		}
		s := *old
		s.Deleting, s.Fault = true, "" // from here on a fault is the deletion's
		return cloud.Txn{Put: []cloud.Record{&s}}, nil
	})
}

// remove is the transaction that removes a server's record and its ports.
func (r *Role) remove(m *cloud.Model, s *cloud.Server) cloud.Txn {
	tx := r.ports.ReleasePorts(m, s.ID(), made(s.ServerID), s.Ports...)
	tx.Delete = append(tx.Delete, s)
	return tx
}
