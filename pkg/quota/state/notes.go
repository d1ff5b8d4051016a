package state

import (
	"context"
	"fmt"
	"slices"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// note says of a verdict on a workload what it does not cover: that nothing is charged,
// or something else is, what is not known, and what else may stop or enlarge its pods.
func (t *Trial) note(ctx context.Context, check *report.QuotaCheck, e Edit, before snapshot.Object, change quota.Change) error {
	if check.Allowed && change.New.Group == "" {
		notes, err := t.ungrouped(ctx, e, before, change)
		if err != nil {
			return err
		}
		check.Warnings = append(check.Warnings, notes...)
	}
	s := t.state
	check.Warnings = append(check.Warnings, slices.Concat(s.unknownNodes(change.New), s.injected(change.New), t.natives(e.Object, change))...)
	return nil
}

// unknownNodes says that a workload with a pod on each node is not charged for them.
func (s *State) unknownNodes(w *workload.Workload) []string {
	if !w.PerNode() || len(s.Snapshot.Nodes) > 0 {
		return nil
	}
	return []string{fmt.Sprintf("no nodes are known: %s has a pod on each eligible one, of which none is judged here", w)}
}

// injectors are the labels and annotations, of a pod or of its namespace, by which a
// service mesh adds a container to pods, and what those say that want one.
var injectors = []struct {
	key, mesh string
	values    []string // nil for any
}{
	{"sidecar.istio.io/inject", "Istio", []string{"true"}},
	{"istio-injection", "Istio", []string{"enabled"}},
	{"istio.io/rev", "Istio", nil},
	{"linkerd.io/inject", "Linkerd", []string{"enabled", "ingress"}},
	{"config.linkerd.io/inject", "Linkerd", []string{"enabled", "ingress"}},
	{"consul.hashicorp.com/connect-inject", "Consul", []string{"true"}},
	{"kuma.io/sidecar-injection", "Kuma", []string{"enabled", "true"}},
	{"dapr.io/enabled", "Dapr", []string{"true"}},
	{"vault.hashicorp.com/agent-inject", "Vault", []string{"true"}},
}

// injected says who adds containers to the workload's pods, which are charged once the
// pods are there.
func (s *State) injected(w *workload.Workload) []string {
	var asked []map[string]string
	for _, set := range w.PodSets {
		asked = append(asked, set.Template.Labels, set.Template.Annotations)
	}
	if namespace := s.Snapshot.Namespace(w.Namespace); namespace != nil && len(w.PodSets) > 0 {
		asked = append(asked, namespace.Labels, namespace.Annotations)
	}
	var notes []string
	for _, injector := range injectors {
		if slices.ContainsFunc(asked, func(given map[string]string) bool { return wants(given, injector.key, injector.values) }) {
			notes = append(notes, fmt.Sprintf("%s is asked to inject a container (%s): what it asks for is not judged here, and charged once the pods have it", injector.mesh, injector.key))
		}
	}
	return notes
}

func wants(given map[string]string, key string, values []string) bool {
	value, ok := given[key]
	return ok && (values == nil || slices.Contains(values, value))
}
