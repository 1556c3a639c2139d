package image

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// upload takes the image's bytes. The image stays queued until all of them are
// kept; of two uploads at once, the second to end is refused.
func (r *Role) upload(req *api.Request) (api.Response, error) {
	if req.Header.Get("Content-Type") != "application/octet-stream" {
		return api.Response{}, &api.StatusError{Status: http.StatusUnsupportedMediaType, Text: "The content type must be application/octet-stream."}
	}
	var err error
	r.store.View(func(m *cloud.Model) { _, err = awaiting(m, req) })
	if err != nil {
		return api.Response{}, err
	}
	if req.ContentLength > r.maxSize {
		return api.Response{}, errSize(r.maxSize)
	}
	stored, err := r.keep(req)
	if err != nil {
		return api.Response{}, err
	}
	err = r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		i, err := awaiting(m, req)
		if err != nil {
			return cloud.Txn{}, err
		}
		i.Status, i.Blob, i.Size, i.MD5, i.SHA512 = active, stored.blob, stored.size, stored.md5, stored.sha512
		return cloud.Txn{Put: []cloud.Record{i}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}

func errSize(max int64) error {
	return cloud.Errorf(cloud.TooLarge, "Image exceeds the size limit of %d bytes.", max)
}

// awaiting returns a copy of the image, which must be the caller's and queued.
func awaiting(m *cloud.Model, req *api.Request) (*cloud.Image, error) {
	i, err := owned(m, req)
	if err != nil {
		return nil, err
	}
	if i.Status != queued {
		return nil, cloud.Errorf(cloud.Conflict, "Image status transition from %s to saving is not allowed", i.Status)
	}
	if i.DiskFormat == "" || i.ContainerFormat == "" {
		return nil, cloud.Errorf(cloud.Invalid, "Properties disk_format, container_format must be set prior to saving data.")
	}
	return i, nil
}

// kept is what is known of bytes that are kept.
type kept struct {
	blob        cloud.Digest
	size        int64
	md5, sha512 string
}

func (r *Role) keep(req *api.Request) (kept, error) {
	select {
	case r.uploads <- struct{}{}:
		defer func() { <-r.uploads }()
	case <-req.Context().Done():
		return kept{}, req.Context().Err()
	}
	sums := [...]hash.Hash{md5.New(), sha512.New()} // both are part of Glance's API
	body := &uploadBody{r: req.Body}
	blob, size, err := r.blobs.Put(req.Context(), io.TeeReader(body, io.MultiWriter(sums[0], sums[1])), r.maxSize)
	switch {
	case cloud.KindOf(err) == cloud.TooLarge:
		return kept{}, errSize(r.maxSize)
	case err != nil && body.err != nil:
		return kept{}, &api.StatusError{Status: http.StatusBadRequest, Text: "The upload ended too early."}
	case err != nil:
		return kept{}, fmt.Errorf("keep image %s: %w", req.PathValue("id"), err)
	}
	return kept{blob, size, hex.EncodeToString(sums[0].Sum(nil)), hex.EncodeToString(sums[1].Sum(nil))}, nil
}

// uploadBody remembers that it was the client who failed.
type uploadBody struct {
	r   io.Reader
	err error
}

func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (r *Role) download(req *api.Request) (api.Response, error) {
	var i *cloud.Image
	var err error
	r.store.View(func(m *cloud.Model) { i, err = find(m, req) })
	if err != nil {
		return api.Response{}, err
	}
	if i.Status != active {
		return api.Done(http.StatusNoContent)
	}
	data, size, err := r.blobs.Open(i.Blob)
	if err != nil {
		return api.Response{}, fmt.Errorf("open image %s: %v", i.ImageID, err) // a missing blob is our fault, not a 404
	}
	return api.Response{Raw: data, Length: size, ContentType: "application/octet-stream", Header: http.Header{"Content-Md5": {i.MD5}}}, nil
}
