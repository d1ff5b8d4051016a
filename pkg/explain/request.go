package explain

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// lowerRequest lowers what the pod asks of a resource to exactly what is free, by
// the edits that change the fewest containers. False when nothing above zero
// would fit, or when the pod's shape does not let it (a count of pods, pod-level
// resources below the containers' sum).
func lowerRequest(pod *corev1.Pod, short shortage) (atom, bool) {
	free := short.free()
	if short.resource == corev1.ResourcePods || free <= 0 || short.requested <= free {
		return atom{}, false
	}
	name := short.resource
	ops, ok := lowered(&pod.Spec, name, free)
	if !ok {
		return atom{}, false
	}
	return atom{
		kind: report.RemedyLowerRequest, key: lowerKey(name), disturbance: disturbRequest,
		loss: short.loss(),
		what: loweredKey(pod, name, ops, short.requested, free),
		text: loweredText(pod, name, ops, short.requested, free),
		spec: func(spec *corev1.PodSpec) []op {
			ops, _ := lowered(spec, name, free)
			return ops
		},
	}, true
}

func lowerKey(name corev1.ResourceName) string { return "lower " + string(name) }

// loweredText names the pod's amounts, and what to set where a single container's
// request is not all that the pod asks.
func loweredText(pod *corev1.Pod, name corev1.ResourceName, ops []op, requested, free int64) string {
	text := fmt.Sprintf("lower the request for %s from %s to %s", name, formatAmount(name, requested), formatAmount(name, free))
	var parts []string
	for _, set := range setRequests(pod, ops) {
		parts = append(parts, set.container+" to "+set.value)
	}
	if len(parts) == 0 {
		return text
	}
	return text + " (" + strings.Join(parts, ", ") + ")"
}

// loweredKey is "cpu:5:4", the amounts before and after, with "container a=2" for
// each of several containers that change.
func loweredKey(pod *corev1.Pod, name corev1.ResourceName, ops []op, requested, free int64) string {
	parts := []string{string(name), formatAmount(name, requested), formatAmount(name, free)}
	for _, set := range setRequests(pod, ops) {
		parts = append(parts, set.container+"="+set.value)
	}
	return strings.Join(parts, ":")
}

// containerRequest is a container's request as an operation sets it.
type containerRequest struct{ container, value string }

// setRequests are the requests that the operations set, none where one container's
// request is all that the pod asks.
func setRequests(pod *corev1.Pod, ops []op) []containerRequest {
	if len(pod.Spec.Containers)+len(pod.Spec.InitContainers) == 1 && len(pod.Spec.Overhead) == 0 {
		return nil
	}
	var set []containerRequest
	for _, o := range ops {
		if value, ok := o.Value.(string); ok && strings.Contains(o.Path, "/requests/") {
			set = append(set, containerRequest{containerAt(&pod.Spec, o.Path), value})
		}
	}
	return set
}

// containerAt names the container that a path below the pod spec leads into.
func containerAt(spec *corev1.PodSpec, path string) string {
	for i := range spec.Containers {
		if strings.HasPrefix(path, pointer("containers", i)+"/") {
			return "container " + spec.Containers[i].Name
		}
	}
	for i := range spec.InitContainers {
		if strings.HasPrefix(path, pointer("initContainers", i)+"/") {
			return "init container " + spec.InitContainers[i].Name
		}
	}
	return "the pod"
}

// lowered returns the operations after which the spec's effective request for the
// resource is at most free (in the resource's unit, see shortage). The
// effective request is, as in component-helpers, overhead + the larger of the
// containers' and sidecars' sum and every init container's peak.
func lowered(spec *corev1.PodSpec, name corev1.ResourceName, free int64) ([]op, bool) {
	allowed := free - amount(spec.Overhead, name)
	if spec.Resources != nil {
		if own, ok := spec.Resources.Requests[name]; ok {
			return lowerPodLevel(spec, name, own, allowed)
		}
	}
	sum, largest, place := containerSum(spec, name)
	var ops []op
	if excess := sum - allowed; excess > 0 {
		if largest <= excess {
			return nil, false
		}
		ops = append(ops, setRequest(place.path, place.resources, name, largest-excess)...)
	}
	sidecars := int64(0)
	for i := range spec.InitContainers {
		container := &spec.InitContainers[i]
		request := amount(requestsOf(container), name)
		if isSidecar(container) {
			sidecars += request
			continue
		}
		if sidecars+request <= allowed {
			continue
		}
		if allowed-sidecars <= 0 {
			return nil, false
		}
		ops = append(ops, setRequest(pointer("initContainers", i, "resources"), &container.Resources, name, allowed-sidecars)...)
	}
	return ops, len(ops) > 0
}

// containerPlace is where a container's resources are.
type containerPlace struct {
	path      string
	resources *corev1.ResourceRequirements
}

// containerSum sums containers and sidecars and finds the container that asks most.
func containerSum(spec *corev1.PodSpec, name corev1.ResourceName) (sum, largest int64, place containerPlace) {
	for i := range spec.InitContainers {
		if isSidecar(&spec.InitContainers[i]) {
			sum += amount(requestsOf(&spec.InitContainers[i]), name)
		}
	}
	for i := range spec.Containers {
		request := amount(requestsOf(&spec.Containers[i]), name)
		sum += request
		if request > largest {
			largest, place = request, containerPlace{pointer("containers", i, "resources"), &spec.Containers[i].Resources}
		}
	}
	return sum, largest, place
}

func lowerPodLevel(spec *corev1.PodSpec, name corev1.ResourceName, own resource.Quantity, allowed int64) ([]op, bool) {
	sum := resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *spec}, resourcehelper.PodResourcesOptions{})
	if allowed <= 0 || amount(sum, name) > allowed {
		return nil, false
	}
	return setRequest("/resources", spec.Resources, name, allowed), own.Sign() > 0
}

// setRequest sets a request below a resources object, and the limit with it where
// the API demands that both are equal (extended resources, huge pages).
func setRequest(path string, resources *corev1.ResourceRequirements, name corev1.ResourceName, value int64) []op {
	text := formatAmount(name, value)
	from := ""
	if old, ok := resources.Requests[name]; ok {
		from = old.String()
	}
	var ops []op
	if len(resources.Requests) == 0 {
		ops = append(ops, op{Op: report.OpAdd, Path: path + "/requests", Value: map[string]string{string(name): text}})
	} else {
		ops = append(ops, op{Op: report.OpAdd, Path: path + "/requests" + pointer(name), Value: text, from: from})
	}
	if _, limited := resources.Limits[name]; limited && limitMustEqual(name) {
		ops = append(ops, op{Op: report.OpAdd, Path: path + "/limits" + pointer(name), Value: text, from: from})
	}
	return ops
}

func limitMustEqual(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return false
	}
	return true
}
