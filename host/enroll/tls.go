package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"imprint/host/cloud"
)

// ServerConfig returns the settings of a server that is the service i: TLS 1.3,
// and a certificate of the same authority on the other side, of a peer that
// was not revoked and that allow lets in. Every connection shakes hands in
// full. Who has no list, a nil one, serves no nodes.
func (i *Identity) ServerConfig(revoked *Revocations, allow func(Peer) bool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		Time:                   i.now,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              i.present().roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &i.present().tls, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			p, err := revoked.Check(state)
			if err == nil && !allow(p) {
				err = cloud.Errorf(cloud.Forbidden, "%s has nothing to do here", p)
			}
			return err
		},
	}
}

// EnrollConfig returns the settings of the server of [Authority.Handler], who
// is the service i in the role API: [Identity.ServerConfig] for every peer,
// and for those who have no certificate yet.
func (i *Identity) EnrollConfig(revoked *Revocations) *tls.Config {
	c := i.ServerConfig(revoked, func(Peer) bool { return true })
	verify := c.VerifyConnection
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return verify(state)
	}
	return c
}

// ClientConfig returns the settings of a client that shows i's certificate and
// speaks with a service in this role alone, whatever its address is called.
func (i *Identity) ClientConfig(role Role) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       i.now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.present().tls, nil
		},
		InsecureSkipVerify: true, // it looks for a host name; the rest is done here:
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyService(state.PeerCertificates, i.present().roots, i.now(), role)
		},
	}
}

// HostConfig returns the settings of a client that shows i's certificate and
// speaks with a server of the same authority whose certificate names the host
// that it is reached as: what clients of etcd want.
func (i *Identity) HostConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       i.now,
		RootCAs:    i.present().roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.present().tls, nil
		},
	}
}

// pinnedConfig returns the settings of a client without a certificate that
// speaks with the authority of this pin alone; found gets its certificate.
func pinnedConfig(p pin, now func() time.Time, found func(*x509.Certificate)) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Time:               now,
		InsecureSkipVerify: true, // no roots are known yet; the pin leads to one:
		VerifyConnection: func(state tls.ConnectionState) error {
			for _, c := range state.PeerCertificates {
				if !p.is(c) {
					continue
				}
				roots := x509.NewCertPool()
				roots.AddCert(c)
				found(c)
				return verifyService(state.PeerCertificates, roots, now(), API)
			}
			return errors.New("the server is not of the authority that the token is from")
		},
	}
}

// verifyService checks that a server's certificates lead to a root and are a
// service's in this role. RFC 5280 6.
func verifyService(certs []*x509.Certificate, roots *x509.CertPool, now time.Time, role Role) error {
	if len(certs) == 0 {
		return errors.New("the server has no certificate")
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	p, err := peerOf(certs[0])
	if err == nil && p.Role != role {
		err = fmt.Errorf("the server is %s; service %s is wanted", p, role)
	}
	return err
}
