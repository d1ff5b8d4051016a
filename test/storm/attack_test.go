package storm

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// abroad is a namespace that has nothing to do with quota.
const abroad = "storm-abroad"

// apiVersions and kindNames are how owner references name the kinds.
var (
	apiVersions = map[string]string{deployments: "apps/v1", statefulSets: "apps/v1", replicaSets: "apps/v1", jobs: "batch/v1", pods: "v1"}
	kindNames   = map[string]string{deployments: "Deployment", statefulSets: "StatefulSet", replicaSets: "ReplicaSet", jobs: "Job", pods: "Pod"}
)

// getMeta reads a workload's metadata.
func (u *user) getMeta(ctx context.Context, kind, name string) (metav1.Object, error) {
	switch opts := (metav1.GetOptions{}); kind {
	case deployments:
		return u.kube.AppsV1().Deployments(namespace).Get(ctx, name, opts)
	case statefulSets:
		return u.kube.AppsV1().StatefulSets(namespace).Get(ctx, name, opts)
	case replicaSets:
		return u.kube.AppsV1().ReplicaSets(namespace).Get(ctx, name, opts)
	case jobs:
		return u.kube.BatchV1().Jobs(namespace).Get(ctx, name, opts)
	default:
		return u.kube.CoreV1().Pods(namespace).Get(ctx, name, opts)
	}
}

// existing draws a workload that is there; false when none was found.
func (u *user) existing(ctx context.Context, kinds ...string) (kind string, meta metav1.Object, ok bool) {
	for range tries {
		kind, name, ok := u.pool.pick(u.rng, kinds...)
		if !ok {
			continue
		}
		meta, err := u.getMeta(ctx, kind, name)
		if err == nil {
			return kind, meta, true
		}
		if apierrors.IsNotFound(err) {
			u.pool.remove(kind, name)
		}
	}
	return "", nil, false
}

// forged is a reference to some workload that is counted, right or with something wrong; nil when there is none.
func (u *user) forged(ctx context.Context) *metav1.OwnerReference {
	kind, owner, ok := u.existing(ctx, deployments, statefulSets, replicaSets, jobs, pods)
	if !ok {
		return nil
	}
	ref := &metav1.OwnerReference{APIVersion: apiVersions[kind], Kind: kindNames[kind], Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true)}
	switch u.rng.IntN(5) {
	case 0:
		ref.APIVersion, ref.Kind = "apps/v1", []string{"Deployment", "ReplicaSet", "StatefulSet"}[u.rng.IntN(3)]
	case 1:
		ref.Name = "nobody"
	case 2:
		ref.APIVersion = []string{"v9", "apps/v9", "batch/v9", "example.com/v1"}[u.rng.IntN(4)]
	case 3:
		ref.UID = types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", u.rng.IntN(1e9)))
	}
	return ref
}

// forgeOwner makes a pod that says somebody else made it, or has a workload say so.
func (u *user) forgeOwner(ctx context.Context) {
	ref := u.forged(ctx)
	if ref == nil {
		return
	}
	if u.rng.IntN(2) == 0 {
		u.made++
		name := fmt.Sprintf("w-%d-%d", u.id, u.made)
		pod := newPod(u.rng, name, labels(u.rng, u.anyGroup()))
		pod.OwnerReferences = []metav1.OwnerReference{*ref}
		u.createPod(ctx, "forge an owner", pod)
		return
	}
	if kind, name, ok := u.pool.pick(u.rng, statefulSets, replicaSets, deployments, pods); ok {
		refs := []any{object{"$patch": "replace"}, ref}
		u.patch(ctx, "forge an owner", kind, name, object{"metadata": object{"ownerReferences": refs}})
	}
}

// createPod creates a pod and puts it into the pool.
func (u *user) createPod(ctx context.Context, operation string, pod *corev1.Pod) outcome {
	start := time.Now()
	_, err := u.kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	is := u.count(operation, start, err)
	if is == admitted || is == unavailable {
		u.pool.add(pods, pod.Name)
	}
	return is
}

