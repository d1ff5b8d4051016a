package install

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// tokenBytes is how many random bytes a token has: as many as nobody guesses.
const tokenBytes = 32

// NewToken makes a random token, in hexadecimal.
func NewToken() string {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // It never fails: see crypto/rand.
	return hex.EncodeToString(random)
}

// ParseTokens reads tokens that stand one a line. Errors do not repeat them.
func ParseTokens(text string) ([]string, error) {
	tokens := strings.Fields(text)
	if len(tokens) == 0 {
		return nil, ValidateToken("")
	}
	for _, token := range tokens {
		if err := ValidateToken(token); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// ValidateToken says whether a token can be a segment of a path, as the API server wants
// them. Errors do not repeat it.
func ValidateToken(token string) error {
	if errs := validation.IsDNS1123Subdomain(token); len(errs) > 0 {
		return fmt.Errorf("webhook token, of %d characters: expected %d hexadecimal digits", len(token), hex.EncodedLen(tokenBytes))
	}
	return nil
}
