package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// maxPlaced bounds how many replicas a what-if places; more are said as "at least".
const maxPlaced = 5000

// WouldFit explains a pod or workload that is not in the cluster (`-f`):
// defaults are applied as the API server does, and FitReplicas says how many of
// its replicas find a place one after another.
func (e *Explainer) WouldFit(ctx context.Context, object runtime.Object, namespace string) (report.PendingItem, error) {
	w, err := e.whatIf(object, namespace)
	if err != nil {
		return report.PendingItem{}, err
	}
	if w.kind == "DaemonSet" {
		return e.daemonFits(ctx, w)
	}
	simulation := simulate.New(e.engine)
	defer simulation.Undo()
	fitting := int32(0)
	var pod, first *corev1.Pod
	var withClaims int
	for ; fitting < min(w.replicas, maxPlaced); fitting++ {
		pod = w.replica(fitting)
		if err := simulation.Apply(w.claims(pod)...); err != nil {
			return report.PendingItem{}, err
		}
		if first == nil {
			first, withClaims = pod, simulation.Mark()
		}
		node, err := simulation.Place(ctx, pod)
		if err != nil && fitting == 0 {
			return e.named(ctx, w, pod, 0) // Pod says what is wrong with it.
		}
		if err != nil {
			return report.PendingItem{}, err
		}
		if node == "" {
			break
		}
	}
	if fitting == w.replicas {
		simulation.UndoTo(withClaims) // All fit: the answer is where the first one may go.
		pod = first
	}
	return e.named(ctx, w, pod, fitting)
}

// named is the answer for one replica, in the name of the workload.
func (e *Explainer) named(ctx context.Context, w *whatIf, pod *corev1.Pod, fitting int32) (report.PendingItem, error) {
	e.planned = w
	defer func() { e.planned = nil }()
	item, err := e.Pod(ctx, pod)
	of := itemKey(&item)
	item.Kind, item.Name, item.UID, item.Workload, item.PendingSince = w.kind, w.name, "", "", nil
	for _, remedy := range item.Remedies {
		if p, ok := e.shared.plan(of, remedy.ID); ok {
			e.shared.keepPlan(itemKey(&item), p)
		}
	}
	item.Replicas, item.FitReplicas = w.replicas, &fitting
	item.Agrees, item.Disagreement = report.AgreesUnknown, "it is not in the cluster"
	return item, err
}

// daemonFits counts the nodes that would run a daemon's pod.
func (e *Explainer) daemonFits(ctx context.Context, w *whatIf) (report.PendingItem, error) {
	pod := w.daemon()
	if claims := w.claims(pod); len(claims) > 0 {
		undo, err := e.engine.Apply(claims...)
		if err != nil {
			return report.PendingItem{}, err
		}
		defer undo()
	}
	verdict, err := e.engine.Evaluate(ctx, pod)
	if err != nil {
		return report.PendingItem{}, err
	}
	fitting := int32(len(verdict.Fitting()))
	w.replicas = eligible(verdict)
	return e.named(ctx, w, pod, fitting)
}

// eligible counts the nodes that a daemon is meant for: all but those that its
// node affinity or a taint keeps it off.
func eligible(verdict *predicate.Verdict) int32 {
	nodes := int32(0)
	for _, failures := range verdict.Failures {
		if !slices.ContainsFunc(failures, func(f predicate.Failure) bool {
			return f.Plugin == predicate.NodeAffinity || f.Plugin == predicate.TaintToleration || f.Plugin == predicate.NodeUnschedulable
		}) {
			nodes++
		}
	}
	return nodes
}

// whatIf is a workload that is not in the cluster.
type whatIf struct {
	kind, name, namespace string
	replicas              int32
	// specPath leads to the pod spec in the object.
	specPath string
	template corev1.PodTemplateSpec
	// claimTemplates are a StatefulSet's.
	claimTemplates []corev1.PersistentVolumeClaim
	world          *world
}

