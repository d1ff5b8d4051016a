package install

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AuthorityName is the common name of the certificate that signs the component's.
const AuthorityName = ManagerName + "-ca"

// How long an authority lives, and how long before its end installing again makes
// another. The component renews what it signs with it by itself.
const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	AuthorityMargin = 365 * 24 * time.Hour
	authorityBits   = 2048
)

// Authority signs the component's serving certificates: PEM, a certificate and its key
// in PKCS #1, as cert-controller reads them.
type Authority struct{ Certificate, Key []byte }

// NewAuthority makes an authority that is good from now on.
func NewAuthority(now time.Time) (Authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, authorityBits)
	if err != nil {
		return Authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: AuthorityName, Organization: []string{partOfValue}},
		DNSNames:              []string{AuthorityName},
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, err
	}
	return Authority{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}, nil
}

// ends says when the authority ends. It is an error where certificate and key are none,
// or do not belong together.
func (a Authority) ends() (time.Time, error) {
	if len(a.Certificate) == 0 || len(a.Key) == 0 {
		return time.Time{}, errors.New("holds no certificate yet")
	}
	if _, err := tls.X509KeyPair(a.Certificate, a.Key); err != nil {
		return time.Time{}, err
	}
	return notAfter(a.Certificate)
}

// notAfter is when a PEM-encoded certificate ends.
func notAfter(text []byte) (time.Time, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}, errors.New("holds no certificate yet")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("expected a certificate: %w", err)
	}
	return certificate.NotAfter, nil
}

// authoritySecret is the Secret of the component's certificates, with the authority
// alone: the component adds what it serves with.
func authoritySecret(namespace string, authority Authority) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: CertificateName, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{caCertificateKey: authority.Certificate, caKeyKey: authority.Key},
	}
}
