package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// PodCharge is what one pod charges, by canonical key: for each resource what the
// scheduler counts (init containers, sidecars, overhead and pod-level resources
// included) under "requests." and, for the resources that can be overcommitted,
// "limits."; each also with the model that the workload names for it; and one of
// "pods". A pod being resized charges the larger of what it has and what it wants.
func PodCharge(pod *corev1.Pod, models workload.Models) corev1.ResourceList {
	pod = withDefaultRequests(pod)
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{
		UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true,
	})
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	maps.DeleteFunc(limits, func(name corev1.ResourceName, _ resource.Quantity) bool { return !slices.Contains(native, name) })

	charge := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(1, resource.DecimalSI)}
	for prefix, amounts := range map[string]corev1.ResourceList{requestsPrefix: requests, limitsPrefix: limits} {
		for name, quantity := range amounts {
			if quantity.Sign() <= 0 { // nothing gives quota back
				continue
			}
			key := corev1.ResourceName(prefix) + name
			add(charge, corev1.ResourceList{key: quantity})
			if model := modelOf(name, models); model != "" { // which may be the name of another resource
				add(charge, corev1.ResourceList{key + "." + corev1.ResourceName(model): quantity})
			}
		}
	}
	return charge
}

// modelOf is the hardware model that a resource is asked of; empty for any.
func modelOf(name corev1.ResourceName, models workload.Models) string {
	switch {
	case name == corev1.ResourceCPU:
		return models.CPU
	case name == corev1.ResourceMemory:
		return models.Memory
	case strings.Contains(string(name), "/"):
		return models.GPU
	}
	return ""
}

// withDefaultRequests is pod with requests where there are only limits, as the
// API server sets them on a pod and not on a template, and with amounts that can be
// counted.
func withDefaultRequests(pod *corev1.Pod) *corev1.Pod {
	out := *pod
	out.Spec.Containers = defaultRequests(pod.Spec.Containers)
	out.Spec.InitContainers = defaultRequests(pod.Spec.InitContainers)
	out.Spec.Overhead = countable(pod.Spec.Overhead)
	if all := pod.Spec.Resources; all != nil {
		out.Spec.Resources = &corev1.ResourceRequirements{Requests: countable(all.Requests), Limits: countable(all.Limits)}
	}
	return &out
}

func defaultRequests(containers []corev1.Container) []corev1.Container {
	out := slices.Clone(containers)
	for i := range out {
		resources := &out[i].Resources
		resources.Requests, resources.Limits = countable(resources.Requests), countable(resources.Limits)
		if len(resources.Limits) == 0 {
			continue
		}
		requests := maps.Clone(resources.Limits)
		maps.Copy(requests, resources.Requests)
		resources.Requests = requests
	}
	return out
}

// Options say how a group's workloads are charged.
type Options struct {
	// Surge also charges the pods that a rolling update may add.
	Surge bool
	// Nodes are the cluster's, for workloads with a pod on each eligible node.
	Nodes []*corev1.Node
}

// Charge is what a workload charges, by canonical key: the sum over its pod sets
// of the number of pods times a pod's charge. Suspended and finished ones charge
// nothing.
func Charge(w *workload.Workload, opts Options) corev1.ResourceList {
	charge := corev1.ResourceList{}
	if w == nil || w.Suspended || w.Finished {
		return charge
	}
	for _, set := range w.PodSets {
		if pods := podsOf(set, opts); pods > 0 {
			addTimes(charge, PodCharge(podOf(set.Template), w.Models), pods)
		}
	}
	return charge
}

// podsOf is the number of pods that a set is charged for.
func podsOf(set workload.PodSet, opts Options) int64 {
	pods, surge := set.Replicas, set.Surge
	if set.PerNode {
		pods = 0
		for _, node := range opts.Nodes {
			if workload.Eligible(set.Template, node) {
				pods++
			}
		}
		surge = min(surge+(pods*set.SurgePercent+99)/100, pods) // one on a node
	}
	if opts.Surge {
		pods += surge
	}
	return pods
}

func podOf(template *corev1.PodTemplateSpec) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
}

// computeResources are those that every container must give a limit or request
// for, where a quota limits them: ResourceQuota's rule.
var computeResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// unset names what the workload's containers leave out although hard limits it,
// a line a key: "must specify limits.cpu for: main".
func unset(w *workload.Workload, hard corev1.ResourceList) []string {
	var lines []string
	for _, key := range limitedKeys(w.Models, hard) {
		var containers []string
		for _, set := range w.PodSets {
			containers = append(containers, lacking(set.Template.Spec, key)...)
		}
		if len(containers) > 0 {
			slices.Sort(containers)
			lines = append(lines, fmt.Sprintf("must specify %s for: %s", key, strings.Join(slices.Compact(containers), ",")))
		}
	}
	return lines
}

// limitedKeys are the base keys of compute resources that hard limits for a
// workload of these models, by the key itself, its model's, or either's cash.
func limitedKeys(models workload.Models, hard corev1.ResourceList) []corev1.ResourceName {
	limited := CanonicalList(hard)
	var keys []corev1.ResourceName
	for _, prefix := range []string{limitsPrefix, requestsPrefix} {
		for _, name := range computeResources {
			base := corev1.ResourceName(prefix) + name
			for _, key := range []corev1.ResourceName{base, base + "." + corev1.ResourceName(modelOf(name, models))} {
				_, now := limited[key]
				_, hours := limited[cashKey(key)]
				if now || hours {
					keys = append(keys, base)
					break
				}
			}
		}
	}
	return keys
}

// lacking names the containers that give no value for the base key.
func lacking(spec corev1.PodSpec, base corev1.ResourceName) []string {
	if spec.Resources != nil && gives(*spec.Resources, base) {
		return nil
	}
	var names []string
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, container := range containers {
			if !gives(container.Resources, base) {
				names = append(names, container.Name)
			}
		}
	}
	return names
}

// gives says whether the requirements give a value for the base key; a limit is
// a request too.
func gives(resources corev1.ResourceRequirements, base corev1.ResourceName) bool {
	if name, ok := strings.CutPrefix(string(base), requestsPrefix); ok {
		if _, ok := resources.Requests[corev1.ResourceName(name)]; ok {
			return true
		}
		_, ok = resources.Limits[corev1.ResourceName(name)]
		return ok
	}
	_, ok := resources.Limits[corev1.ResourceName(strings.TrimPrefix(string(base), limitsPrefix))]
	return ok
}
