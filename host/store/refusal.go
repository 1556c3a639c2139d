package store

import (
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"imprint/host/cloud"
)

// ErrRefused says that the store and its client do not accept each other's
// certificate, or the client's not for the request. The same call fails again
// until someone changes that.
var ErrRefused = errors.New("refused")

// remoteError puts an error of a remote etcd in the store's words.
func remoteError(err error) error {
	s := status.Convert(err)
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return cloud.Errorf(cloud.Unavailable, "the store has reached its space quota")
	case s.Code() == codes.ResourceExhausted:
		return cloud.Errorf(cloud.Unavailable, "%s", s.Message())
	case s.Code() == codes.PermissionDenied:
		return fmt.Errorf("the store has %w: %s", ErrRefused, s.Message())
	}
	away := cloud.Errorf(cloud.Unavailable, "the store is away")
	if why := whyRefused(s.Message()); why != "" {
		return fmt.Errorf("%w: %w: %s: %w", away, ErrRefused, why, err)
	}
	return fmt.Errorf("%w: etcd: %w", away, err)
}

// whyRefused explains a TLS handshake that failed because of a certificate;
// "" is any other error. gRPC passes on no more than the text. The alerts of
// the other side are those of crypto/tls (RFC 8446 section 6.2).
func whyRefused(text string) string {
	for _, reason := range []struct{ sign, why string }{
		{"remote error: tls: certificate required", "the store demands a certificate of its clients"},
		{"remote error: tls: expired certificate", "this client's certificate has expired or is not valid yet"},
		{"remote error: tls: unknown certificate authority", "the store does not know the authority of this client's certificate"},
		{"remote error: tls: bad certificate", "this client's certificate is not that of a client of the store"},
		{"tls: failed to verify certificate", "the store's certificate is not accepted"},
		{notAStore, "the store's certificate is not accepted"},
	} {
		if strings.Contains(text, reason.sign) {
			return reason.why
		}
	}
	return ""
}
