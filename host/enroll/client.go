package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"imprint/host/cloud"
)

// requestTimeout bounds a request for a certificate, connecting included.
const requestTimeout = 30 * time.Second

// Enroll makes a key, has the authority at base ("https://host:port") certify
// it for token, and writes the identity to dir, which is made when it does not
// exist. It speaks only with the authority that the token is from. The token is
// used up by it even when the answer is lost on the way or cannot be written:
// then the operator gives out another. An identity that is in dir already stays
// until the new one takes its place.
func Enroll(ctx context.Context, base string, token Token, dir string) (*Identity, error) {
	var root *x509.Certificate
	config := pinnedConfig(token.pin, time.Now, func(c *x509.Certificate) { root = c })
	err := obtain(ctx, config, base+"/enroll", token.Text(), dir, func() *x509.Certificate { return root })
	if err != nil {
		return nil, fmt.Errorf("enrol at %s: %w", base, err)
	}
	return LoadIdentity(dir)
}

// Renew gets a new certificate for a new key from the authority at base, under
// the present certificate, which must not have expired.
func (i *Identity) Renew(ctx context.Context, base string) error {
	root := func() *x509.Certificate { return i.present().root }
	if err := obtain(ctx, i.ClientConfig(API), base+"/renew", "", i.dir, root); err != nil {
		return fmt.Errorf("renew certificate of %s at %s: %w", i.Peer(), base, err)
	}
	return nil
}

// obtain asks for a certificate and saves it. root is who must have issued it;
// it is known once the connection stands.
func obtain(ctx context.Context, config *tls.Config, address, token, dir string, root func() *x509.Certificate) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	body, err := newRequest(token, key)
	if err != nil {
		return err
	}
	if err := writable(dir); err != nil { // before the token is used up
		return err
	}
	r, err := post(ctx, config, address, body)
	if err != nil {
		return err
	}
	leaf, err := certified(r, key, root())
	if err != nil {
		return fmt.Errorf("answer of the authority: %w", err)
	}
	return saveIdentity(dir, key, leaf.Raw, root())
}

// certified returns the certificate that came for key.
func certified(r reply, key crypto.Signer, root *x509.Certificate) (*x509.Certificate, error) {
	leaf, err := parseCerts([]byte(r.Certificate))
	if err != nil || len(leaf) != 1 {
		return nil, errors.Join(errors.New("there is not one certificate in it"), err)
	}
	cas, err := parseCerts([]byte(r.CA))
	if err != nil || len(cas) != 1 || !cas[0].Equal(root) {
		return nil, errors.Join(errors.New("it is of another authority"), err)
	}
	if !sameKey(leaf[0].PublicKey, key.Public()) {
		return nil, errors.New("the certificate is for another key")
	}
	return leaf[0], nil
}

func post(ctx context.Context, config *tls.Config, address string, body []byte) (reply, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return reply{}, cloud.Errorf(cloud.Invalid, "%q is not an https address", address)
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: noRedirect}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return reply{}, err
	}
	if res.StatusCode != http.StatusOK {
		return reply{}, refusal(res.StatusCode, data)
	}
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return reply{}, fmt.Errorf("answer of the authority: %w", err)
	}
	return r, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// refusal makes an error of an answer. What the server's text says is quoted.
func refusal(status int, body []byte) error {
	var f failure
	if json.Unmarshal(body, &f) != nil || f.Error == "" {
		f.Error = http.StatusText(status)
	}
	kind := cloud.Internal
	switch status {
	case http.StatusBadRequest:
		kind = cloud.Invalid
	case http.StatusForbidden:
		kind = cloud.Forbidden
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		kind = cloud.Unavailable
	}
	return cloud.Errorf(kind, "the authority answers %d: %.300q", status, f.Error)
}
