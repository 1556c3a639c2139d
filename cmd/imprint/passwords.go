package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"imprint/host/cloud"
	"imprint/host/enroll"
	"imprint/host/metadata"
)

// storedPasswords keeps what instances set as their password with the servers.
func storedPasswords(c *controller) metadata.Passwords { return metadata.StoredPasswords(c.store) }

// passwordLimit bounds the wait for the API to keep a password.
const passwordLimit = 10 * time.Second

// passwordHandler keeps passwords for metadata services that are processes of
// their own: they only read the store.
func passwordHandler(keep metadata.Passwords, revoked *enroll.Revocations) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		peer, err := revoked.Check(*r.TLS)
		if err != nil || peer.Role != enroll.Metadata {
			http.Error(w, "metadata services keep passwords here", http.StatusForbidden)
			return
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, metadata.MaxPassword))
		if err != nil {
			http.Error(w, "the password did not come whole", http.StatusBadRequest)
			return
		}
		err = keep.SetPassword(r.Context(), cloud.ServerID(r.PathValue("id")), string(text))
		switch cloud.KindOf(err) {
		case cloud.Conflict:
			http.Error(w, err.Error(), http.StatusConflict)
		case cloud.NotFound:
			http.Error(w, err.Error(), http.StatusNotFound)
		default:
			if err != nil {
				http.Error(w, "the password could not be kept", http.StatusServiceUnavailable)
			}
		}
	}
}

// remotePasswords has 'serve api' keep passwords.
type remotePasswords struct {
	apiURL string
	client *http.Client
}

// SetPassword meets [metadata.Passwords].
func (p remotePasswords) SetPassword(ctx context.Context, id cloud.ServerID, password string) error {
	ctx, cancel := context.WithTimeout(ctx, passwordLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.apiURL+"/passwords/"+url.PathEscape(string(id)), bytes.NewReader([]byte(password)))
	if err != nil {
		return fmt.Errorf("keep password: %w", err)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return cloud.Errorf(cloud.Unavailable, "keep password: %v", err)
	}
	res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusConflict:
		return cloud.Errorf(cloud.Conflict, "The server has a password.")
	case http.StatusNotFound:
		return cloud.ErrNotFound
	}
	return cloud.Errorf(cloud.Unavailable, "keep password: the API says %s", res.Status)
}
