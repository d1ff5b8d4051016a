package quota_test

import (
	"context"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Each kind is admitted or refused as a whole; its pods pass, are not counted again, and run.
func TestKindsWithReplicas(t *testing.T) {
	for _, kind := range []struct {
		name string
		new  func(w *world, name, group string, replicas int32, resources corev1.ResourceRequirements) client.Object
	}{
		{"Deployment", func(w *world, name, group string, replicas int32, r corev1.ResourceRequirements) client.Object {
			return w.deployment(name, group, replicas, r)
		}},
		{"StatefulSet", func(w *world, name, group string, replicas int32, r corev1.ResourceRequirements) client.Object {
			return w.statefulSet(name, group, replicas, r)
		}},
		{"ReplicaSet", func(w *world, name, group string, replicas int32, r corev1.ResourceRequirements) client.Object {
			return w.replicaSet(name, group, replicas, r)
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			w := newWorld(t)
			nlp := w.group("nlp", "", hard{"limits.cpu": "6", "pods": "10"})
			w.refusedWith(w.Create(t.Context(), kind.new(w, "big", nlp, 7, cpu("1"))),
				"group "+nlp+": limits.cpu: needs 7, 6 of 6 left (short 1); largest that fits: 6 replicas")
			web := kind.new(w, "web", nlp, 3, cpu("2"))
			w.create(web)
			w.running(nlp, 3)
			w.used(nlp, hard{"limits.cpu": "6", "pods": "3"})
			w.admitted(w.Delete(t.Context(), web, client.PropagationPolicy(metav1.DeletePropagationBackground)))
			w.used(nlp, hard{"limits.cpu": "0", "pods": "0"})
		})
	}
}

// running waits until n pods with the group's label run.
func (w *world) running(group string, n int) {
	w.t.Helper()
	got := 0
	if !w.eventually(func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if err := w.List(ctx, &pods, client.InNamespace(w.ns), client.MatchingLabels{stowagev1alpha1.GroupLabel: group}); err != nil {
			return false, err
		}
		got = 0
		for i := range pods.Items {
			if pods.Items[i].Status.Phase == corev1.PodRunning {
				got++
			}
		}
		return got == n, nil
	}) {
		w.t.Fatalf("%d pods of group %s run, want %d", got, group, n)
	}
}

func TestJob(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "4"})
	w.refusedWith(w.Create(t.Context(), w.job("big", nlp, 5, cpu("1"))), "limits.cpu: needs 5, 4 of 4 left (short 1)")

	suspended := w.job("later", nlp, 4, cpu("1"))
	suspended.Spec.Suspend = new(true)
	w.create(suspended)
	w.used(nlp, hard{"limits.cpu": "0"})

	job := w.job("train", nlp, 2, cpu("1"))
	job.Spec.Completions = ptr.To[int32](6) // two at a time
	w.create(job)
	w.refusedWith(update(w, suspended, func(j *batchv1.Job) { j.Spec.Suspend = new(false) }), "limits.cpu: needs 4, 2 of 4 left (short 2)")
	w.used(nlp, hard{"limits.cpu": "0"}) // kwok completes its pods: a finished job holds nothing
	w.admitted(update(w, suspended, func(j *batchv1.Job) { j.Spec.Suspend = new(false) }))
	w.used(nlp, hard{"limits.cpu": "0"})
	w.finished("train", "later")
}

// finished waits until these Jobs are complete.
func (w *world) finished(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if !w.eventually(func(ctx context.Context) (bool, error) {
			var job batchv1.Job
			if err := w.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: name}, &job); err != nil {
				return false, err
			}
			return job.Status.CompletionTime != nil, nil
		}) {
			w.t.Fatalf("job %s does not complete", name)
		}
	}
}

// A CronJob is charged as its Jobs are made; one that does not fit is not made, and the next one is.
func TestCronJob(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "2"})
	holder := w.pod("holder", nlp, cpu("1"))
	w.create(holder)
	w.create(w.cronJob("nightly", nlp, 2, cpu("1")))
	if !w.eventually(func(ctx context.Context) (bool, error) {
		return w.event(ctx, "nightly", "limits.cpu: needs 2, 1 of 2 left (short 1)")
	}) {
		t.Fatal("no event says that the CronJob's Job was refused")
	}
	w.used(nlp, hard{"limits.cpu": "1"})
	w.admitted(w.Delete(t.Context(), holder))
	if !w.eventually(func(ctx context.Context) (bool, error) {
		var nightly batchv1.CronJob
		if err := w.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: "nightly"}, &nightly); err != nil {
			return false, err
		}
		return nightly.Status.LastSuccessfulTime != nil, nil
	}) {
		t.Fatal("no Job of the CronJob succeeded")
	}
}

// event says whether an event about an object of the test's namespace has a text.
func (w *world) event(ctx context.Context, object, text string) (bool, error) {
	events, err := w.events(ctx, w.ns, object)
	return slices.ContainsFunc(events, func(event string) bool { return contains(event, text) }), err
}

