package store

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Role is what a certificate entitles to at the store's listener: a URI among
// the certificate's alternative names (RFC 5280 section 4.2.1.6).
type Role string

// The roles. A certificate with any other URI of the scheme imprint, such as
// that of a node, or with more than one, is of no use at the store.
const (
	RoleStore    Role = "imprint:role:store"    // is the store
	RoleAPI      Role = "imprint:role:api"      // reads and writes
	RoleMetadata Role = "imprint:role:metadata" // reads
)

const roleScheme = "imprint"

// rolesOf returns every URI of ours in a certificate, the known and the others.
func rolesOf(cert *x509.Certificate) []Role {
	var roles []Role
	for _, uri := range cert.URIs {
		if uri.Scheme == roleScheme {
			roles = append(roles, Role(uri.String()))
		}
	}
	return roles
}

// clientRole returns the role of a client of the store, or why it is none.
func clientRole(cert *x509.Certificate, now time.Time) (Role, error) {
	roles := rolesOf(cert)
	if len(roles) != 1 || (roles[0] != RoleAPI && roles[0] != RoleMetadata) {
		return "", fmt.Errorf("the certificate of %q with the roles %q is not that of a client of the store", cert.Subject.CommonName, roles)
	}
	if now.After(cert.NotAfter) {
		return "", fmt.Errorf("the certificate of %q has expired on %s", cert.Subject.CommonName, cert.NotAfter.Format(time.DateTime))
	}
	return roles[0], nil
}

// checkServer refuses the certificate of another role in the place of the
// store's. One without roles is that of an etcd that others run.
func checkServer(cert *x509.Certificate) error {
	roles := rolesOf(cert)
	if len(roles) == 0 || (len(roles) == 1 && roles[0] == RoleStore) {
		return nil
	}
	return fmt.Errorf("the certificate of %q with the roles %q %s", cert.Subject.CommonName, roles, notAStore)
}

const notAStore = "is not that of a store"
