package storm

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
)

// The labels, as users write them: the arithmetic here shares nothing with the component's.
const (
	groupLabel   = "biz.group.resource.quota"
	cpuTypeLabel = "biz.group.resource.quota/cpu-type"
	model        = "A4"
)

// keys are what the storm's groups limit, in the order of amounts.
var keys = [...]string{"limits.cpu", "limits.cpu." + model, "limits.memory", "pods"}

// amounts are by key: thousandths of a core, thousandths of a core, bytes, pods.
type amounts [len(keys)]int64

func (a amounts) plus(b amounts) amounts {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

func (a amounts) minus(b amounts) amounts {
	for i := range a {
		a[i] -= b[i]
	}
	return a
}

// read is what quantities, by key as a group has them, amount to.
func read(quantities map[string]resource.Quantity) (a amounts) {
	for i, key := range keys {
		quantity := quantities[key]
		if strings.HasPrefix(key, "limits.cpu") {
			a[i] = quantity.MilliValue()
		} else {
			a[i] = quantity.Value()
		}
	}
	return a
}

// charged is what a workload charges, and whom.
type charged struct {
	group   string
	amounts amounts
	uid     types.UID
	by      string // whoever changed it last, and what says to have made it
}

// ledger is what a group says.
type ledger struct {
	parent       string
	hard, used   amounts
	reservations []json.RawMessage
	over         bool // the condition Overcommitted
}

// change is a version as the checker needs it: an object of the storm, a group or the managers' lease; none for a
// deletion.
type change struct {
	revision int64
	key      string
	workload *charged
	standing *standing
	group    *ledger
	lease    *lease
}

// relevant are the storm's kinds, by the first part of their keys, and the managers' lease.
var relevant = []string{"deployments/", "replicasets/", "statefulsets/", "jobs/", "pods/", groupsKey, leaseKey}

// groupsKey starts the keys of groups.
const groupsKey = "stowage.dev/bizgroupresourcequotas/"

// decode reads a version; false when it is of no kind that matters.
func decode(v version) (change, bool, error) {
	c := change{revision: v.revision, key: v.key}
	matters := false
	for _, kind := range relevant {
		matters = matters || strings.HasPrefix(v.key, kind)
	}
	if !matters || len(v.value) == 0 {
		return c, matters, nil
	}
	var err error
	if strings.HasPrefix(v.key, groupsKey) {
		c.group, err = readGroup(v.value)
		return c, true, err
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(v.value, nil, nil)
	if err != nil {
		return c, false, err
	}
	if held, ok := object.(*coordinationv1.Lease); ok {
		c.lease = &lease{holder: ptr.Deref(held.Spec.HolderIdentity, ""), renewed: ptr.Deref(held.Spec.RenewTime, metav1.MicroTime{}).Time}
		return c, true, nil
	}
	c.workload, err = chargeOf(object)
	c.standing = standingOf(kindOf(v.key), object)
	return c, true, err
}

// readGroup reads a group by the fields' names that users see.
func readGroup(text []byte) (*ledger, error) {
	var group struct {
		Spec struct {
			ParentBizGroup string                       `json:"parentBizGroup"`
			Hard           map[string]resource.Quantity `json:"hard"`
		} `json:"spec"`
		Status struct {
			Used         map[string]resource.Quantity `json:"used"`
			Reservations []json.RawMessage            `json:"reservations"`
			Conditions   []metav1.Condition           `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &group); err != nil {
		return nil, err
	}
	return &ledger{
		parent: group.Spec.ParentBizGroup, hard: read(group.Spec.Hard),
		used: read(group.Status.Used), reservations: group.Status.Reservations,
		over: meta.IsStatusConditionTrue(group.Status.Conditions, "Overcommitted"),
	}, nil
}

// chargeOf is what an object declares: the number of its pods times a pod; nothing when it came of another, when a
// client means it to be adopted and it has been, or when it is being deleted: its controller makes nothing more then,
// and the garbage collector lets go of what it has made, which is counted and not asked about.
func chargeOf(object runtime.Object) (*charged, error) {
	var meta metav1.ObjectMeta
	var template corev1.PodTemplateSpec
	var pods int64
	switch o := object.(type) {
	case *appsv1.Deployment:
		meta, template, pods = o.ObjectMeta, o.Spec.Template, int64(ptr.Deref(o.Spec.Replicas, 1))
	case *appsv1.StatefulSet:
		meta, template, pods = o.ObjectMeta, o.Spec.Template, int64(ptr.Deref(o.Spec.Replicas, 1))
	case *appsv1.ReplicaSet:
		meta, template, pods = o.ObjectMeta, o.Spec.Template, int64(ptr.Deref(o.Spec.Replicas, 1))
	case *batchv1.Job:
		meta, template, pods = o.ObjectMeta, o.Spec.Template, jobPods(o)
	case *corev1.Pod:
		meta, template.Spec, pods = o.ObjectMeta, o.Spec, 1
		if o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed {
			pods = 0
		}
	default:
		return nil, fmt.Errorf("%T: want one of the storm's kinds", object)
	}
	if _, isPod := object.(*corev1.Pod); !isPod && meta.DeletionTimestamp != nil {
		pods = 0
	}
	own := meta.Labels[rootLabel] == meta.Name || meta.Labels[bareLabel] != "" && metav1.GetControllerOfNoCopy(&meta) == nil
	if !own || meta.Labels[groupLabel] == "" {
		return &charged{}, nil
	}
	ofModel := meta.Labels[cpuTypeLabel] == model || template.Labels[cpuTypeLabel] == model
	return &charged{
		group: meta.Labels[groupLabel], amounts: podAmounts(template.Spec, ofModel, pods), uid: meta.UID, by: changedBy(&meta),
	}, nil
}

// changedBy is who changed an object last and how, and which owners it names.
func changedBy(meta *metav1.ObjectMeta) string {
	var last metav1.ManagedFieldsEntry
	for _, entry := range meta.ManagedFields {
		if entry.Time != nil && (last.Time == nil || last.Time.Before(entry.Time)) {
			last = entry
		}
	}
	return fmt.Sprintf("%s %s %s, owners %v, being deleted %t", last.Manager, last.Operation, last.Subresource, meta.OwnerReferences, meta.DeletionTimestamp != nil)
}

// jobPods is how many pods a Job may have at once.
func jobPods(job *batchv1.Job) int64 {
	if ptr.Deref(job.Spec.Suspend, false) {
		return 0
	}
	for _, condition := range job.Status.Conditions {
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) && condition.Status == corev1.ConditionTrue {
			return 0
		}
	}
	pods := int64(ptr.Deref(job.Spec.Parallelism, 1))
	if job.Spec.Completions == nil {
		return pods
	}
	return max(0, min(pods, int64(*job.Spec.Completions)-int64(job.Status.Succeeded))) // what has completed is not made again
}

// podAmounts is what so many pods charge: all containers together, or one init container that needs more.
func podAmounts(spec corev1.PodSpec, ofModel bool, pods int64) (a amounts) {
	var cpu, memory int64
	for _, container := range spec.Containers {
		cpu += container.Resources.Limits.Cpu().MilliValue()
		memory += container.Resources.Limits.Memory().Value()
	}
	for _, container := range spec.InitContainers {
		cpu = max(cpu, container.Resources.Limits.Cpu().MilliValue())
		memory = max(memory, container.Resources.Limits.Memory().Value())
	}
	a = amounts{pods * cpu, 0, pods * memory, pods}
	if ofModel {
		a[1] = a[0]
	}
	return a
}