func TestDaemonSetChargesItsEligibleNodes(t *testing.T) {
	w := newWorld(t)
	pool := map[string]string{"pool": w.ns}
	for _, name := range []string{"a", "b"} {
		w.addNode(name, pool)
	}
	nlp := w.group("nlp", "", hard{"limits.cpu": "2"})
	agent := w.daemonSet("agent", nlp, cpu("1"))
	// It would run on node-0 and node-1 too. That a and b are ready, managers see a moment later.
	if !w.eventually(func(ctx context.Context) (bool, error) {
		text, _ := refusal(w.Create(ctx, agent, client.DryRunAll))
		return contains(text, "limits.cpu: needs 4, 2 of 2 left (short 2)"), nil
	}) {
		t.Fatal("a DaemonSet for 4 nodes is admitted to 2 cores")
	}
	agent.Spec.Template.Spec.NodeSelector = pool
	w.create(agent)
	w.running(nlp, 2)
	w.used(nlp, hard{"limits.cpu": "2"})

	// A node that joins makes the charge grow by itself: nobody is refused, and the group is over.
	w.addNode("c", pool)
	w.used(nlp, hard{"limits.cpu": "3"})
	w.condition(nlp, stowagev1alpha1.ConditionOvercommitted, true)
	w.admitted(update(w, agent, func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.NodeSelector["pool"] = "none" }))
	w.used(nlp, hard{"limits.cpu": "0"})
}

// addNode gives the lab a node until the test has ended.
func (w *world) addNode(name string, labels map[string]string) {
	w.t.Helper()
	room := hard{"cpu": "8", "memory": "16Gi", "pods": "110"}.list()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: w.name(name), Labels: labels},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "example.com/pool", Value: w.ns, Effect: corev1.TaintEffectPreferNoSchedule}}},
		Status:     corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
	if err := cluster.CreateAll(w.t.Context(), node); err != nil {
		w.t.Fatal(err)
	}
	if !w.eventually(func(ctx context.Context) (bool, error) {
		ready := node.DeepCopy()
		err := w.Get(ctx, client.ObjectKeyFromObject(node), ready)
		return len(ready.Spec.Taints) == len(node.Spec.Taints), err
	}) {
		w.t.Fatalf("node %s does not become ready", node.Name)
	}
	w.t.Cleanup(func() {
		if err := w.Delete(context.Background(), node); err != nil {
			w.t.Error(err)
		}
	})
}

func TestBarePod(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "2", "pods": "5"})
	w.create(w.pod("a", nlp, cpu("2")))
	w.refusedWith(w.Create(t.Context(), w.pod("b", nlp, cpu("1"))), "group "+nlp+": limits.cpu: needs 1, 0 of 2 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "2", "pods": "1"})

	// A pod is resized in place by a subresource.
	a := w.pod("a", nlp, cpu("2"))
	w.running(nlp, 1)
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		t.Fatal(err)
	}
	for i := range a.Status.ContainerStatuses { // a kubelet that can resize says what a container has
		a.Status.ContainerStatuses[i].Resources = &a.Spec.Containers[i].Resources
	}
	if err := w.Status().Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	resize := func(quantity string) error {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		a.Spec.Containers[0].Resources = corev1.ResourceRequirements{
			Limits: hard{"cpu": quantity}.list(), Requests: hard{"cpu": quantity}.list(),
		}
		return w.SubResource("resize").Update(t.Context(), a)
	}
	w.refusedWith(resize("3"), "group "+nlp+": limits.cpu: needs 1, 0 of 2 left (short 1)")
	w.admitted(resize("1"))

	w.admitted(w.Delete(t.Context(), a))
	w.used(nlp, hard{"limits.cpu": "0", "pods": "0"})
}

// What has failed or succeeded holds nothing.
func TestFinishedPod(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "1"})
	a := w.pod("a", nlp, cpu("1"))
	a.Spec.RestartPolicy = corev1.RestartPolicyNever
	w.create(a)
	w.running(nlp, 1)
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		t.Fatal(err)
	}
	a.Status.Phase = corev1.PodSucceeded
	if err := w.Status().Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	w.used(nlp, hard{"limits.cpu": "0"})
	w.create(w.pod("b", nlp, cpu("1")))
}

// A Deployment's update by the difference, its template's resources included.
func TestUpdateIsChargedByTheDifference(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	web := w.deployment("web", nlp, 4, cpu("2"))
	w.create(web)
	w.used(nlp, hard{"limits.cpu": "8"})
	w.refusedWith(update(w, web, func(d *deployment) { *d.Spec.Replicas = 6 }),
		"group "+nlp+": limits.cpu: needs 4, 2 of 10 left (short 2); largest that fits: 5 replicas")
	w.refusedWith(update(w, web, func(d *deployment) { limit(d, "3") }), "group "+nlp+": limits.cpu: needs 4, 2 of 10 left (short 2)")
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 5 }))
	w.used(nlp, hard{"limits.cpu": "10"})
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 2; limit(d, "5") })) // fewer, larger: as much
	w.used(nlp, hard{"limits.cpu": "10"})
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 0 }))
	w.used(nlp, hard{"limits.cpu": "0"})
}

