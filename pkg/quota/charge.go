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
// "limits."; each also with the model that the pod's labels name for it or, where they
// name none, models does; and one of "pods". A pod being resized charges the larger of
// what it has and what it wants.
func PodCharge(pod *corev1.Pod, models workload.Models) corev1.ResourceList {
	return withModels(amountsOf(pod), workload.ModelsOf(pod.Labels).Or(models))
}

// amountsOf is what the pod charges, those keys with a model left out.
func amountsOf(pod *corev1.Pod) corev1.ResourceList {
	pod = withDefaultRequests(pod)
	opts := resourcehelper.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	requests, limits := resourcehelper.PodRequests(pod, opts), resourcehelper.PodLimits(pod, opts)
	maps.DeleteFunc(limits, func(name corev1.ResourceName, _ resource.Quantity) bool { return !slices.Contains(native, name) })

	amounts := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(1, resource.DecimalSI)}
	for prefix, list := range map[string]corev1.ResourceList{requestsPrefix: requests, limitsPrefix: limits} {
		for name, quantity := range list {
			if quantity.Sign() > 0 { // nothing gives quota back
				amounts[corev1.ResourceName(prefix)+name] = quantity
			}
		}
	}
	return amounts
}

// withDefaultRequests is pod with requests where there are only limits, of a container
// and of the pod as a whole, as the API server sets them on a pod and not on a template,
// and with amounts that can be counted.
func withDefaultRequests(pod *corev1.Pod) *corev1.Pod {
	out := *pod
	out.Spec.Containers = defaultRequests(pod.Spec.Containers)
	out.Spec.InitContainers = defaultRequests(pod.Spec.InitContainers)
	out.Spec.Overhead = countable(pod.Spec.Overhead)
	if all := pod.Spec.Resources; all != nil {
		out.Spec.Resources = &corev1.ResourceRequirements{Requests: countable(all.Requests), Limits: countable(all.Limits)}
		defaultPodRequests(&out)
	}
	return &out
}

// defaultPodRequests gives the pod as a whole requests where it has only limits and no
// container requests any: see defaultPodRequests in
// k8s.io/kubernetes/pkg/apis/core/v1. Huge pages are not overcommitted, so theirs are the
// limits in any case.
func defaultPodRequests(pod *corev1.Pod) {
	resources := pod.Spec.Resources
	requested := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	maps.DeleteFunc(requested, func(name corev1.ResourceName, _ resource.Quantity) bool {
		return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	})
	requests := maps.Clone(resources.Limits)
	maps.DeleteFunc(requests, func(name corev1.ResourceName, _ resource.Quantity) bool {
		_, given := requested[name]
		return given
	})
	if requests == nil {
		return
	}
	maps.Copy(requests, resources.Requests)
	resources.Requests = requests
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
	// Made is what stands of what the workload has made.
	Made []Part
	// Defaults are what the API server will add to the pods of its templates.
	Defaults workload.Defaults
}

// Charge is what a workload charges, by canonical key: by key the larger of what it
// declares and what lives. It declares, of each pod set, the number of pods times what
// one of them charges at most, by the template or by what stands of the set; nothing
// while it is suspended, or finished. What lives is the sum of its pods, those being
// deleted included, less those that a rolling update may add where they are not
// charged.
//
// So a template that becomes smaller frees what it charged when its pods are gone, not
// before: until then its controller may make more of the old ones (a partition, a
// paused or stuck rollout, OnDelete). And a pod that its workload has adopted, or that
// takes long to end, is charged as long as it runs.
func Charge(w *workload.Workload, opts Options) corev1.ResourceList {
	if w == nil {
		return corev1.ResourceList{}
	}
	prices := prices(w, opts)
	charge := declaredAt(prices, w, opts)
	raise(charge, livingAt(prices, w, opts))
	return charge
}

// declared is what the workload declares.
func declared(w *workload.Workload, opts Options) corev1.ResourceList {
	if w == nil {
		return corev1.ResourceList{}
	}
	return declaredAt(prices(w, opts), w, opts)
}

