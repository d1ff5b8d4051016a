package explain

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// shortage is one resource that a node has too little of, in the resource's own
// unit (millicores for cpu, bytes, or a count).
type shortage struct {
	resource                  corev1.ResourceName
	requested, used, capacity int64
}

// free is what is left; below zero on a node that is over-committed.
func (s shortage) free() int64 { return s.capacity - s.used }

// loss is the part of the request that would be given up.
func (s shortage) loss() float64 {
	return float64(s.requested-s.free()) / float64(s.requested)
}

// tooManyPods is the scheduler's reason for a full count of pods.
const tooManyPods = "Too many pods"

// resourceOf is the resource that a reason of NodeResourcesFit names.
func resourceOf(reason string) corev1.ResourceName {
	if reason == tooManyPods {
		return corev1.ResourcePods
	}
	return corev1.ResourceName(strings.TrimPrefix(reason, "Insufficient "))
}
