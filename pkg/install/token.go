package install

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// tokenBytes is how many random bytes a token has: as many as nobody guesses.
const tokenBytes = 32

// NewToken makes a random token, in hexadecimal.
func NewToken() string {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // It never fails: see crypto/rand.
	return hex.EncodeToString(random)
}

// ReadToken returns the token of the installation in a namespace, so that installing
// again keeps it, or a new one where there is none.
func ReadToken(ctx context.Context, config *rest.Config, namespace string) (string, error) {
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return "", err
	}
	secret, err := client.Secrets(namespace).Get(ctx, TokenName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return NewToken(), nil
	case err != nil:
		return "", fmt.Errorf("secret %s/%s: %w", namespace, TokenName, err)
	}
	token := string(secret.Data[tokenKey])
	if err := ValidateToken(token); err != nil {
		return "", fmt.Errorf("secret %s/%s: key %s: %w; or delete it, for a new one", namespace, TokenName, tokenKey, err)
	}
	return token, nil
}

// ValidateToken says whether a token can be a segment of a path, as the API server wants
// them. Errors do not repeat it.
func ValidateToken(token string) error {
	if errs := validation.IsDNS1123Subdomain(token); len(errs) > 0 {
		return fmt.Errorf("webhook token, of %d characters: expected %d hexadecimal digits", len(token), hex.EncodedLen(tokenBytes))
	}
	return nil
}

// tokenSecret is the Secret that holds the token.
func tokenSecret(namespace, token string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: TokenName, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{tokenKey: []byte(token)},
	}
}
