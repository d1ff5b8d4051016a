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
	for resource, versions := range guarded(configuration) {
		if err := countTied(ctx, client, resource, versions, found); err != nil {
			return nil, fmt.Errorf("%s: %w", resource, err)
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

// guarded are the resources of workload kinds that a configuration has entries for, with
// their versions.
func guarded(configuration *admissionv1.ValidatingWebhookConfiguration) map[schema.GroupResource][]string {
	found := map[schema.GroupResource][]string{}
	for _, webhook := range configuration.Webhooks {
		if service := webhook.ClientConfig.Service; service == nil || service.Path == nil || !strings.HasSuffix(*service.Path, PathWorkload) {
			continue
		}
		for _, rule := range webhook.Rules {
			for _, resource := range rule.Resources {
				if !strings.Contains(resource, "/") {
					found[schema.GroupResource{Group: rule.APIGroups[0], Resource: resource}] = rule.APIVersions
				}
			}
		}
	}
	return found
}

// countTied counts the objects of a resource that name a group, in the namespaces of
// found, by the first version that is served.
func countTied(ctx context.Context, client metadata.Interface, resource schema.GroupResource, versions []string, found map[string]int) error {
	for _, version := range versions {
		err := countVersion(ctx, client.Resource(resource.WithVersion(version)), found)
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func countVersion(ctx context.Context, client metadata.Getter, found map[string]int) error {
	for next := ""; ; {
		list, err := client.List(ctx, metav1.ListOptions{LabelSelector: stowagev1alpha1.GroupLabel, Limit: groupsPage, Continue: next})
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
