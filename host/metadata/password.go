package metadata

import (
	"context"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"imprint/base/openstack"
	"imprint/host/api"
	"imprint/host/cloud"
)

// MaxPassword bounds a password in bytes: Nova keeps four pieces of 255.
// nova: api/metadata/password.py.
const MaxPassword = 1020

// Passwords keeps what instances set as their password. Safe for concurrent
// use.
type Passwords interface {
	// SetPassword keeps the password of a server that has none. It fails with
	// an error of kind [cloud.Conflict] when there is one, of kind
	// [cloud.Unavailable] when another try may help, or with
	// [cloud.ErrNotFound]. When it returns nil the password is durable.
	SetPassword(ctx context.Context, id cloud.ServerID, password string) error
}

// StoredPasswords keeps passwords with the servers, where the compute API shows
// and clears them (os-server-password).
func StoredPasswords(s api.Store) Passwords { return stored{api.NewWriter(s)} }

type stored struct{ writer *api.Writer }

func (p stored) SetPassword(ctx context.Context, id cloud.ServerID, password string) error {
	return p.writer.Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		old := m.Servers[id]
		switch {
		case old == nil:
			return cloud.Txn{}, cloud.ErrNotFound
		case old.Password != "":
			return cloud.Txn{}, cloud.Errorf(cloud.Conflict, "The server has a password.")
		}
		s := *old
		s.Password = password
		return cloud.Txn{Put: []cloud.Record{&s}}, nil
	})
}

// setPassword answers a request for the password document that is no GET.
// Departing from Nova, an answer follows what is kept: of two values at once
// one is refused, and bytes that are no UTF-8 are refused.
func (s *Service) setPassword(r *http.Request, id cloud.ServerID, present string) *fault {
	if r.Method != http.MethodPost {
		return badRequest("method", "GET and POST only are supported.")
	}
	if present != "" {
		return conflict("password is set")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPassword+1))
	switch {
	case err != nil:
		return badRequest("body", "The body could not be read.")
	case len(body) > MaxPassword:
		return badRequest("too large", "Request is too large.")
	case !utf8.Valid(body):
		return badRequest("body", "The password is not UTF-8.")
	case len(body) == 0:
		return nil
	case s.passwords == nil:
		return unavailable("store", "Passwords cannot be kept now.")
	}
	err = s.passwords.SetPassword(r.Context(), id, string(body))
	switch {
	case err == nil:
		s.instances.Await(r.Context(), id, func(i *openstack.Instance) bool { return i.Password != "" })
		return nil
	case errors.Is(err, cloud.ErrNotFound):
		return notFound("instance")
	case cloud.KindOf(err) == cloud.Conflict:
		return conflict("password is set")
	}
	s.log.Warn("password not kept", "server_id", id, "error", err)
	return unavailable("store", "Passwords cannot be kept now.")
}
