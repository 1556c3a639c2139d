package stage

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"imprint/base/userdata"
	"imprint/guest/clouddir"
)

const (
	userAgent   = "Cloud-Init/imprint"
	includeWait = 10 * time.Second
	maxInclude  = 16 << 20
)

// include fetches what an #include line names: a file, or over HTTP or HTTPS. What is to
// be fetched once is kept in the instance's directory.
func (b *Boot) include(ctx context.Context, inc userdata.Include) ([]byte, error) {
	sum := md5.Sum([]byte(inc.URL)) // cloud-init's name for it; nothing is secured by it
	kept := path.Join(clouddir.InstanceLink, "data/urlcache", hex.EncodeToString(sum[:]))
	if inc.Once {
		if data, err := b.Root.ReadFile(kept); err == nil {
			return data, nil
		}
	}
	data, err := b.fetch(ctx, inc.URL)
	if err != nil {
		return nil, err
	}
	if inc.Once {
		if err := b.Root.WriteFile(kept, data, 0o600); err != nil {
			return nil, fmt.Errorf("keep %s: %w", inc.URL, err)
		}
	}
	return data, nil
}

func (b *Boot) fetch(ctx context.Context, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "", "file":
		return b.Root.ReadFile(u.Path)
	case "http", "https":
	default:
		return nil, fmt.Errorf("include %s: only http, https and files are fetched", u.Redacted())
	}
	ctx, cancel := context.WithTimeout(ctx, includeWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode, u.Redacted())
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxInclude+1))
	if err != nil {
		return nil, fmt.Errorf("include %s: %w", u.Redacted(), err)
	}
	if len(data) > maxInclude {
		return nil, fmt.Errorf("include %s: more than %d bytes", u.Redacted(), maxInclude)
	}
	return data, nil
}

// statusError is worded as that of Python's requests, which people look for.
func statusError(code int, from string) error {
	kind := "Client"
	if code >= http.StatusInternalServerError {
		kind = "Server"
	}
	return fmt.Errorf("%d %s Error: %s for url: %s", code, kind, http.StatusText(code), from)
}
