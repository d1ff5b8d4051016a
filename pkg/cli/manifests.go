package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Manifest is one object of a file.
type Manifest struct {
	// Object has its Go type where a snapshot has one for it, and is else unstructured.
	Object snapshot.Object
	// Workload is its kind as a workload's; nil for an object that is none.
	Workload *workload.Kind
}

// ManifestReader says how the files of -f are read.
type ManifestReader struct {
	Files resource.FilenameOptions
	// Workloads are the kinds that are read as workloads, Also the further ones of a
	// snapshot that are read.
	Workloads *workload.Kinds
	Also      func(snapshot.Kind) bool
	// Plain are further kinds that are read as they stand, in any version; nil for none.
	Plain func(schema.GroupKind) bool
	// Stranger says of an object of another kind that it is read nevertheless; nil for
	// none.
	Stranger func(*unstructured.Unstructured) bool
	// Ignored says on stderr why an object of another kind is ignored.
	Ignored string
	// Namespace is that of objects which name none; empty for "default".
	Namespace string
}

// Read reads the objects of the files in their order, as kubectl does and without a
// server. Errors name the file and the object.
func (r ManifestReader) Read(env Env) ([]Manifest, error) {
	infos, err := r.decode(env)
	if err != nil {
		return nil, err
	}
	var manifests []Manifest
	for _, info := range infos {
		content, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("%s: expected a Kubernetes object, found %T", info.Source, info.Object)
		}
		name := fmt.Sprintf("%s: %s %q", info.Source, content.GetKind(), content.GetName())
		manifest, err := r.typed(content)
		switch {
		case errors.Is(err, errIgnored) && r.Stranger != nil && r.Stranger(content):
			content.SetNamespace(cmp.Or(content.GetNamespace(), r.Namespace, corev1.NamespaceDefault))
		case errors.Is(err, errIgnored):
			name = fmt.Sprintf("%s: %s %q", info.Source, content.GroupVersionKind().GroupKind(), content.GetName())
			Warn(env.ErrOut, []string{fmt.Sprintf("%s is ignored: %s", name, r.Ignored)})
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		manifests = append(manifests, manifest)
	}
	return manifests, nil
}

// decode reads the files without a look at what they hold.
func (r ManifestReader) decode(env Env) ([]*resource.Info, error) {
	files := r.Files
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

// errIgnored is of an object of a kind that is not read.
var errIgnored = errors.New("not a kind that is read")

// typed gives an object its Go type, strictly where there is one: a field that does
// not exist would otherwise be ignored, and the verdict be one on another object.
func (r ManifestReader) typed(content *unstructured.Unstructured) (Manifest, error) {
	gvk := content.GroupVersionKind()
	manifest := Manifest{Object: content, Workload: r.Workloads.Of(gvk.GroupKind())}
	if r.Plain != nil && r.Plain(gvk.GroupKind()) {
		content.SetNamespace(cmp.Or(content.GetNamespace(), r.Namespace, corev1.NamespaceDefault))
		return manifest, nil
	}
	kind, known := snapshot.Known(gvk.GroupKind())
	if manifest.Workload == nil && (!known || !r.Also(kind)) {
		return manifest, errIgnored
	}
	versions, namespaced := []string{kind.Version}, kind.Namespaced
	if manifest.Workload != nil {
		versions, namespaced = manifest.Workload.AllVersions(), true
	}
	if !slices.Contains(versions, gvk.Version) {
		return manifest, fmt.Errorf("apiVersion %q, expected %s", gvk.GroupVersion(), apiVersions(gvk.Group, versions))
	}
	if known && kind.Typed() && kind.GroupVersionKind == gvk {
		manifest.Object = kind.New()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content.Object, manifest.Object, true); err != nil {
			return manifest, err
		}
	}
	if namespaced && content.GetNamespace() == "" {
		manifest.Object.SetNamespace(cmp.Or(r.Namespace, corev1.NamespaceDefault))
	}
	return manifest, nil
}

// apiVersions are a group's versions as an error lists them: "kubeflow.org/v1" or ....
func apiVersions(group string, versions []string) string {
	var quoted []string
	for _, version := range versions {
		quoted = append(quoted, strconv.Quote(schema.GroupVersion{Group: group, Version: version}.String()))
	}
	return strings.Join(quoted, " or ")
}
