package whypending

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// readManifests reads the files of -f. It returns their pods and workloads, and
// puts what comes with these (claims, priority classes, services) into the
// snapshot, so that it counts as if it were applied.
func (o *Options) readManifests(snap *snapshot.Snapshot) ([]runtime.Object, error) {
	infos, err := o.decode()
	if err != nil {
		return nil, err
	}
	var planned []runtime.Object
	for _, info := range infos {
		kind, object, err := o.typed(info)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Source, err)
		}
		switch {
		case object == nil:
			continue
		case cli.HasPods(kind):
			planned = append(planned, object)
		default:
			kind.Add(snap, object)
		}
	}
	snap.Sort()
	if len(planned) == 0 {
		return nil, fmt.Errorf("%v: no pod and no workload found, expected one of %v", o.Files.Filenames, cli.PodKinds())
	}
	return planned, nil
}

// decode reads the files as kubectl does, without a server.
func (o *Options) decode() ([]*resource.Info, error) {
	files := o.Files
	builder := resource.NewLocalBuilder().Unstructured()
	if i := slices.Index(files.Filenames, "-"); i >= 0 {
		files.Filenames = slices.Delete(slices.Clone(files.Filenames), i, i+1)
		builder = builder.Stream(o.In, "STDIN")
	}
	if len(files.Filenames) > 0 || files.Kustomize != "" {
		builder = builder.FilenameParam(false, &files)
	}
	return builder.Flatten().Do().Infos()
}

// typed turns a decoded object into its Go type, strictly: a field that does not
// exist would otherwise be ignored, and the verdict be one on another pod. The
// object is nil, and a warning written, for a kind that Stowage does not read.
func (o *Options) typed(info *resource.Info) (snapshot.Kind, snapshot.Object, error) {
	content, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return snapshot.Kind{}, nil, errors.New("expected a Kubernetes object")
	}
	gvk := content.GroupVersionKind()
	for _, kind := range snapshot.Kinds() {
		if kind.GroupKind() != gvk.GroupKind() || !kind.Typed() {
			continue
		}
		if kind.Version != gvk.Version {
			return kind, nil, fmt.Errorf("%s %q: apiVersion %q, expected %q", gvk.Kind, content.GetName(), gvk.GroupVersion(), kind.GroupVersion())
		}
		object := kind.New()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content.Object, object, true); err != nil {
			return kind, nil, fmt.Errorf("%s %q: %w", gvk.Kind, content.GetName(), err)
		}
		o.place(kind, object)
		return kind, object, nil
	}
	fmt.Fprintf(o.ErrOut, "Warning: %s: %s %q is ignored: not a kind that places pods\n", info.Source, gvk.Kind, content.GetName())
	return snapshot.Kind{}, nil, nil
}

// place puts a namespaced object without a namespace where it would be applied.
func (o *Options) place(kind snapshot.Kind, object snapshot.Object) {
	if !kind.Namespaced || object.GetNamespace() != "" {
		return
	}
	object.SetNamespace(o.namespace)
	if o.namespace == "" {
		object.SetNamespace(corev1.NamespaceDefault)
	}
}
