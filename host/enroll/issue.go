package enroll

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"

	"imprint/host/cloud"
)

// Issue makes a new key and certificate for a service of this machine and
// writes them to dir, as [Enroll] does for a node. The hosts are DNS names and
// addresses that other programs may know the service by, often none.
func (a *Authority) Issue(role Role, hosts []string, dir string) error {
	if !role.valid() {
		return cloud.Errorf(cloud.Invalid, "%q is not a role of a service", string(role))
	}
	names, err := namesOf(hosts)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return fmt.Errorf("issue certificate of role %s: %w", role, err)
	}
	der, err := a.sign(key.Public(), Peer{Role: role}, names)
	if err == nil {
		err = saveIdentity(dir, key, der, a.cert)
	}
	if err != nil {
		return fmt.Errorf("issue certificate of role %s: %w", role, err)
	}
	a.options.Log.Info("certificate issued", "role", role, "path", dir)
	return nil
}

// hostNames are what a service's certificate says for programs that look at
// host names.
type hostNames struct {
	dns []string
	ips []net.IP
}

func namesOf(hosts []string) (hostNames, error) {
	var n hostNames
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip != nil:
			n.ips = append(n.ips, ip)
		case nodeName.MatchString(h):
			n.dns = append(n.dns, h)
		default:
			return hostNames{}, cloud.Errorf(cloud.Invalid, "%q is neither a host name nor an address", h)
		}
	}
	return n, nil
}

// sign returns a certificate for p. That p is entitled to it the caller knows.
func (a *Authority) sign(key crypto.PublicKey, p Peer, hosts hostNames) ([]byte, error) {
	now := a.options.Now()
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(a.options.Lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:         p.names(),
		DNSNames:     hosts.dns,
		IPAddresses:  hosts.ips,
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	if p.Role != "" {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		// Programs that cannot look at URIs tell services from nodes by this.
		template.Subject = pkix.Name{CommonName: p.names()[0].String()}
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
}

// renew returns a new certificate for who has the present one.
func (a *Authority) renew(present *x509.Certificate, key crypto.PublicKey) ([]byte, Peer, error) {
	p, err := peerOf(present)
	if err != nil {
		return nil, Peer{}, err
	}
	lock, err := lockDir(a.options.Dir)
	if err != nil {
		return nil, Peer{}, err
	}
	defer lock.Close()
	if err := a.revoked.check(p); err != nil {
		return nil, Peer{}, err
	}
	der, err := a.sign(key, p, hostNames{present.DNSNames, present.IPAddresses})
	return der, p, err
}
