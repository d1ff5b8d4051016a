package lab

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestOneTestAtATime has a test wait as long as another has a lab: this package has one, by Main.
func TestOneTestAtATime(t *testing.T) {
	Needed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a turn beside another's = %v, want none", err)
	}
}
