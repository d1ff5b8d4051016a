package explain

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// templateOps carries a pod's verified operations over to the template that it was
// made from. The two differ by what admission did: defaults, tolerations, injected
// containers, a LimitRange's requests. So containers are found by name, requests
// keep the pod's verified value, and false is given when an operation has no place
// in the template: then no patch of it is certain to do the same.
func templateOps(pod, template *corev1.PodSpec, ops []op) ([]op, bool) {
	if !sameLists(pod, template) {
		return nil, false
	}
	requests := map[string]map[string]any{}
	var carried []op
	for _, o := range ops {
		if strings.HasPrefix(o.Path, "/containers/") || strings.HasPrefix(o.Path, "/initContainers/") {
			moved, resources, ok := inTemplate(pod, template, o)
			if !ok {
				return nil, false
			}
			if resources != nil {
				if o, ok = intoResources(moved, resources, requests); !ok {
					continue
				}
			} else {
				o = moved
			}
		}
		if o.Path == "/tolerations/-" && len(template.Tolerations) == 0 {
			o = op{Op: o.Op, Path: "/tolerations", Value: []any{o.Value}}
			template = template.DeepCopy()
			template.Tolerations = []corev1.Toleration{{}} // The next one is appended.
		}
		carried = append(carried, o)
	}
	return carried, true
}

// sameLists says whether the lists that operations index into are as long in both:
// admission appends to none of them but by a webhook.
func sameLists(pod, template *corev1.PodSpec) bool {
	lengths := func(spec *corev1.PodSpec) (n [4]int) {
		n[0] = len(spec.TopologySpreadConstraints)
		if spec.Affinity == nil {
			return n
		}
		if a := spec.Affinity.PodAffinity; a != nil {
			n[1] = len(a.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a := spec.Affinity.PodAntiAffinity; a != nil {
			n[2] = len(a.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a := spec.Affinity.NodeAffinity; a != nil && a.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			n[3] = len(a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms)
		}
		return n
	}
	return lengths(pod) == lengths(template)
}

// inTemplate moves an operation on a container to the container of the same name,
// and returns that one's resources when the operation is on them.
func inTemplate(pod, template *corev1.PodSpec, o op) (op, *corev1.ResourceRequirements, bool) {
	parts := strings.SplitN(o.Path, "/", 4) // "", list, index, rest
	index, err := strconv.Atoi(parts[2])
	if err != nil || len(parts) < 4 {
		return o, nil, false
	}
	from, to := pod.Containers, template.Containers
	if parts[1] == "initContainers" {
		from, to = pod.InitContainers, template.InitContainers
	}
	for i := range to {
		if index < len(from) && to[i].Name == from[index].Name {
			o.Path = pointer(parts[1], i) + "/" + parts[3]
			if strings.HasPrefix(parts[3], "resources/") {
				return o, &to[i].Resources, true
			}
			return o, nil, true
		}
	}
	return o, nil, false
}

// intoResources fits an operation on ".../resources/requests/NAME" (or limits) to
// resources that may lack the map, or all: the first one makes it, the next ones add to
// the same value. False when the operation needs no place of its own.
func intoResources(o op, resources *corev1.ResourceRequirements, made map[string]map[string]any) (op, bool) {
	at := strings.LastIndexByte(o.Path, '/')
	list, name := o.Path[:at], strings.NewReplacer("~1", "/", "~0", "~").Replace(o.Path[at+1:])
	existing := resources.Requests
	if strings.HasSuffix(list, "/limits") {
		existing = resources.Limits
	}
	if len(existing) > 0 {
		return o, true
	}
	if values, ok := made[list]; ok {
		values[name] = o.Value
		return op{}, false
	}
	made[list] = map[string]any{name: o.Value}
	if len(resources.Requests)+len(resources.Limits)+len(resources.Claims) > 0 {
		return op{Op: report.OpAdd, Path: list, Value: made[list]}, true
	}
	at = strings.LastIndexByte(list, '/')
	all, field := list[:at], list[at+1:]
	if values, ok := made[all]; ok {
		values[field] = made[list]
		return op{}, false
	}
	made[all] = map[string]any{field: made[list]}
	return op{Op: report.OpAdd, Path: all, Value: made[all]}, true
}

// planned is a set of pods of a workload of -f.
type planned struct {
	*owner.Workload
	set *workload.PodSet
}

// specPath leads to the pod spec in the object, as a JSON pointer.
func (p planned) specPath() string { return specPath(p.set) }

func specPath(set *workload.PodSet) string {
	parts := make([]any, 0, len(set.TemplatePath)+1)
	for _, field := range set.TemplatePath {
		parts = append(parts, field)
	}
	return pointer(append(parts, "spec")...)
}
