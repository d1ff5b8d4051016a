package quota

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// subject is one object to judge: a group, a workload of kind, or an autoscaler.
type subject struct {
	object snapshot.Object
	kind   *workload.Kind
	// scaled says that only the number of replicas is another.
	scaled bool
}

// group is the subject as a group; nil for a workload.
func (s subject) group() *quota.Group {
	group, _ := s.object.(*quota.Group)
	return group
}

// autoscaler is the subject as an autoscaler; nil for none.
func (s subject) autoscaler() *unstructured.Unstructured {
	content, ok := s.object.(*unstructured.Unstructured)
	if ok && quota.IsAutoscaler(content.GroupVersionKind().GroupKind()) {
		return content
	}
	return nil
}

// readManifests reads the groups and workloads of files, in their order. An object
// without a namespace gets this one.
func readManifests(env cli.Env, files resource.FilenameOptions, kinds *workload.Kinds, namespace string) ([]subject, error) {
	manifests, err := cli.ManifestReader{
		Files: files, Workloads: kinds, Namespace: namespace,
		Also:     func(kind snapshot.Kind) bool { return kind.Kind == stowagev1alpha1.BizGroupResourceQuotaKind },
		Plain:    quota.IsAutoscaler,
		Ignored:  "no workload and no business group",
		Stranger: func(object *unstructured.Unstructured) bool { return state.IsStranger(kinds, object) },
	}.Read(env)
	if err != nil {
		return nil, err
	}
	if len(manifests) == 0 {
		return nil, fmt.Errorf("%v: no workload and no business group found", files.Filenames)
	}
	subjects := make([]subject, len(manifests))
	for i, manifest := range manifests {
		subjects[i] = subject{object: manifest.Object, kind: manifest.Workload}
	}
	return subjects, nil
}

// findScalable finds the workload that TYPE/NAME names in a namespace, of a kind
// that has a number of replicas.
func findScalable(groups *state.State, argument, namespace string) (subject, error) {
	target, err := parseScalable(groups.Kinds, argument)
	if err != nil {
		return subject{}, err
	}
	found, err := cli.Find(groups.Snapshot, namespace, target)
	if err != nil {
		return subject{}, err
	}
	return subject{object: found[0], kind: target.Workload}, nil
}

// parseScalable reads TYPE/NAME, of a kind that has a number of replicas.
func parseScalable(kinds *workload.Kinds, argument string) (cli.Target, error) {
	target, err := cli.ParseTarget(kinds, argument)
	if err != nil {
		return target, err
	}
	if _, ok := target.Workload.ReplicasPath(); !ok {
		return target, fmt.Errorf("--replicas: a %s has no single number of replicas", target.Workload.Kind)
	}
	return target, nil
}

// scaledTo is a copy of a scalable workload with that number of replicas.
func (s subject) scaledTo(replicas int64) (subject, error) {
	path, _ := s.kind.ReplicasPath()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.object.DeepCopyObject())
	if err != nil {
		return subject{}, err
	}
	if err := unstructured.SetNestedField(content, replicas, path...); err != nil {
		return subject{}, fmt.Errorf("--replicas: %w", err)
	}
	return subject{object: &unstructured.Unstructured{Object: content}, kind: s.kind, scaled: true}, nil
}
