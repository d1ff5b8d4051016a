package manager

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/stowage-dev/stowage/pkg/install"
)

// tokensEvery is how often the tokens' file is read. With the time that a kubelet takes to
// refresh it, that is how long a retired token is good.
const tokensEvery = 5 * time.Second

// readTokenFile reads the tokens in a file.
func readTokenFile(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tokens, err := install.ParseTokens(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tokens, nil
}

// readTokens has the tokens' file read again and again, and returns what it holds; nil
// for no file.
func (o *Options) readTokens(mgr ctrl.Manager) (func() []string, error) {
	log := mgr.GetLogger().WithName("tokens")
	if o.WebhookTokenFile == "" {
		log.Info("the webhooks answer whoever reaches them: there is no --webhook-token-file")
		return nil, nil
	}
	var held atomic.Pointer[[]string]
	held.Store(&o.tokens)
	return func() []string { return *held.Load() }, mgr.Add(everywhere(func(ctx context.Context) error {
		wait.UntilWithContext(ctx, func(context.Context) {
			switch tokens, err := readTokenFile(o.WebhookTokenFile); {
			case err != nil:
				log.Error(err, "the webhooks' tokens cannot be read; those before stay good")
			case !slices.Equal(tokens, *held.Load()):
				held.Store(&tokens)
				log.Info("the webhooks have other tokens", "number", len(tokens))
			}
		}, tokensEvery)
		return nil
	}))
}

// everywhere is what every replica runs, whoever leads.
type everywhere manager.RunnableFunc

// Start implements manager.Runnable.
func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }
