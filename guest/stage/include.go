package stage

import (
	"context"
	"crypto/sha256"
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
	includeWait = 10 * time.Second
	maxInclude  = 16 << 20
)

// include fetches what an #include line names, over HTTP or HTTPS. What is to
// be fetched once is kept in the instance's directory.
func (b *Boot) include(ctx context.Context, inc userdata.Include) ([]byte, error) {
	sum := sha256.Sum256([]byte(inc.URL))
	kept := path.Join(clouddir.InstanceLink, "data/urlcache", hex.EncodeToString(sum[:]))
	if inc.Once {
		if data, err := b.Root.ReadFile(kept); err == nil {
			return data, nil
		}
	}
	data, err := fetch(ctx, inc.URL)
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

func fetch(ctx context.Context, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("include %s: only http and https are fetched", u.Redacted())
	}
	ctx, cancel := context.WithTimeout(ctx, includeWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "Cloud-Init/imprint")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("include %s: %s", u.Redacted(), resp.Status)
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
