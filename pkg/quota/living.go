package quota

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// Part is something that stands of what a workload has made, itself or through others:
// a pod, or a template that its controllers may make more pods of.
type Part struct {
	// Labels are the pod's, or the template's. They may name hardware models, and say
	// which of the workload's pod sets it is of.
	Labels map[string]string
	// Amounts is what one pod charges, by canonical key, those with a model left out.
	Amounts corev1.ResourceList
	// Lives says that it is a pod, which charges until it has ended or is gone.
	Lives bool
	// Wanted is how many pods of a template its controller has yet to make, whatever the
	// workload has come to declare: it may be long before that is told to scale down.
	Wanted int64
}

// charge is what the part charges as one of the workload's.
func (p *Part) charge(w *workload.Workload) corev1.ResourceList {
	return withModels(p.Amounts, workload.ModelsOf(p.Labels).Or(w.Models))
}

// setOf is the index of the workload's pod set that a pod of these labels is of; -1
// where the labels do not tell.
func setOf(w *workload.Workload, labels map[string]string) int {
	return slices.IndexFunc(w.PodSets, func(set workload.PodSet) bool { return set.Selects(labels) })
}

// prices are what a pod of each of the workload's sets charges: by key the most of its
// template and of what stands of the set.
func prices(w *workload.Workload, opts Options) []corev1.ResourceList {
	var prices []corev1.ResourceList
	for _, pod := range podsOfSets(w, opts.Defaults) {
		prices = append(prices, PodCharge(pod, w.Models))
	}
	for i := range opts.Made {
		if set := setOf(w, opts.Made[i].Labels); set >= 0 {
			raise(prices[set], opts.Made[i].charge(w))
		}
	}
	return prices
}

// lives is what the pods among the parts charge, and those that are about to be made.
func lives(w *workload.Workload, made []Part) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for i := range made {
		switch {
		case made[i].Lives:
			add(sum, made[i].charge(w))
		case made[i].Wanted > 0:
			addTimes(sum, made[i].charge(w), made[i].Wanted)
		}
	}
	return sum
}

// templates are those of the workload's pod sets, as parts.
func templates(w *workload.Workload, defaults workload.Defaults) []Part {
	var parts []Part
	for _, pod := range podsOfSets(w, defaults) {
		parts = append(parts, Part{Labels: pod.Labels, Amounts: amountsOf(pod)})
	}
	return parts
}

// Living returns what stands of what the object of that UID has made: its pods, those
// that are being deleted included, and the templates of the objects between that want
// pods. Of a workload whose controller makes pods of older templates too, and which has
// nothing now, the templates of all objects between are among them.
func (ix *Index) Living(uid types.UID) []Part {
	e := ix.objects[uid]
	if e == nil {
		return nil
	}
	return ix.parts(e)
}

// parts are what stands of what e has made. Templates of objects that want no pods are
// among them where an older one may be made again: none of the objects wants any.
func (ix *Index) parts(e *entry) []Part {
	parts := ix.living(e, false, 0)
	if e.Older && !slices.ContainsFunc(parts, func(part Part) bool { return !part.Lives }) {
		return ix.living(e, true, 0)
	}
	return parts
}

func (ix *Index) living(e *entry, older bool, depth int) []Part {
	if depth == deepest {
		return nil
	}
	var parts []Part
	for _, child := range ix.made[e.UID] {
		if maker, _ := ix.maker(child.Workload); maker != e || depth == 0 && podMakesPod(child.Workload) {
			continue // what a pod makes for its maker is no part of its own
		}
		switch {
		case child.isPod() && !child.Finished:
			parts = append(parts, child.pod())
		case !child.isPod() && (older || child.wantsPods()):
			parts = append(parts, ix.templatesOf(child)...)
		}
		parts = append(parts, ix.living(child, older, depth+1)...)
	}
	return parts
}

// podKind is the kind of pods.
var podKind = corev1.SchemeGroupVersion.WithKind("Pod").GroupKind()

// templatesOf are the templates of an object between, with how many pods it is to make
// beside those that it has. One that leaves its pods to others wants none itself.
func (ix *Index) templatesOf(e *entry) []Part {
	parts := templates(e.Workload, ix.Defaults(e.Namespace))
	if !e.wantsPods() || !ix.kinds.Makes(e.Kind.GroupKind(), podKind) {
		return parts
	}
	for i := range parts {
		parts[i].Wanted = e.PodSets[i].Replicas
	}
	for _, pod := range ix.made[e.UID] {
		if maker, _ := ix.maker(pod.Workload); maker != e || !pod.isPod() || pod.Finished {
			continue
		}
		if set := setOf(e.Workload, pod.PodSets[0].Template.Labels); set >= 0 && parts[set].Wanted > 0 {
			parts[set].Wanted--
		}
	}
	return parts
}

// PodCharge is what the pod of that UID charges as one of the charger's; nil where it is
// not there.
func (ix *Index) PodCharge(uid types.UID, charger *workload.Workload) corev1.ResourceList {
	e := ix.objects[uid]
	if e == nil || !e.isPod() {
		return nil
	}
	pod := e.pod()
	return pod.charge(charger)
}

// isPod says whether the object is a pod itself.
func (e *entry) isPod() bool { return len(e.PodSets) == 1 && e.PodSets[0].IsPod }

// wantsPods says whether the object's controller is to have pods of its template now.
func (e *entry) wantsPods() bool {
	return !e.Suspended && !e.Finished && slices.ContainsFunc(e.PodSets, func(set workload.PodSet) bool {
		return set.Replicas > 0 || set.PerNode
	})
}

// pod is the object, a pod, as a part.
func (e *entry) pod() Part {
	if e.amounts == nil {
		e.amounts = amountsOf(podOf(&e.PodSets[0]))
	}
	return Part{Labels: e.PodSets[0].Template.Labels, Amounts: e.amounts, Lives: true}
}
