package store

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
)

// serverTLS is conf with what the store insists on: TLS 1.3, and a
// certificate of a client of the store, on every connection.
func serverTLS(conf *tls.Config) (*tls.Config, error) {
	switch {
	case conf == nil || (len(conf.Certificates) == 0 && conf.GetCertificate == nil):
		return nil, errors.New("the store's certificate is missing")
	case conf.ClientCAs == nil:
		return nil, errors.New("the authority of the clients' certificates is missing")
	case conf.GetConfigForClient != nil:
		return nil, errors.New("TLS settings that change with the client are not possible")
	}
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	conf.SessionTicketsDisabled = true
	conf.VerifyConnection = also(conf.VerifyConnection, func(s tls.ConnectionState) error {
		_, err := clientRole(s.PeerCertificates[0], time.Now())
		return err
	})
	return conf, nil
}

// clientTLS is conf with what a client insists on.
func clientTLS(conf *tls.Config) (*tls.Config, error) {
	switch {
	case conf == nil || conf.RootCAs == nil:
		return nil, errors.New("the authority of the store's certificate is missing")
	case conf.InsecureSkipVerify:
		return nil, errors.New("the store's certificate has to be verified")
	}
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	if conf.GetClientCertificate == nil && len(conf.Certificates) > 0 {
		// Shown to a server of another authority too, which then says why it
		// refuses it; crypto/tls would show none.
		cert := conf.Certificates[0]
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	conf.VerifyConnection = also(conf.VerifyConnection, func(s tls.ConnectionState) error {
		return checkServer(s.PeerCertificates[0])
	})
	return conf, nil
}

type verify func(tls.ConnectionState) error

// also returns both checks as one; the first may be nil.
func also(first, second verify) verify {
	if first == nil {
		return second
	}
	return func(s tls.ConnectionState) error {
		if err := first(s); err != nil {
			return err
		}
		return second(s)
	}
}

// doorkeeper logs who was not let in; the client itself is told no more than
// the name of a TLS alert.
type doorkeeper struct {
	credentials.TransportCredentials
	log    *slog.Logger
	seldom *rate.Sometimes // whoever knocks must not fill the log
}

func newDoorkeeper(conf *tls.Config, log *slog.Logger) *doorkeeper {
	return &doorkeeper{credentials.NewTLS(conf), log, &rate.Sometimes{First: 10, Interval: time.Second}}
}

func (d *doorkeeper) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := d.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		d.seldom.Do(func() { d.log.Warn("store did not let a client in", "client", raw.RemoteAddr(), "error", err) })
	}
	return conn, info, err
}

func (d *doorkeeper) Clone() credentials.TransportCredentials {
	return &doorkeeper{d.TransportCredentials.Clone(), d.log, d.seldom}
}
