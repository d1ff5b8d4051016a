package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// forbidsGroups says whether the groups may not be listed.
func forbidsGroups(snap *snapshot.Snapshot) bool {
	return slices.ContainsFunc(snap.Missing, func(m snapshot.Missing) bool {
		return m.Resource == groupResource && m.Reason == snapshot.Forbidden
	})
}

// getGroups adds the groups of these names, and of their ancestors those that may be
// read, to a snapshot of a cluster whose groups may not be listed. What stays unknown
// is told on stderr; that none of them may be read is left to the snapshot to say.
func getGroups(ctx context.Context, env cli.Env, snap *snapshot.Snapshot, names []string) error {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	seen := map[string]bool{"": true}
	for next := slices.Clone(names); len(next) > 0; next = next[1:] {
		name := next[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		object, err := client.Resource(groupsResource()).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		group := &quota.Group{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, group); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
		snap.BizGroupResourceQuotas = append(snap.BizGroupResourceQuotas, group)
		next = append(next, group.Spec.ParentBizGroup)
	}
	slices.SortFunc(snap.BizGroupResourceQuotas, func(a, b *quota.Group) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
