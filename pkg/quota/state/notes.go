package state

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

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

// injectors are the labels and annotations, of a pod or of its namespace, by which somebody
// adds a container to pods, and the values that want one.
var injectors = []struct {
	key, who string
	wants    []string // nil for any but "false"
	// onNode says that it adds none to a pod in its node's network.
	onNode bool
}{
	{key: "sidecar.istio.io/inject", who: "Istio", wants: []string{"true"}, onNode: true},
	{key: "istio-injection", who: "Istio", wants: []string{"enabled"}, onNode: true},
	{key: "istio.io/rev", who: "Istio", onNode: true},
	{key: "linkerd.io/inject", who: "Linkerd", wants: []string{"enabled", "ingress"}, onNode: true},
	{key: "config.linkerd.io/inject", who: "Linkerd", wants: []string{"enabled", "ingress"}, onNode: true},
	{key: "consul.hashicorp.com/connect-inject", who: "Consul", wants: []string{"true"}},
	{key: "kuma.io/sidecar-injection", who: "Kuma", wants: []string{"enabled", "true"}},
	{key: "dapr.io/enabled", who: "Dapr", wants: []string{"true"}},
	{key: "vault.hashicorp.com/agent-inject", who: "Vault", wants: []string{"true"}},
	{key: "gke-gcsfuse/volumes", who: "Cloud Storage FUSE", wants: []string{"true"}},
	{key: "sidecar.opentelemetry.io/inject", who: "OpenTelemetry"},
}

// injected says who adds containers to the workload's pods, which are charged once the
// pods are there.
func (s *State) injected(w *workload.Workload) []string {
	var notes []string
	said := map[string]bool{}
	for _, set := range w.PodSets {
		refused := map[string]bool{}
		for _, given := range s.asked(w.Namespace, set.Template) {
			for _, injector := range injectors {
				value, ok := given[injector.key]
				switch wants := injector.wants == nil && value != "false" || slices.Contains(injector.wants, value); {
				case !ok || injector.onNode && set.Template.Spec.HostNetwork || refused[injector.who]:
				case !wants:
					refused[injector.who] = true // the pod's own word comes first
				case !said[injector.key]:
					said[injector.key] = true
					notes = append(notes, fmt.Sprintf("%s is asked to inject a container (%s): what it asks for is not judged here, and charged once the pods have it", injector.who, injector.key))
				}
			}
		}
	}
	return notes
}

// asked are the labels and annotations that may ask for a container, a pod's before its
// namespace's.
func (s *State) asked(namespace string, template *corev1.PodTemplateSpec) []map[string]string {
	asked := []map[string]string{template.Labels, template.Annotations}
	if of := s.Snapshot.Namespace(namespace); of != nil {
		asked = append(asked, of.Labels, of.Annotations)
	}
	return asked
}
