package image

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Store is what the role needs of the store.
type Store interface {
	View(func(*cloud.Model))
	Commit(ctx context.Context, tx cloud.Txn) error
}

// Blobs keeps the images' bytes. Put reads to the end of r; more than limit
// bytes is an error of kind cloud.TooLarge and leaves nothing behind. Safe for
// concurrent use.
type Blobs interface {
	Put(ctx context.Context, r io.Reader, limit int64) (cloud.Digest, int64, error)
	Open(d cloud.Digest) (io.ReadCloser, int64, error)
}

// Options say what the role works with.
type Options struct {
	Store Store
	Blobs Blobs
	Auth  api.Authenticator
	// MaxSize bounds an image in bytes; 0 means 64 GiB.
	MaxSize int64
	// AuthURL tells rejected clients where to get a token.
	AuthURL string
	// Log gets the requests; nil discards.
	Log *slog.Logger
}

const uploadsAtOnce = 8

// Role is the image service. It is safe for concurrent use.
type Role struct {
	store   Store
	writer  *api.Writer
	blobs   Blobs
	maxSize int64
	uploads chan struct{}
	service *api.Service
}

// New makes the role.
func New(o Options) *Role {
	if o.MaxSize == 0 {
		o.MaxSize = 64 << 30
	}
	r := &Role{store: o.Store, writer: api.NewWriter(o.Store), blobs: o.Blobs, maxSize: o.MaxSize,
		uploads: make(chan struct{}, uploadsAtOnce)}
	r.service = api.New(api.Options{Name: "image", Dialect: api.Glance(), Auth: o.Auth, AuthURL: o.AuthURL, Log: o.Log}, r.routes())
	return r
}

// Handler serves the role's API.
func (r *Role) Handler() http.Handler { return r.service }

func (r *Role) routes() []api.Route {
	return []api.Route{
		{Pattern: "GET /{$}", Do: versions(http.StatusMultipleChoices), Access: api.Anyone},
		{Pattern: "GET /versions", Do: versions(http.StatusOK), Access: api.Anyone},
		{Pattern: "GET /v2", Do: versions(http.StatusMultipleChoices), Access: api.Anyone},
		{Pattern: "GET /v2/{$}", Do: versions(http.StatusMultipleChoices), Access: api.Anyone},
		{Pattern: "GET /v2/schemas/image", Do: imageSchema},
		{Pattern: "GET /v2/schemas/images", Do: imagesSchema},
		{Pattern: "GET /v2/images", Do: r.list},
		{Pattern: "POST /v2/images", Do: r.create},
		{Pattern: "GET /v2/images/{id}", Do: r.show},
		{Pattern: "PATCH /v2/images/{id}", Do: r.patch},
		{Pattern: "DELETE /v2/images/{id}", Do: r.remove},
		{Pattern: "PUT /v2/images/{id}/file", Do: r.upload, Stream: true},
		{Pattern: "GET /v2/images/{id}/file", Do: r.download, Stream: true},
	}
}

// find returns the image that a request is about, if the caller may see it.
func find(m *cloud.Model, req *api.Request) (*cloud.Image, error) {
	id := req.PathValue("id")
	i := m.Images[cloud.ImageID(id)]
	if i == nil || !i.VisibleTo(req.Caller) {
		return nil, cloud.Errorf(cloud.NotFound, "No image found with ID %.64s", id)
	}
	return i, nil
}

// owned is find for a caller who wants to change the image; it returns a copy.
func owned(m *cloud.Model, req *api.Request) (*cloud.Image, error) {
	i, err := find(m, req)
	if err != nil {
		return nil, err
	}
	if !req.Caller.Sees(i.Owner) {
		return nil, cloud.Errorf(cloud.Forbidden, "You are not permitted to modify this image.")
	}
	c := *i
	return &c, nil
}
