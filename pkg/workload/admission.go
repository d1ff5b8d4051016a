package workload

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
)

// Defaults are what the API server adds to the resources of a namespace's new pods,
// beside what their templates say. The zero Defaults add nothing.
type Defaults struct {
	// Limits are the namespace's.
	Limits []*corev1.LimitRange
	// Classes are the cluster's runtime classes by name.
	Classes map[string]*nodev1.RuntimeClass
}

// Pod is a copy of a template's pod as it will be admitted, as far as its resources go.
// See the plugins LimitRanger and RuntimeClass in k8s.io/kubernetes/plugin/pkg/admission.
func (d Defaults) Pod(pod *corev1.Pod) *corev1.Pod {
	var class *nodev1.RuntimeClass
	if name := pod.Spec.RuntimeClassName; name != nil {
		class = d.Classes[*name]
	}
	if len(d.Limits) == 0 && class == nil {
		return pod
	}
	pod = pod.DeepCopy()
	ApplyLimitRanges(&pod.Spec, d.Limits)
	if class != nil && class.Overhead != nil {
		pod.Spec.Overhead = class.Overhead.PodFixed
	}
	return pod
}

// ApplyLimitRanges gives the containers of spec their namespace's default requests and
// limits, in place, as the LimitRanger plugin does before the API's own defaults.
func ApplyLimitRanges(spec *corev1.PodSpec, ranges []*corev1.LimitRange) {
	for _, limits := range ranges {
		for _, item := range limits.Spec.Limits {
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			item = withDefaults(item)
			for i := range spec.InitContainers {
				applyLimits(&spec.InitContainers[i].Resources, item)
			}
			for i := range spec.Containers {
				applyLimits(&spec.Containers[i].Resources, item)
			}
		}
	}
}

// withDefaults is a container's item as the API server stores it, which one that was
// written by hand is not: see SetDefaults_LimitRangeItem in
// k8s.io/kubernetes/pkg/apis/core/v1.
func withDefaults(item corev1.LimitRangeItem) corev1.LimitRangeItem {
	item.Default = over(item.Max, item.Default)
	item.DefaultRequest = over(over(item.Min, item.Default), item.DefaultRequest)
	return item
}

func applyLimits(resources *corev1.ResourceRequirements, item corev1.LimitRangeItem) {
	requests := maps.Clone(resources.Limits) // a limit of its own is the request too
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	maps.Copy(requests, resources.Requests)
	resources.Limits = over(item.Default, resources.Limits)
	resources.Requests = over(item.DefaultRequest, requests)
}

// over is defaults, with what list has in its place.
func over(defaults, list corev1.ResourceList) corev1.ResourceList {
	all := make(corev1.ResourceList, len(defaults)+len(list))
	maps.Copy(all, defaults)
	maps.Copy(all, list)
	return all
}