// forgeAbroad makes a large pod elsewhere that says a counted workload made it.
func (u *user) forgeAbroad(ctx context.Context) {
	ref := u.forged(ctx)
	if ref == nil {
		return
	}
	start := time.Now()
	pod := newPod(u.rng, "", nil)
	pod.Namespace, pod.GenerateName, pod.OwnerReferences = abroad, "abroad-", []metav1.OwnerReference{*ref}
	delete(pod.Labels, rootLabel)
	_, err := u.kube.CoreV1().Pods(abroad).Create(ctx, pod, metav1.CreateOptions{})
	u.count("forge an owner abroad", start, err)
}

// smaller is a template with a small first container.
func smaller() object {
	list := object{"cpu": "50m", "memory": "32Mi"}
	return object{"spec": object{"containers": []any{object{"name": "main", "resources": object{"limits": list, "requests": list}}}}}
}

// hold changes what a workload's controller does with a template, and makes that smaller, or lets it go on.
func (u *user) hold(ctx context.Context, operation string, held, free object, kinds ...string) {
	kind, name, ok := u.pool.pick(u.rng, kinds...)
	if !ok {
		return
	}
	if u.rng.IntN(3) == 0 {
		u.patch(ctx, "stop to "+operation, kind, name, object{"spec": free})
		return
	}
	if held["template"] == nil {
		held["template"] = smaller()
	}
	if u.patch(ctx, operation, kind, name, object{"spec": held}) == admitted && u.rng.IntN(2) == 0 {
		u.patch(ctx, "scale after "+operation, kind, name, object{"spec": object{"replicas": mostReplicas}})
	}
}

func (u *user) partition(ctx context.Context) {
	u.hold(ctx, "partition",
		object{"updateStrategy": object{"type": "RollingUpdate", "rollingUpdate": object{"partition": 1 + u.rng.IntN(1000)}}},
		object{"updateStrategy": object{"type": "RollingUpdate", "rollingUpdate": object{"partition": 0}}}, statefulSets)
}

func (u *user) onDelete(ctx context.Context) {
	u.hold(ctx, "OnDelete",
		object{"updateStrategy": object{"type": "OnDelete", "rollingUpdate": nil}},
		object{"updateStrategy": object{"type": "RollingUpdate"}}, statefulSets)
}

func (u *user) pauseRollout(ctx context.Context) {
	u.hold(ctx, "pause", object{"paused": true}, object{"paused": false}, deployments)
}

// stickRollout has pods of the new template wait for ever.
func (u *user) stickRollout(ctx context.Context) {
	template := smaller()
	template["spec"].(object)["nodeSelector"] = object{"storm": "nowhere"}
	u.hold(ctx, "stick",
		object{"template": template, "strategy": object{"rollingUpdate": object{"maxUnavailable": 0, "maxSurge": 1}}},
		object{"template": object{"spec": object{"nodeSelector": nil}}}, deployments)
}

// orphan deletes a workload and leaves what it made: to a smaller one of its name, or to nobody for a while.
func (u *user) orphan(ctx context.Context) {
	kind, before, ok := u.existing(ctx, deployments, statefulSets, replicaSets)
	if !ok {
		return
	}
	name := before.GetName()
	u.pool.remove(kind, name)
	start := time.Now()
	if u.count("orphan", start, u.deleteOne(ctx, kind, name, metav1.DeletePropagationOrphan)) == unavailable {
		u.pool.add(kind, name)
		return
	}
	for range 20 {
		if _, err := u.getMeta(ctx, kind, name); apierrors.IsNotFound(err) {
			break
		}
		sleep(ctx, 100*time.Millisecond)
	}
	if u.rng.IntN(2) == 0 && u.createAs(ctx, "adopt again", kind, name, groupsOf(before), u.rng.IntN(2) == 0) {
		return
	}
	u.clear(ctx, name)
}

// groupsOf are a workload's labels that tie it to a group and a model.
func groupsOf(meta metav1.Object) map[string]string {
	labels := map[string]string{groupLabel: meta.GetLabels()[groupLabel]}
	if is := meta.GetLabels()[cpuTypeLabel]; is != "" {
		labels[cpuTypeLabel] = is
	}
	return labels
}

