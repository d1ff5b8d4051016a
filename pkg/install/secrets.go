package install

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Secrets are how the API server and the component in the cluster know each other.
type Secrets struct {
	// Tokens start the webhooks' paths. The API server is told the first; the component
	// answers to all of them, so that the first may be another than before.
	Tokens []string
	// Authority signs what the component serves with.
	Authority Authority
	// Trusted is what the API server trusts, in PEM: the authority and, while what is
	// served may still be signed by it, the one before.
	Trusted []byte
}

// NewSecrets makes those of a first installation.
func NewSecrets() (*Secrets, error) {
	authority, err := NewAuthority(time.Now())
	if err != nil {
		return nil, err
	}
	return &Secrets{Tokens: []string{NewToken()}, Authority: authority, Trusted: authority.Certificate}, nil
}

// ReadSecrets returns the secrets of the installation in a namespace, with a new token
// before those that stand there where renew says so, and with new ones where there are
// none. An authority that ends within AuthorityMargin is replaced, and trusted on.
func ReadSecrets(ctx context.Context, config *rest.Config, namespace string, renew bool) (*Secrets, error) {
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	tokens, err := readSecret(ctx, client.Secrets(namespace), TokenName)
	if err != nil {
		return nil, err
	}
	s := &Secrets{}
	if text, ok := tokens[tokenKey]; ok {
		if s.Tokens, err = ParseTokens(string(text)); err != nil {
			return nil, fmt.Errorf("secret %s/%s: key %s: %w; or delete it, for a new one", namespace, TokenName, tokenKey, err)
		}
	}
	if renew || len(s.Tokens) == 0 {
		s.Tokens = slices.Insert(s.Tokens, 0, NewToken())
	}
	certificates, err := readSecret(ctx, client.Secrets(namespace), CertificateName)
	if err != nil {
		return nil, err
	}
	return s, s.keepAuthority(Authority{Certificate: certificates[caCertificateKey], Key: certificates[caKeyKey]}, time.Now())
}

// keepAuthority keeps the authority that is there while it is good.
func (s *Secrets) keepAuthority(found Authority, now time.Time) (err error) {
	ends, unusable := found.ends()
	if unusable == nil && ends.Sub(now) > AuthorityMargin {
		s.Authority, s.Trusted = found, found.Certificate
		return nil
	}
	if s.Authority, err = NewAuthority(now); err != nil {
		return err
	}
	s.Trusted = s.Authority.Certificate
	if unusable == nil && ends.After(now) {
		s.Trusted = slices.Concat(s.Trusted, found.Certificate)
	}
	return nil
}

// readSecret returns what a Secret holds; nil where it is not there.
func readSecret(ctx context.Context, secrets corev1client.SecretInterface, name string) (map[string][]byte, error) {
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return secret.Data, nil
}

// RetireTokens has the component answer to the first token only, as the API server has
// been told that one by now. It reads them again by itself.
func RetireTokens(ctx context.Context, config *rest.Config, namespace string, tokens []string) error {
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return err
	}
	applied := corev1apply.Secret(TokenName, namespace).WithLabels(map[string]string{partOf: partOfValue}).
		WithType(corev1.SecretTypeOpaque).WithData(tokenSecret(namespace, tokens[:1]).Data)
	_, err = client.Secrets(namespace).Apply(ctx, applied, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	return err
}

// tokenSecret is the Secret that holds the tokens, one a line.
func tokenSecret(namespace string, tokens []string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: TokenName, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{tokenKey: []byte(strings.Join(tokens, "\n"))},
	}
}

// trusts says whether a CA bundle has a certificate in it.
func trusts(bundle, certificate []byte) bool {
	return len(certificate) > 0 && bytes.Contains(bundle, bytes.TrimSpace(certificate))
}