// limit sets the limit of the deployment's container.
func limit(d *deployment, quantity string) {
	d.Spec.Template.Spec.Containers[0].Resources = cpu(quantity)
}

func TestMovingBetweenGroups(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "15"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "10"})
	vision := w.group("vision", ai, hard{"limits.cpu": "5"})
	web := w.deployment("web", nlp, 6, cpu("1"))
	w.create(web)
	w.used(nlp, hard{"limits.cpu": "6"})

	label := func(object *metav1.ObjectMeta, group string) {
		if delete(object.Labels, stowagev1alpha1.GroupLabel); group != "" {
			metav1.SetMetaDataLabel(object, stowagev1alpha1.GroupLabel, group)
		}
	}
	to := func(group string) error { // its pods go along
		return update(w, web, func(d *deployment) { label(&d.ObjectMeta, group); label(&d.Spec.Template.ObjectMeta, group) })
	}
	w.refusedWith(update(w, web, func(d *deployment) { label(&d.ObjectMeta, vision) }),
		"group "+vision+": the pod template's label biz.group.resource.quota names "+nlp)
	w.refused(to(vision), "group "+vision+": limits.cpu: needs 6, 5 of 5 left (short 1); largest that fits: 5 replicas; sibling "+nlp+" has 4 idle")
	w.used(nlp, hard{"limits.cpu": "6"})
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 5 }))
	w.admitted(to(vision))
	w.used(vision, hard{"limits.cpu": "5"})
	w.used(nlp, hard{"limits.cpu": "0"})

	// Out of every group: released. And back in.
	w.admitted(to(""))
	w.used(vision, hard{"limits.cpu": "0"})
	w.create(w.deployment("other", vision, 1, cpu("1")))
	w.alive("6") // the rollout is over, and its old pods are gone
	w.refusedWith(to(vision), "group "+vision+": limits.cpu: needs 5, 4 of 5 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "0"}) // when the ReplicaSet of the first template, whose Deployment is in no group, is empty
	w.admitted(to(nlp))
	w.used(nlp, hard{"limits.cpu": "5"})
}

func TestSurge(t *testing.T) {
	w := newWorld(t)
	counting := func(g *group) { g.Spec.Surge = stowagev1alpha1.SurgeCount }
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"}, counting)
	web := w.deployment("web", nlp, 8, cpu("1"))
	web.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromString("50%"))}
	w.refusedWith(w.Create(t.Context(), web), "group "+nlp+": limits.cpu: needs 12 (4 of it for the surge of an update), 10 of 10 left (short 2); largest that fits: 6 replicas")
	web.Spec.Strategy.RollingUpdate.MaxSurge = new(intstr.FromInt32(2))
	w.create(web)
	w.used(nlp, hard{"limits.cpu": "10"})
	w.admitted(update(w, web, func(d *deployment) { // a rollout is paid for
		d.Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
	}))

	not := w.group("not", "", hard{"limits.cpu": "10"})
	w.create(w.deployment("web2", not, 10, cpu("1")))
	w.used(not, hard{"limits.cpu": "10"})
}

// A rollout's old and new pods are one Deployment: nothing of it is refused in a full group.
func TestRolloutInAFullGroup(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "4", "pods": "4"})
	web := w.deployment("web", nlp, 4, cpu("1"))
	w.create(web)
	w.running(nlp, 4)
	w.admitted(update(w, web, func(d *deployment) { d.Spec.Template.Spec.Containers[0].Image = "example.com/app:v2" }))
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := w.Get(ctx, client.ObjectKeyFromObject(web), web)
		s := web.Status
		return s.ObservedGeneration == web.Generation && s.UpdatedReplicas == 4 && s.AvailableReplicas == 4 && s.Replicas == 4, err
	}) {
		t.Fatalf("the rollout does not end: %+v", web.Status)
	}
	w.used(nlp, hard{"limits.cpu": "4", "pods": "4"})
}

// Bigger units than cores and bytes of one pod: quantities add up exactly.
func TestSumsAreExact(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "1", "limits.memory": "1Gi"})
	third := w.deployment("third", nlp, 3, corev1.ResourceRequirements{Limits: hard{"cpu": "333m", "memory": "341Mi"}.list()})
	w.create(third)
	w.used(nlp, hard{"limits.cpu": "999m", "limits.memory": "1023Mi"})
	rest := w.pod("rest", nlp, corev1.ResourceRequirements{Limits: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2m"), corev1.ResourceMemory: resource.MustParse("1Mi"),
	}})
	w.refusedWith(w.Create(t.Context(), rest), "group "+nlp+": limits.cpu: needs 0.002, 0.001 of 1 left (short 0.001)")
	rest.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("1m")
	rest.Spec.Containers[0].Resources.Requests = nil
	w.create(rest)
}
