package datasource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// maxHops bounds the redirects of a seed's address, which may lead elsewhere.
const maxHops = 5

// follow reads the seed that another one names by seedfrom: a directory or an
// address to which the parts' names are appended, or take the place of %s. What
// the seeds say that named it goes before its metadata; user data and vendor data
// are its own.
// cloud-init 22.4: util.py, read_seeded.
func (n *NoCloud) follow(ctx context.Context, env Env, s *seed, i *Instance, from string) error {
	base, suffix, _ := strings.Cut(from, "%s")
	var raw map[string][]byte
	var err error
	switch {
	case strings.HasPrefix(from, "/"), strings.HasPrefix(from, "file://"):
		raw, err = seedAtPath(env.Root, strings.TrimPrefix(base, "file://"), suffix)
	case strings.HasPrefix(from, "http://"), strings.HasPrefix(from, "https://"):
		raw, err = n.download(ctx, env, i, base, suffix)
	default:
		err = fmt.Errorf("data source %s: seedfrom %.200q is neither a path nor an address of a web server", noCloud, shown(from))
	}
	if err != nil {
		return err
	}
	s.user, s.vendor = nil, nil
	s.addRaw(shown(from), shown(base), raw)
	return nil
}

// seedAtPath reads files whose names start so.
func seedAtPath(root Files, base, suffix string) (map[string][]byte, error) {
	if root == nil {
		return nil, fmt.Errorf("data source %s: %w", noCloud, errNoSeed)
	}
	raw := map[string][]byte{}
	for n, part := range seedFiles() {
		name := path.Clean(base + part + suffix)
		data, err := bounded(root.ReadFile(name))
		switch {
		case err == nil:
			raw[part] = data
		case n < 2 || !isAbsent(err):
			return nil, fmt.Errorf("data source %s: read %s: %w", noCloud, name, err)
		}
	}
	return raw, nil
}

// isAbsent: there is no such file, nor a directory that it could be in.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// download reads a seed from an address, over a network that is made for it in
// the local stage.
func (n *NoCloud) download(ctx context.Context, env Env, i *Instance, base, suffix string) (map[string][]byte, error) {
	i.Class += "Net"
	set := n.set
	set.URLs = []string{base}
	env.BaseURL = ""
	f := newFetcher(env, set)
	f.client.CheckRedirect = anyHost
	ctx, cancel := f.begin(ctx, noCloud)
	defer cancel()
	raw, err := n.downloadParts(ctx, f, suffix)
	_, err = f.done(noCloud, i, err)
	return raw, err
}

func (n *NoCloud) downloadParts(ctx context.Context, f *fetcher, suffix string) (map[string][]byte, error) {
	if f.env.Connect != nil {
		if err := f.env.Connect(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
	}
	raw := map[string][]byte{}
	for n, part := range seedFiles() {
		body, err := f.get(ctx, part+suffix)
		switch {
		case err == nil:
			raw[part] = body
		case n < 2 || !isStatusClass(err, 4):
			return nil, fmt.Errorf("read %s: %w", part, err)
		}
	}
	return raw, nil
}

// anyHost follows redirects, but not from TLS to what anybody can read.
func anyHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxHops || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// shown is an address without its password.
func shown(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		return u.Redacted()
	}
	return address
}

func shownAll(addresses []string) (out []string) {
	for _, a := range addresses {
		out = append(out, shown(a))
	}
	return out
}
