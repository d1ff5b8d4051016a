package cli

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
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
		contents, err := flatten("", info.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Source, err)
		}
		for _, content := range contents {
			name := fmt.Sprintf("%s: %s %q", info.Source, content.GetKind(), objectName(content))
			manifest, err := r.typed(content)
			switch {
			case errors.Is(err, errIgnored) && r.Stranger != nil && r.Stranger(content):
				content.SetNamespace(cmp.Or(content.GetNamespace(), r.Namespace, corev1.NamespaceDefault))
			case errors.Is(err, errIgnored):
				name = fmt.Sprintf("%s: %s %q", info.Source, content.GroupVersionKind().GroupKind(), objectName(content))
				Warn(env.ErrOut, []string{fmt.Sprintf("%s is ignored: %s", name, r.Ignored)})
				continue
			case err != nil:
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			manifests = append(manifests, manifest)
		}
	}
	return manifests, nil
}

// objectName is an object's name, or what its name will begin with.
func objectName(object snapshot.Object) string {
	return cmp.Or(object.GetName(), object.GetGenerateName())
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
	return builder.Do().Infos()
}

// flatten is an object, or all those of a list and of the lists in it. path leads to it in
// the document.
func flatten(path string, object runtime.Object) ([]*unstructured.Unstructured, error) {
	content, ok := object.(runtime.Unstructured)
	switch {
	case !ok || object.GetObjectKind().GroupVersionKind().Kind == "":
		return nil, fmt.Errorf("%sexpected an object of a kind, found none", path)
	case !content.IsList():
		return []*unstructured.Unstructured{{Object: content.UnstructuredContent()}}, nil
	}
	items, _ := content.UnstructuredContent()["items"].([]any)
	var contents []*unstructured.Unstructured
	for i, item := range items {
		fields, _ := item.(map[string]any)
		further, err := flatten(fmt.Sprintf("%sitems[%d]: ", path, i), &unstructured.Unstructured{Object: fields})
		if err != nil {
			return nil, err
		}
		contents = append(contents, further...)
	}
	return contents, nil
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
			return manifest, cmp.Or(snapshot.FieldError(content.Object, reflect.TypeOf(manifest.Object)), err)
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
