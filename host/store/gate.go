package store

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"imprint/host/cloud"
)

// gate stands before every request of a client: who may make it, and whether
// the engine can take it.
type gate struct {
	engine *Etcd
	ctx    context.Context // ends with serving
}

func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	role, _, err := clientOf(ctx)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	switch {
	case info.FullMethod == etcdserverpb.KV_Range_FullMethodName:
		return next(ctx, req)
	case info.FullMethod == etcdserverpb.KV_Txn_FullMethodName && role == RoleAPI:
		return g.write(ctx, req, next)
	}
	return nil, status.Errorf(codes.PermissionDenied, "a certificate of %s does not entitle to %s", role, info.FullMethod)
}

// write does what [Etcd.Txn] does around a transaction.
func (g *gate) write(ctx context.Context, req any, next grpc.UnaryHandler) (any, error) {
	if err := checkSpace(g.engine.dir, runReserve); err != nil {
		return nil, exhausted(err)
	}
	resp, err := next(ctx, req)
	if errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
		return nil, exhausted(g.engine.overQuota())
	}
	return resp, err
}

// exhausted carries the text of an error of package cloud to a client.
func exhausted(err error) error {
	var e *cloud.Error
	if errors.As(err, &e) {
		return status.Error(codes.ResourceExhausted, e.Text)
	}
	return status.Error(codes.Unavailable, err.Error())
}

func (g *gate) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	role, cert, err := clientOf(stream.Context())
	if err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	if info.FullMethod != etcdserverpb.Watch_Watch_FullMethodName {
		return status.Errorf(codes.PermissionDenied, "a certificate of %s does not entitle to %s", role, info.FullMethod)
	}
	ctx, cancel := context.WithDeadline(stream.Context(), cert.NotAfter)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	return next(srv, &boundStream{stream, ctx})
}

// boundStream is a stream with an end of our choice.
type boundStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *boundStream) Context() context.Context { return s.ctx }

// clientOf returns the role and the certificate of who made a request. It
// looks again, since a connection may outlive its certificate.
func clientOf(ctx context.Context) (Role, *x509.Certificate, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", nil, errors.New("the client is not known")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return "", nil, errors.New("the client has no certificate")
	}
	cert := info.State.PeerCertificates[0]
	role, err := clientRole(cert, time.Now())
	return role, cert, err
}
