package quota

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// subject is one object to judge: a group, or a workload of kind.
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

// readManifests reads the groups and workloads of files, in their order, as kubectl
// does, without a server. An object without a namespace gets this one.
func readManifests(env cli.Env, files resource.FilenameOptions, kinds *workload.Kinds, namespace string) ([]subject, error) {
	infos, err := decodeFiles(env, files)
	if err != nil {
		return nil, err
	}
	var subjects []subject
	for _, info := range infos {
		s, err := readManifest(info, kinds)
		switch {
		case errors.Is(err, errNoCharge):
			cli.Warn(env.ErrOut, []string{fmt.Sprintf("%s: %v", info.Source, err)})
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", info.Source, err)
		}
		if s.kind != nil && s.object.GetNamespace() == "" {
			s.object.SetNamespace(namespace)
		}
		subjects = append(subjects, s)
	}
	if len(subjects) == 0 {
		return nil, fmt.Errorf("%v: no workload and no business group found", files.Filenames)
	}
	return subjects, nil
}

func decodeFiles(env cli.Env, files resource.FilenameOptions) ([]*resource.Info, error) {
	builder := resource.NewLocalBuilder().Unstructured()
	if i := slices.Index(files.Filenames, "-"); i >= 0 {
		files.Filenames = slices.Delete(slices.Clone(files.Filenames), i, i+1)
		builder = builder.Stream(env.In, "STDIN")
	}
	if len(files.Filenames) > 0 || files.Kustomize != "" {
		builder = builder.FilenameParam(false, &files)
	}
	return builder.Flatten().Do().Infos()
}

// errNoCharge is of an object that charges no quota.
var errNoCharge = errors.New("is ignored: no workload and no business group")

// readManifest gives a decoded object its Go type, strictly where it has one: a
// field that does not exist would otherwise be ignored, and the verdict be one on
// another object.
func readManifest(info *resource.Info, kinds *workload.Kinds) (subject, error) {
	content, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return subject{}, errors.New("expected a Kubernetes object")
	}
	gvk := content.GroupVersionKind()
	name := fmt.Sprintf("%s %q", gvk.Kind, content.GetName())
	s := subject{object: content, kind: kinds.Of(gvk.GroupKind())}
	isGroup := gvk.Group == stowagev1alpha1.GroupName && gvk.Kind == stowagev1alpha1.BizGroupResourceQuotaKind
	if s.kind == nil && !isGroup {
		return subject{}, fmt.Errorf("%s %w", name, errNoCharge)
	}
	if s.kind != nil && s.kind.Version != gvk.Version {
		return subject{}, fmt.Errorf("%s: apiVersion %q, expected %q", name, gvk.GroupVersion(), s.kind.GroupVersionKind().GroupVersion())
	}
	for _, known := range snapshot.Kinds() {
		if known.GroupVersionKind != gvk || !known.Typed() {
			continue
		}
		s.object = known.New()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content.Object, s.object, true); err != nil {
			return subject{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if isGroup && s.group() == nil {
		return subject{}, fmt.Errorf("%s: apiVersion %q, expected %q", name, gvk.GroupVersion(), stowagev1alpha1.GroupVersion)
	}
	return s, nil
}

// shortNames are those that the API server publishes for workload kinds, by plural.
func shortNames() map[string]string {
	return map[string]string{
		"deploy": "deployments", "sts": "statefulsets", "rs": "replicasets", "ds": "daemonsets",
		"rc": "replicationcontrollers", "po": "pods", "cj": "cronjobs",
		"ro": "rollouts", "lws": "leaderworkersets",
	}
}

// findScalable finds the workload that TYPE/NAME names in a namespace, of a kind
// that has a number of replicas.
func findScalable(groups *state.State, argument, namespace string) (subject, error) {
	typeName, name, ok := strings.Cut(argument, "/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return subject{}, fmt.Errorf("%q: expected TYPE/NAME, such as deployment/web", argument)
	}
	var names []string
	for _, kind := range groups.Kinds.All() {
		names = append(names, kind.Resource)
		if !isNamed(kind, strings.ToLower(typeName)) {
			continue
		}
		if _, ok := kind.ReplicasPath(); !ok {
			return subject{}, fmt.Errorf("--replicas: a %s has no single number of replicas", kind.Kind)
		}
		var near []string
		for _, object := range groups.Objects(kind) {
			switch {
			case object.GetNamespace() != namespace:
			case object.GetName() == name:
				return subject{object: object, kind: kind}, nil
			default:
				near = append(near, object.GetName())
			}
		}
		return subject{}, fmt.Errorf("%s %q not found in namespace %q%s", kind.GroupResource(), name, namespace, nearest.DidYouMean(name, near))
	}
	slices.Sort(names)
	return subject{}, fmt.Errorf("%q: unknown workload type %q, expected one of %s%s", argument, typeName, strings.Join(names, ", "), nearest.DidYouMean(typeName, names))
}

// isNamed says whether a type's name, in lower case, is the kind's.
func isNamed(kind *workload.Kind, name string) bool {
	if plural, ok := shortNames()[name]; ok {
		name = plural
	}
	return slices.Contains([]string{kind.Resource, strings.ToLower(kind.Kind), kind.GroupResource().String(), kind.Singular()}, name)
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
