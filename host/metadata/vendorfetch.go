package metadata

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"crypto/tls"

	"imprint/base/openstack"
)

// fetched is a target's answer.
type fetched struct {
	value    openstack.VendorValue
	lifetime time.Duration
	unkept   bool // it may not be kept at all
}

// newClient follows no redirects: a target is where the settings say.
func newClient(o VendorOptions) *http.Client {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout}
	return &http.Client{
		Timeout: o.ConnectTimeout + o.ReadTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: o.ConnectTimeout, ResponseHeaderTimeout: o.ReadTimeout,
			TLSClientConfig: &tls.Config{RootCAs: o.RootCAs}, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch asks target n. A token that is refused is renewed once.
func (v *Vendor) fetch(n int, i *openstack.Instance) (fetched, error) {
	ctx, cancel := context.WithTimeout(v.ctx, v.budget())
	defer cancel()
	select {
	case v.places[n] <- struct{}{}:
		defer func() { <-v.places[n] }()
	case <-ctx.Done():
		return fetched{}, fmt.Errorf("%d requests are under way: %w", maxFetches, ctx.Err())
	}
	body := v.question(i)
	res, err := v.post(ctx, n, body, false)
	if err == nil && res.StatusCode == http.StatusUnauthorized && v.o.Tokens != nil {
		res.Body.Close()
		res, err = v.post(ctx, n, body, true)
	}
	if err != nil {
		return fetched{}, err
	}
	defer res.Body.Close()
	return v.read(res)
}

func (v *Vendor) post(ctx context.Context, n int, body []byte, renew bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.o.Targets[n].URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "openstack-nova-vendordata")
	if v.o.Tokens != nil {
		token, err := v.o.Tokens.Token(ctx, renew)
		if err != nil {
			return nil, err
		}
		req.Header.Set("X-Auth-Token", token)
	}
	res, err := v.client.Do(req)
	if shown := (*url.Error)(nil); errors.As(err, &shown) {
		err = shown.Err // without the URL, which may have a key in it
	}
	return res, err
}

// question is what a target is told of an instance.
// nova: api/metadata/vendordata_dynamic.py, _do_request.
func (v *Vendor) question(i *openstack.Instance) []byte {
	userData := "null"
	if i.UserData != nil {
		userData = `"` + base64.StdEncoding.EncodeToString(i.UserData) + `"`
	}
	host := i.Hostname
	if v.o.Domain != "" {
		host = strings.TrimSuffix(host, "."+v.o.Domain)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"project-id": %s, "instance-id": %s, "image-id": %s, "user-data": %s, "hostname": %s, "metadata": {`,
		openstack.Quote(i.ProjectID), openstack.Quote(i.UUID), openstack.Quote(i.ImageID), userData, openstack.Quote(host))
	for n, key := range slices.Sorted(maps.Keys(i.Meta)) {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %s", openstack.Quote(key), openstack.Quote(i.Meta[key]))
	}
	fmt.Fprintf(&b, `}, "boot-roles": %s}`, openstack.Quote(i.BootRoles))
	return b.Bytes()
}

// read takes an answer: no text is the empty object.
func (v *Vendor) read(res *http.Response) (fetched, error) {
	if res.StatusCode >= http.StatusMultipleChoices {
		return fetched{}, fmt.Errorf("status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fetched{}, err
	}
	if len(body) > maxAnswer {
		return fetched{}, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	f := fetched{lifetime: v.o.Lifetime}
	if len(body) > 0 {
		if !json.Valid(body) {
			return fetched{}, fmt.Errorf("the answer is not JSON")
		}
		if f.value, err = openstack.ParseVendorValue(body); err != nil {
			return fetched{}, err
		}
	}
	f.cacheControl(strings.Join(res.Header.Values("Cache-Control"), ","))
	return f, nil
}

// maxLifetime bounds what a target may ask for.
const maxLifetime = 24 * time.Hour

// cacheControl takes a Cache-Control header into account. RFC 9111 5.2.2.
func (f *fetched) cacheControl(header string) {
	stale := false
	for directive := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store":
			f.unkept = true
		case "no-cache":
			stale = true
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds >= 0 {
				f.lifetime = min(time.Duration(min(seconds, 1<<30))*time.Second, maxLifetime)
			}
		}
	}
	if stale {
		f.lifetime = 0
	}
}