func (e *Explainer) whatIf(object runtime.Object, namespace string) (*whatIf, error) {
	w := &whatIf{replicas: 1, world: e.world}
	if pod, ok := object.(*corev1.Pod); ok {
		w.name, w.template = pod.Name, corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: *pod.Spec.DeepCopy()}
		w.namespace, w.specPath = pod.Namespace, "/spec"
	} else {
		o, ok := owner(object)
		if !ok {
			return nil, fmt.Errorf("%s: expected a Pod or a workload that makes pods (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob)", describeKind(object))
		}
		w.kind, w.name, w.namespace, w.template = o.kind, o.object.GetName(), o.object.GetNamespace(), *o.template.DeepCopy()
		w.replicas, w.specPath = max(o.wanted, 1), cmp.Or(templatePaths[o.kind].path, "/spec/template/spec")
	}
	if set, ok := object.(*appsv1.StatefulSet); ok {
		w.claimTemplates = set.Spec.VolumeClaimTemplates
	}
	if w.namespace == "" {
		w.namespace = namespace
	}
	if len(w.template.Spec.Containers) == 0 {
		return nil, fmt.Errorf("%s %q: the pod spec has no containers", describeKind(object), w.name)
	}
	return w, nil
}

func describeKind(object runtime.Object) string {
	if kind := object.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	return fmt.Sprintf("%T", object)
}

// replica is the i-th pod, as it would stand in the API server.
func (w *whatIf) replica(i int32) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *w.template.ObjectMeta.DeepCopy(), Spec: *w.template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = w.namespace, w.name
	if w.kind != "" {
		pod.Name = fmt.Sprintf("%s-%d", w.name, i)
	}
	pod.UID = types.UID("what-if/" + w.namespace + "/" + pod.Name)
	pod.Spec.NodeName = ""
	for _, template := range w.claimTemplates {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: template.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: template.Name + "-" + pod.Name}}})
	}
	w.world.limitRangeDefaults(pod)
	predicate.SetDefaults(pod)
	w.world.admitPriority(pod)
	return pod
}

// daemon is a DaemonSet's pod, as its controller makes it for a node.
func (w *whatIf) daemon() *corev1.Pod {
	pod := w.replica(0)
	pod.Spec.Tolerations = workload.DaemonTolerations(&pod.Spec)
	return pod
}

// DaemonPod is the pod that the DaemonSet controller would make for a node. The error
// says why the set makes none.
func (e *Explainer) DaemonPod(set *appsv1.DaemonSet, node string) (*corev1.Pod, error) {
	w, err := e.whatIf(set, set.Namespace)
	if err != nil {
		return nil, err
	}
	pod := w.daemon()
	pod.Name = set.Name + "-" + node
	pod.UID = types.UID("what-if/" + set.Namespace + "/" + pod.Name)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}}}}
	return pod, nil
}

// StatefulPod is the pod that the StatefulSet controller would make of an ordinal, with
// those of its claims that there are not yet. The error says why the set makes none.
func (e *Explainer) StatefulPod(set *appsv1.StatefulSet, ordinal int) (*corev1.Pod, []predicate.Edit, error) {
	w, err := e.whatIf(set, set.Namespace)
	if err != nil {
		return nil, nil, err
	}
	pod := w.replica(int32(ordinal))
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	edits := slices.DeleteFunc(w.claims(pod), func(edit predicate.Edit) bool {
		claim, ok := edit.Object.(*corev1.PersistentVolumeClaim)
		return ok && e.world.claims[claim.Namespace+"/"+claim.Name] != nil
	})
	return pod, edits, nil
}

// claims are the claims that controllers would make for a replica; the names of those
// made from templates are noted in its status.
func (w *whatIf) claims(pod *corev1.Pod) []predicate.Edit {
	var edits []predicate.Edit
	for _, template := range w.claimTemplates {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: template.Name + "-" + pod.Name}, Spec: template.Spec}
		edits = append(edits, predicate.Edit{Object: w.world.admitClaim(claim)})
	}
	return append(edits, w.world.podClaims(pod)...)
}

