package workload

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// template is the set's pod template, with what the controller adds to it, and the path
// from root at which it stands.
func (p *PodSetPaths) template(root scope) (template *corev1.PodTemplateSpec, path string, err error) {
	switch {
	case p.Template != "":
		template, path, err = p.declared(root.place)
	case p.Resources != "":
		template, err = p.templateOf(root.place)
	default:
		template = &corev1.PodTemplateSpec{}
		if len(p.Amounts) > 0 {
			template, err = p.templateOfAmounts(root)
		}
	}
	if err != nil {
		return nil, "", err
	}
	if err := p.label(template, root.place); err != nil {
		return nil, "", err
	}
	for _, container := range p.Containers {
		if err := container.addTo(&template.Spec, root); err != nil {
			return nil, "", err
		}
	}
	return template, path, nil
}

// declared reads the template at Template or TemplateDefault, and says where it stands.
func (p *PodSetPaths) declared(root place) (template *corev1.PodTemplateSpec, path string, err error) {
	for _, path := range []string{p.Template, p.TemplateDefault} {
		if path == "" {
			continue
		}
		fields, err := root.object(path)
		if err != nil {
			return nil, "", err
		}
		if fields == nil {
			continue
		}
		template = &corev1.PodTemplateSpec{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, template); err != nil {
			return nil, "", root.errorf(path, "expected a pod template: %v", reason[corev1.PodTemplateSpec](fields, err))
		}
		if where := negative(&template.Spec); where != "" {
			return nil, "", root.errorf(path, "%s is negative: expected 0 or more", where)
		}
		return template, path, nil
	}
	return nil, "", root.errorf(p.Template, "expected a pod template, found none")
}

// templateOf is a template of one container with the resources at Resources.
func (p *PodSetPaths) templateOf(root place) (*corev1.PodTemplateSpec, error) {
	fields, err := root.object(p.Resources)
	if err != nil {
		return nil, err
	}
	container := corev1.Container{Name: p.Name}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &container.Resources); err != nil {
		return nil, root.errorf(p.Resources, "expected resources: %v", reason[corev1.ResourceRequirements](fields, err))
	}
	spec := corev1.PodSpec{Containers: []corev1.Container{container}}
	if where := negative(&spec); where != "" {
		return nil, root.errorf(p.Resources, "%s is negative: expected 0 or more", where)
	}
	return &corev1.PodTemplateSpec{Spec: spec}, nil
}

// label gives the template the labels at Labels.
func (p *PodSetPaths) label(template *corev1.PodTemplateSpec, root place) error {
	if p.Labels == "" {
		return nil
	}
	labels, err := root.object(p.Labels)
	if err != nil || labels == nil {
		return err
	}
	template.Labels = map[string]string{}
	for key, value := range labels {
		text, ok := value.(string)
		if !ok {
			return root.errorf(p.Labels, "%s: expected a string, found %s", key, typeName(value))
		}
		template.Labels[key] = text
	}
	return nil
}

// addTo adds the container to a pod, where it is to be there.
func (c *Container) addTo(spec *corev1.PodSpec, root scope) error {
	if holds, err := root.holds(c.When); !holds || err != nil {
		return err
	}
	added := corev1.Container{Name: c.Name, Resources: *c.Default.DeepCopy()}
	if c.Resources != "" {
		fields, err := root.object(c.Resources)
		if err != nil {
			return err
		}
		if fields != nil {
			added.Resources = corev1.ResourceRequirements{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &added.Resources); err != nil {
				return root.errorf(c.Resources, "expected resources: %v", reason[corev1.ResourceRequirements](fields, err))
			}
		}
	}
	if where := negative(&corev1.PodSpec{Containers: []corev1.Container{added}}); where != "" {
		return root.errorf(c.Resources, "%s is negative: expected 0 or more", where)
	}
	spec.Containers = append(spec.Containers, added)
	return nil
}

// negative names a resource of the pod's that is below 0; "" when none is. The API
// server validates the templates of its own kinds only.
func negative(spec *corev1.PodSpec) string {
	lists := map[string]corev1.ResourceList{"overhead": spec.Overhead}
	if spec.Resources != nil {
		lists["resources.requests"], lists["resources.limits"] = spec.Resources.Requests, spec.Resources.Limits
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, container := range containers {
			lists["requests of container "+container.Name] = container.Resources.Requests
			lists["limits of container "+container.Name] = container.Resources.Limits
		}
	}
	for _, where := range slices.Sorted(maps.Keys(lists)) {
		for name, quantity := range lists[where] {
			if quantity.Sign() < 0 {
				return fmt.Sprintf("%s[%s]", where, name)
			}
		}
	}
	return ""
}

// reason is why fields are no T, by the first field that is not one's; err where that does
// not show.
func reason[T any](fields map[string]any, err error) error {
	return cmp.Or(snapshot.FieldError(fields, reflect.TypeFor[T]()), err)
}
