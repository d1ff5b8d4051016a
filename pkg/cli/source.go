package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// SourceFlags choose where the snapshot comes from: a cluster or a dump.
type SourceFlags struct {
	// Path is a dump's file or folder, "-" for stdin, empty for the cluster.
	Path string
	// ChunkSize pages the lists of a cluster; 0 asks for each in one go.
	ChunkSize int64
	// Kinds limits what is loaded of a cluster to these resources ("pods"); nil for
	// all that scheduling depends on: what business groups may use is left out.
	Kinds []string
	// Finished keeps the finished pods of a cluster, which are else left out.
	Finished bool
	// Extra are further kinds to load, where the cluster or the dump has them.
	Extra []snapshot.Kind
	// Strangers has what names a business group looked for among all kinds that the
	// cluster has.
	Strangers bool
}

// AddFlags binds --snapshot.
func (f *SourceFlags) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Path, "snapshot", f.Path, `Work on a dump instead of a cluster: a file ("kubectl get ... -A -o yaml", JSON, gzip), a folder of them, or "-" for stdin.`)
	cobra.CheckErr(cmd.MarkFlagFilename("snapshot"))
	cmd.Flags().Int64Var(&f.ChunkSize, "chunk-size", f.ChunkSize, "Return large lists in chunks of this many objects rather than each all at once, which is quicker: it comes from the API server's watch cache. 0 for no chunks.")
}

// Offline says whether a dump was given.
func (f *SourceFlags) Offline() bool { return f.Path != "" }

// Namespace is the namespace of the flags and the kubeconfig, as kubectl takes
// it. A dump needs no kubeconfig, so that a broken one is no error there.
func (f *SourceFlags) Namespace(env Env) (string, error) {
	namespace, _, err := env.Config.ToRawKubeConfigLoader().Namespace()
	if err == nil {
		return namespace, nil
	}
	if !f.Offline() {
		return "", err
	}
	if *env.Config.Namespace != "" {
		return *env.Config.Namespace, nil
	}
	return "default", nil
}

// Load reads the dump, or the cluster with a progress line. Nodes or pods that
// cannot be seen are an error, as every answer would be a guess.
func (f *SourceFlags) Load(ctx context.Context, env Env, progress *print.Progress) (*snapshot.Snapshot, error) {
	snap, err := f.LoadAny(ctx, env, progress)
	if err != nil {
		return nil, err
	}
	if err := f.Check(snap); err != nil {
		return nil, err
	}
	return snap, nil
}

// Check refuses a snapshot without nodes or pods.
func (f *SourceFlags) Check(snap *snapshot.Snapshot) error {
	for _, missing := range snap.Missing {
		if missing.Resource == "nodes" || missing.Resource == "pods" {
			return fmt.Errorf("%s cannot be listed in all namespaces (%s): nothing can be said without them; ask for the right to list %s", missing.Resource, missing.Why(), missing.Resource)
		}
	}
	if f.Offline() && len(snap.Nodes) == 0 && snap.ServerVersion == "" {
		return fmt.Errorf(`%s: holds no nodes, and without them nothing can be said; dump them too: kubectl get nodes,pods,... -A -o yaml, or kubectl why-pending snapshot`, snap.Source)
	}
	return nil
}

// LoadAny is Load for a command that has something to say without nodes or pods.
func (f *SourceFlags) LoadAny(ctx context.Context, env Env, progress *print.Progress) (*snapshot.Snapshot, error) {
	if f.Offline() {
		snap, err := snapshot.ReadPath(f.Path, env.In, f.Extra...)
		if err != nil {
			return nil, fmt.Errorf("--snapshot: %w", err)
		}
		return snap, nil
	}
	config, opts, err := f.options(env, progress)
	if err != nil {
		return nil, err
	}
	return load.Live(ctx, config, opts)
}

// options are the cluster, and what is loaded of it.
func (f *SourceFlags) options(env Env, progress *print.Progress) (*rest.Config, load.Options, error) {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil, load.Options{}, err
	}
	namespace, err := f.Namespace(env)
	if err != nil {
		return nil, load.Options{}, err
	}
	kinds := f.Kinds
	if kinds == nil {
		kinds = schedulingKinds()
	}
	return config, load.Options{
		Kinds:     kinds,
		Extra:     f.Extra,
		Strangers: f.Strangers,
		Finished:  f.Finished,
		Source:    config.Host,
		ChunkSize: f.ChunkSize,
		Namespace: namespace,
		Now:       env.Clock.Now,
		Progress: func(p load.Progress) {
			progress.Update("Loading "+p.Resource, int(p.Done), int(p.Total))
		},
	}, nil
}

// schedulingKinds are the resources of all kinds but those of business groups.
func schedulingKinds() []string {
	var kinds []string
	for _, kind := range snapshot.Kinds() {
		if kind.Kind != stowagev1alpha1.BizGroupResourceQuotaKind {
			kinds = append(kinds, kind.Resource)
		}
	}
	return kinds
}

// FinishedPod asks the cluster for a pod that has finished, which a live
// snapshot leaves out; nil when there is none, or a dump was given.
func (f *SourceFlags) FinishedPod(ctx context.Context, env Env, namespace, name string) *corev1.Pod {
	if f.Offline() {
		return nil
	}
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil
	}
	pod, err := client.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || !snapshot.Finished(pod) {
		return nil
	}
	return pod
}