// Claims are the claims that controllers would make for a pod alone, of its ephemeral
// volumes and claim templates; the names of the latter are noted in its status.
func (e *Explainer) Claims(pod *corev1.Pod) []predicate.Edit { return e.world.podClaims(pod) }

func (w *world) podClaims(pod *corev1.Pod) []predicate.Edit {
	var edits []predicate.Edit
	controller := true
	for _, volume := range pod.Spec.Volumes {
		if volume.Ephemeral == nil || volume.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name + "-" + volume.Name, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: &controller}}},
			Spec: volume.Ephemeral.VolumeClaimTemplate.Spec,
		}
		edits = append(edits, predicate.Edit{Object: w.admitClaim(claim)})
	}
	for _, reference := range pod.Spec.ResourceClaims {
		if claim := w.claimFromTemplate(pod, reference, &controller); claim != nil {
			edits = append(edits, predicate.Edit{Object: claim})
		}
	}
	return edits
}

// admitClaim gives a claim the default storage class, as admission does.
func (w *world) admitClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.Status.Phase = corev1.ClaimPending
	if class := w.defaultClass(); claim.Spec.StorageClassName == nil && class != nil {
		claim.Spec.StorageClassName = &class.Name
	}
	return claim
}

// claimFromTemplate makes the resource claim of a pod's template reference, and
// notes its name in the pod's status, as the resource claim controller does.
func (w *world) claimFromTemplate(pod *corev1.Pod, reference corev1.PodResourceClaim, controller *bool) *resourcev1.ResourceClaim {
	if reference.ResourceClaimTemplateName == nil {
		return nil
	}
	for _, template := range w.snap.ResourceClaimTemplates {
		if template.Namespace != pod.Namespace || template.Name != *reference.ResourceClaimTemplateName {
			continue
		}
		name := pod.Name + "-" + reference.Name
		pod.Status.ResourceClaimStatuses = append(pod.Status.ResourceClaimStatuses, corev1.PodResourceClaimStatus{Name: reference.Name, ResourceClaimName: &name})
		return &resourcev1.ResourceClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name, UID: types.UID("what-if/" + name), OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: controller}}},
			Spec: *template.Spec.Spec.DeepCopy(),
		}
	}
	return nil
}

// admitPriority resolves the priority class, as the Priority admission plugin does.
func (w *world) admitPriority(pod *corev1.Pod) {
	if pod.Spec.Priority != nil {
		return
	}
	for _, class := range w.snap.PriorityClasses {
		if class.Name == pod.Spec.PriorityClassName || (pod.Spec.PriorityClassName == "" && class.GlobalDefault) {
			pod.Spec.Priority, pod.Spec.PreemptionPolicy = &class.Value, class.PreemptionPolicy
			return
		}
	}
}

// limitRangeDefaults gives containers the namespace's default requests and limits,
// as the LimitRanger admission plugin does, before the API's own defaults.
func (w *world) limitRangeDefaults(pod *corev1.Pod) {
	for _, limits := range w.snap.LimitRanges {
		if limits.Namespace != pod.Namespace {
			continue
		}
		for _, item := range limits.Spec.Limits {
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			for i := range pod.Spec.InitContainers {
				defaultResources(&pod.Spec.InitContainers[i].Resources, item)
			}
			for i := range pod.Spec.Containers {
				defaultResources(&pod.Spec.Containers[i].Resources, item)
			}
		}
	}
}

func defaultResources(resources *corev1.ResourceRequirements, item corev1.LimitRangeItem) {
	explicit := maps.Clone(resources.Limits)
	resources.Limits = withDefaults(resources.Limits, item.Default)
	requests := maps.Clone(resources.Requests)
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	for name, quantity := range explicit { // A limit of its own is the request too.
		if _, ok := requests[name]; !ok {
			requests[name] = quantity
		}
	}
	resources.Requests = withDefaults(requests, item.DefaultRequest)
}

func withDefaults(list, defaults map[corev1.ResourceName]resource.Quantity) corev1.ResourceList {
	result := corev1.ResourceList{}
	maps.Copy(result, defaults)
	maps.Copy(result, list)
	return result
}
