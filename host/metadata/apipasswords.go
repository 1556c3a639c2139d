package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"imprint/host/cloud"
)

// APIPasswords keeps passwords through the compute API, for a service that may
// only read the store: POST /servers/ID/os-server-password, which
// administrators alone may. It meets [Passwords].
type APIPasswords struct {
	ComputeURL string // with /v2.1
	Tokens     Tokens
	Client     *http.Client // with a timeout
}

// SetPassword meets [Passwords]. A token that is refused is renewed once.
func (p APIPasswords) SetPassword(ctx context.Context, id cloud.ServerID, password string) error {
	body, err := json.Marshal(map[string]string{"password": password})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	status, err := p.post(ctx, id, body, false)
	if err == nil && status == http.StatusUnauthorized {
		status, err = p.post(ctx, id, body, true)
	}
	switch {
	case err != nil:
		return cloud.Errorf(cloud.Unavailable, "the compute service is away: %v", err)
	case status == http.StatusNoContent:
		return nil
	case status == http.StatusConflict:
		return cloud.ErrConflict
	case status == http.StatusNotFound:
		return cloud.ErrNotFound
	}
	return cloud.Errorf(cloud.Unavailable, "the compute service answered %d", status)
}

func (p APIPasswords) post(ctx context.Context, id cloud.ServerID, body []byte, renew bool) (int, error) {
	token, err := p.Tokens.Token(ctx, renew)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.ComputeURL+"/servers/"+url.PathEscape(string(id))+"/os-server-password", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", token)
	res, err := p.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, err
}