// declaredAt is what the workload declares at the prices of its sets' pods.
func declaredAt(prices []corev1.ResourceList, w *workload.Workload, opts Options) corev1.ResourceList {
	sum := corev1.ResourceList{}
	if w.Suspended || w.Finished {
		return sum
	}
	for i, price := range prices {
		pods, surge := podsOf(&w.PodSets[i], opts.Nodes)
		if opts.Surge {
			pods += surge
		}
		if pods > 0 {
			addTimes(sum, price, pods)
		}
	}
	return sum
}

// living is what lives of the workload.
func living(w *workload.Workload, opts Options) corev1.ResourceList {
	return livingAt(prices(w, opts), w, opts)
}

// livingAt is what lives of the workload, less what an update's surge may at those prices.
func livingAt(prices []corev1.ResourceList, w *workload.Workload, opts Options) corev1.ResourceList {
	sum := lives(w, opts.Made)
	if len(sum) == 0 || opts.Surge || w.Suspended || w.Finished {
		return sum
	}
	for i, price := range prices {
		pods, surge := podsOf(&w.PodSets[i], opts.Nodes)
		reduce(sum, price, min(pods, surge)) // an update has no more new pods than there are to be
	}
	return sum
}

// podsOf is the number of pods that a set declares, and how many more a rolling update
// may run.
func podsOf(set *workload.PodSet, nodes []*corev1.Node) (pods, surge int64) {
	if !set.PerNode {
		return set.Replicas, set.Surge
	}
	for _, node := range nodes {
		if workload.Eligible(set.Template, node) {
			pods++
		}
	}
	return pods, min(set.Surge+(pods*set.SurgePercent+99)/100, pods) // one on a node
}

// podsOfSets are a pod of each of the workload's sets, as it will be admitted; one that is
// a pod itself is as it is.
func podsOfSets(w *workload.Workload, defaults workload.Defaults) []*corev1.Pod {
	pods := make([]*corev1.Pod, len(w.PodSets))
	for i := range w.PodSets {
		pods[i] = podOf(&w.PodSets[i])
		if !w.PodSets[i].IsPod {
			pods[i] = defaults.Pod(pods[i])
		}
	}
	return pods
}

// podOf is a pod of the set, or the pod that it is.
func podOf(set *workload.PodSet) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: set.Template.ObjectMeta, Spec: set.Template.Spec}
	if set.Status != nil {
		pod.Status = *set.Status
	}
	return pod
}

// computeResources are those that every container must give a limit or request
// for, where a quota limits them: ResourceQuota's rule.
var computeResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// Unset names what the workload's containers leave out although hard limits it and no
// default gives it, a line a key: "must specify limits.cpu for: main".
func Unset(w *workload.Workload, hard corev1.ResourceList, defaults workload.Defaults) []string {
	var lines []string
	pods := podsOfSets(w, defaults)
	for _, key := range limitedKeys(w, hard) {
		var containers []string
		for _, pod := range pods {
			containers = append(containers, lacking(pod.Spec, key)...)
		}
		if len(containers) > 0 {
			slices.Sort(containers)
			lines = append(lines, fmt.Sprintf("must specify %s for: %s", key, strings.Join(slices.Compact(containers), ",")))
		}
	}
	return lines
}

// limitedKeys are the base keys of compute resources that hard limits for a
// workload, by the key itself, its models', or any one's cash.
func limitedKeys(w *workload.Workload, hard corev1.ResourceList) []corev1.ResourceName {
	limited := CanonicalList(hard)
	var keys []corev1.ResourceName
	for _, prefix := range []string{limitsPrefix, requestsPrefix} {
		for _, name := range computeResources {
			base := corev1.ResourceName(prefix) + name
			keyed := []corev1.ResourceName{base}
			for _, set := range w.PodSets {
				models := workload.ModelsOf(set.Template.Labels).Or(w.Models)
				for _, model := range families(modelOf(base, models)) {
					keyed = append(keyed, modelKey(base, model))
				}
			}
			if slices.ContainsFunc(keyed, func(key corev1.ResourceName) bool {
				_, now := limited[key]
				_, hours := limited[cashKey(key)]
				return now || hours
			}) {
				keys = append(keys, base)
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
