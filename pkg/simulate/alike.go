package simulate

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// Alike gives pods that the scheduler cannot tell apart the same key: the same
// namespace, spec and nomination, and the same labels as far as any selector that
// filters read (anti-affinity of pods in the cluster, the pod's own terms and
// constraints) names them. So the pods of an indexed job, whose labels differ by
// their index, are alike unless somebody selects by the index. Where plugins that are
// not in-tree are enabled, all labels, annotations and the controller are read.
type Alike struct {
	// keys are the label keys that selectors of pods in the cluster name.
	keys map[string]bool
	// further is true where plugins are enabled that may read anything.
	further bool
}

// NewAlike reads the selectors of the pods in the cluster, for the schedulers of that
// configuration.
func NewAlike(config *predicate.Config, pods []*corev1.Pod) *Alike {
	a := &Alike{keys: map[string]bool{}, further: config.FurtherPlugins()}
	for _, pod := range pods {
		a.add(pod)
	}
	return a
}

// add adds the label keys that a pod's hard terms and constraints name.
func (a *Alike) add(pod *corev1.Pod) {
	keys := a.keys
	if affinity := pod.Spec.Affinity; affinity != nil {
		if affinity.PodAffinity != nil {
			addTerms(keys, affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if affinity.PodAntiAffinity != nil {
			addTerms(keys, affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
	}
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		addSelector(keys, constraint.LabelSelector, constraint.MatchLabelKeys)
	}
}

func addTerms(keys map[string]bool, terms []corev1.PodAffinityTerm) {
	for _, term := range terms {
		addSelector(keys, term.LabelSelector, term.MatchLabelKeys)
		addSelector(keys, nil, term.MismatchLabelKeys)
	}
}

func addSelector(keys map[string]bool, selector *metav1.LabelSelector, more []string) {
	for _, key := range more {
		keys[key] = true
	}
	if selector == nil {
		return
	}
	for key := range selector.MatchLabels {
		keys[key] = true
	}
	for _, expression := range selector.MatchExpressions {
		keys[expression.Key] = true
	}
}

// Key is equal for pods alike.
func (a *Alike) Key(pod *corev1.Pod) string {
	identity := struct {
		Namespace, Nominated string
		Labels, Annotations  map[string]string
		Controller           *metav1.OwnerReference
		Spec                 corev1.PodSpec
		Status               []corev1.PodResourceClaimStatus
		Ephemeral            string
	}{Namespace: pod.Namespace, Nominated: pod.Status.NominatedNodeName, Labels: map[string]string{}, Spec: pod.Spec, Status: pod.Status.ResourceClaimStatuses}
	for key, value := range pod.Labels {
		if a.keys[key] || a.further {
			identity.Labels[key] = value
		}
	}
	if a.further {
		identity.Annotations, identity.Controller = pod.Annotations, metav1.GetControllerOfNoCopy(pod)
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.Ephemeral != nil {
			identity.Ephemeral = pod.Name // Its claims carry the pod's name.
		}
	}
	identity.Spec.Hostname = ""
	text, err := json.Marshal(identity)
	if err != nil {
		return pod.Namespace + "/" + pod.Name
	}
	return string(text)
}