// createAs creates a workload of small pods over those that are there; held ones leave these as they are.
func (u *user) createAs(ctx context.Context, operation, kind, name string, labels map[string]string, held bool) bool {
	var err error
	start := time.Now()
	shrink := func(template *corev1.PodTemplateSpec) { template.Spec.Containers[0].Resources = least() }
	switch kind {
	case deployments:
		d := newDeployment(u.rng, name, labels)
		d.Spec.Paused = held
		shrink(&d.Spec.Template)
		_, err = u.kube.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})
	case statefulSets:
		s := newStatefulSet(u.rng, name, labels)
		if held {
			s.Spec.UpdateStrategy.Type = "OnDelete"
		}
		shrink(&s.Spec.Template)
		_, err = u.kube.AppsV1().StatefulSets(namespace).Create(ctx, s, metav1.CreateOptions{})
	case replicaSets:
		s := newReplicaSet(u.rng, name, labels)
		shrink(&s.Spec.Template)
		_, err = u.kube.AppsV1().ReplicaSets(namespace).Create(ctx, s, metav1.CreateOptions{})
	}
	is := u.count(operation, start, err)
	if is == admitted || is == unavailable {
		u.pool.add(kind, name)
	}
	return is == admitted || is == unavailable
}

// clear deletes what is left of a root.
func (u *user) clear(ctx context.Context, root string) {
	start, all := time.Now(), metav1.ListOptions{LabelSelector: rootLabel + "=" + root}
	err := u.kube.AppsV1().ReplicaSets(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, all)
	if err == nil {
		err = u.kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, all)
	}
	u.count("delete orphans", start, err)
}

// adopt makes pods, and then a workload of smaller ones that adopts them.
func (u *user) adopt(ctx context.Context) {
	u.made++
	kind, root := []string{statefulSets, replicaSets}[u.rng.IntN(2)], fmt.Sprintf("w-%d-%d", u.id, u.made)
	labels := labels(u.rng, u.anyGroup())
	for i := range 1 + u.rng.IntN(2) {
		u.createPod(ctx, "create for adoption", bare(u.rng, fmt.Sprintf("%s-%d", root, i), root, labels))
	}
	u.createAs(ctx, "adopt", kind, root, labels, true)
}

// linger has a Deployment's pods take long to end, and scales it to nothing and back: on the node there nobody ends
// them before the garbage collector does.
func (u *user) linger(ctx context.Context) {
	u.made++
	name := fmt.Sprintf("w-%d-%d", u.id, u.made)
	d := newDeployment(u.rng, name, labels(u.rng, u.anyGroup()))
	d.Spec.Replicas = ptr.To[int32](1)
	d.Spec.Template.Spec.NodeName, d.Spec.Template.Spec.TerminationGracePeriodSeconds = "nowhere", ptr.To[int64](60)
	start := time.Now()
	_, err := u.kube.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})
	if is := u.count("linger", start, err); is != admitted && is != unavailable {
		return
	}
	u.pool.add(deployments, name)
	for i := range 4 {
		sleep(ctx, time.Second)
		u.patch(ctx, "scale lingering", deployments, name, object{"spec": object{"replicas": i % 2}})
	}
}

// duplicate creates what is there.
func (u *user) duplicate(ctx context.Context) {
	if kind, name, ok := u.pool.pick(u.rng, deployments, statefulSets, jobs, pods); ok {
		u.createOne(ctx, "create again", kind, name, metav1.CreateOptions{})
	}
}

// debug takes a pod out of its workload, by its labels.
func (u *user) debug(ctx context.Context) {
	_, root, ok := u.existing(ctx, deployments, replicaSets, statefulSets)
	if !ok {
		return
	}
	list, err := u.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + root.GetName(), ResourceVersion: "0"})
	if err != nil || len(list.Items) == 0 {
		return
	}
	name := list.Items[u.rng.IntN(len(list.Items))].Name
	if u.patch(ctx, "take out for debugging", pods, name, object{"metadata": object{"labels": object{"app": "debug"}}}) == admitted {
		u.pool.add(pods, name)
	}
}
