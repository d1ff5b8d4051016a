package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// Outside says, in one line each, which namespaces have workloads that name a group and
// take no part: those charge it, may not grow, and may be scaled without being asked
// about. The kinds are those of the webhook configuration.
func Outside(ctx context.Context, config *rest.Config) ([]string, error) {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	configuration, err := typed.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, WebhookName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	namespaces, err := typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := map[string]int{} // workloads, by namespace that takes no part
	for i := range namespaces.Items {
		if namespace := &namespaces.Items[i]; !quota.TakesPart(namespace.Labels) {
			found[namespace.Name] = 0
		}
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	for _, resource := range guarded(configuration) {
		if err := countTied(ctx, client.Resource(resource), found); err != nil {
			return nil, fmt.Errorf("%s: %w", resource.GroupResource(), err)
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if n := found[name]; n > 0 {
			lines = append(lines, fmt.Sprintf("namespace %s: takes no part in quota, and %d objects there name a group: kubectl quota enable %s", name, n, name))
		}
	}
	return lines, nil
}

// guarded are the resources of workload kinds that a configuration has entries for.
func guarded(configuration *admissionv1.ValidatingWebhookConfiguration) []schema.GroupVersionResource {
	seen := map[schema.GroupVersionResource]bool{}
	for _, webhook := range configuration.Webhooks {
		if path := webhook.ClientConfig.Service; path == nil || path.Path == nil || !strings.HasSuffix(*path.Path, PathWorkload) {
			continue
		}
		for _, rule := range webhook.Rules {
			for _, resource := range rule.Resources {
				if !strings.Contains(resource, "/") {
					seen[schema.GroupVersionResource{Group: rule.APIGroups[0], Version: rule.APIVersions[0], Resource: resource}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b schema.GroupVersionResource) int { return strings.Compare(a.String(), b.String()) })
}

// countTied counts the objects of a resource that name a group, in the namespaces of
// found. A resource that is not served has none.
func countTied(ctx context.Context, client metadata.Getter, found map[string]int) error {
	for next := ""; ; {
		list, err := client.List(ctx, metav1.ListOptions{LabelSelector: stowagev1alpha1.GroupLabel, Limit: groupsPage, Continue: next})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			if n, outside := found[list.Items[i].Namespace]; outside {
				found[list.Items[i].Namespace] = n + 1
			}
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}
