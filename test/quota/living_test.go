package quota_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Whoever may edit a namespace cannot have more run than its group has, by no way that
// is known. Each of these tests is one that was found.

// siege is a namespace in which every workload needs a group, a group of five cores that
// it may charge, and a client of somebody who may edit the namespace.
type siege struct {
	*world
	editor client.Client
	group  string
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	s := newFreeSiege(t)
	s.requireGroup()
	return s
}

// newFreeSiege is one in a namespace in which workloads need no group.
func newFreeSiege(t *testing.T) *siege {
	t.Helper()
	w := newWorld(t)
	return &siege{world: w, editor: w.as(w.name("editor")), group: w.group("nlp", "", hard{"limits.cpu": "5"})}
}

// live is the sum of limits.cpu of the namespace's pods that have not ended.
func (w *world) live(ctx context.Context) (resource.Quantity, error) {
	var pods corev1.PodList
	var sum resource.Quantity
	if err := w.List(ctx, &pods, client.InNamespace(w.ns)); err != nil {
		return sum, err
	}
	for i := range pods.Items {
		if phase := pods.Items[i].Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			continue
		}
		for _, container := range pods.Items[i].Spec.Containers {
			sum.Add(*container.Resources.Limits.Cpu())
		}
	}
	return sum, nil
}

// holds checks, for as long as controllers need to do their worst, that no more lives
// than the group has.
func (s *siege) holds() {
	s.t.Helper()
	for range 30 {
		live, err := s.live(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if most := resource.MustParse("5"); live.Cmp(most) > 0 {
			s.t.Fatalf("%s cores live in a group of %s; its ledger says %v", live.String(), most.String(), s.status(s.group).Used)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *siege) set(name string, replicas int32, cores string, changes ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	set := s.statefulSet(name, s.group, replicas, cpu(cores))
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	for _, change := range changes {
		change(set)
	}
	return set
}

func (s *siege) web(name string, replicas int32, cores string) *appsv1.Deployment {
	return s.deployment(name, s.group, replicas, cpu(cores))
}

// scale scales as kubectl does, by the subresource.
func (s *siege) scale(obj client.Object, replicas int32) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	obj = obj.DeepCopyObject().(client.Object) // the answer is a Scale
	return s.editor.SubResource("scale").Patch(s.t.Context(), obj, client.RawPatch(types.MergePatchType, patch))
}

// edit updates as the editor.
func edit[T client.Object](s *siege, obj T, change func(T)) error {
	s.t.Helper()
	return updateBy(s.t.Context(), s.editor, obj, change)
}

func (s *siege) make(obj client.Object) error { return s.editor.Create(s.t.Context(), obj) }

func small(template *corev1.PodTemplateSpec) { template.Spec.Containers[0].Resources = cpu("10m") }

// A reference to a counted object's UID, with anything else wrong, hides nothing.
func TestOwnersAreNotBelievedByUID(t *testing.T) {
	s := newSiege(t)
	anchor := s.pod("anchor", s.group, cpu("10m"))
	s.admitted(s.make(anchor))
	s.admitted(s.make(s.set("db-1", 1, "4")))
	s.used(s.group, hard{"limits.cpu": "4010m"})
	db := s.statefulSet("db-1", "", 0, cpu("4"))
	if err := edit(s, db, func(set *appsv1.StatefulSet) {
		set.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v9", Kind: "Pod", Name: "nobody", UID: anchor.UID, Controller: new(true)}}
	}); err != nil {
		t.Log(err) // that it is refused is as good
	}
	time.Sleep(time.Second)
	s.used(s.group, hard{"limits.cpu": "4010m"})
	s.refusedWith(s.make(s.set("db-2", 1, "4")), "limits.cpu: needs 4")
	s.holds()
}

// Nor does a namespace's own user charge another's group by the UID of what is counted
// there.
func TestStrangersChargeNoHours(t *testing.T) {
	s := newSiege(t)
	cash := s.world.group("cash", "", hard{"limits.cpu": "5", "cash/limits.cpu": "1"})
	web := s.deployment("web", cash, 1, cpu("10m"))
	s.admitted(s.make(web))
	s.running(cash, 1)
	var sets appsv1.ReplicaSetList
	s.admitted(s.List(t.Context(), &sets, client.InNamespace(s.ns)))
	other := newWorld2(s.world)
	for i := range 4 {
		leech := other.pod(fmt.Sprintf("leech-%d", i), "", cpu("400"))
		leech.Spec.Containers[0].Resources.Requests = hard{"cpu": "1m"}.list()
		leech.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v9", Kind: "ReplicaSet", Name: "x", UID: sets.Items[0].UID, Controller: new(true)}}
		other.create(leech)
	}
	time.Sleep(8 * time.Second) // 1600 cores would be 3.5 hours by then
	s.admitted(s.make(s.deployment("web2", cash, 1, cpu("10m"))))
	s.used(cash, hard{"limits.cpu": "20m"})
	if used := s.status(cash).Used["cash/limits.cpu"]; used.Cmp(resource.MustParse("100m")) > 0 {
		t.Errorf("%s hours are used, by pods of another namespace", used.String())
	}
}

// newWorld2 is another namespace beside a test's own, with nothing to do with quota.
func newWorld2(w *world) *world {
	other := *w
	other.ns = w.ns + "-other"
	other.create(&corev1.Namespace{ObjectMeta: objectName(other.ns)})
	w.t.Cleanup(other.cleanUp)
	return &other
}

// Controllers go on making pods of the template before, which cost what they cost.
func TestOlderTemplatesAreCharged(t *testing.T) {
	for name, test := range map[string]struct {
		object func(*siege) client.Object
		shrink func(client.Object)
	}{
		"partition": {
			func(s *siege) client.Object { return s.set("db", 1, "4") },
			func(obj client.Object) {
				set := obj.(*appsv1.StatefulSet)
				set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](1000)}
				small(&set.Spec.Template)
			},
		},
		"on delete": {
			func(s *siege) client.Object { return s.set("db", 1, "4") },
			func(obj client.Object) {
				set := obj.(*appsv1.StatefulSet)
				set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
				small(&set.Spec.Template)
			},
		},
		"paused": {
			func(s *siege) client.Object { return s.web("web", 1, "4") },
			func(obj client.Object) {
				web := obj.(*appsv1.Deployment)
				web.Spec.Paused = true
				small(&web.Spec.Template)
			},
		},
		"stuck": {
			func(s *siege) client.Object {
				web := s.web("web", 1, "4")
				zero, one := intstr.FromInt32(0), intstr.FromInt32(1)
				web.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &zero, MaxSurge: &one}
				return web
			},
			func(obj client.Object) {
				web := obj.(*appsv1.Deployment)
				web.Spec.Template.Spec.NodeSelector = map[string]string{"no": "node"}
				small(&web.Spec.Template)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiege(t)
			obj := test.object(s)
			s.admitted(s.make(obj))
			s.running(s.group, 1)
			s.used(s.group, hard{"limits.cpu": "4"})
			s.admitted(edit(s, obj, test.shrink))
			s.used(s.group, hard{"limits.cpu": "4"})
			s.refusedWith(s.scale(obj, 10), "limits.cpu: needs 36")
			s.holds()
			s.admitted(s.scale(obj, 0)) // shrinking is always let through
			s.used(s.group, hard{"limits.cpu": "0"})
			s.running(s.group, 0)
		})
	}
}

// A workload with nothing running, whose controller would make the pods of the template
// before the change.
func TestOlderTemplatesOfNothing(t *testing.T) {
	s := newSiege(t)
	web := s.web("web", 1, "4")
	s.admitted(s.make(web))
	s.running(s.group, 1)
	s.admitted(s.scale(web, 0))
	s.used(s.group, hard{"limits.cpu": "0"})
	s.running(s.group, 0)
	s.admitted(edit(s, web, func(d *appsv1.Deployment) { d.Spec.Paused = true; small(&d.Spec.Template) }))
	s.refusedWith(s.scale(web, 10), "limits.cpu: needs 40")
	s.admitted(edit(s, web, func(d *appsv1.Deployment) { d.Spec.Paused = false }))

	db := s.set("db", 1, "4")
	s.admitted(s.make(db))
	s.running(s.group, 1)
	s.admitted(s.scale(db, 0))
	s.running(s.group, 0)
	s.refusedWith(edit(s, db, func(set *appsv1.StatefulSet) {
		set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](1000)}
		set.Spec.Replicas = ptr.To[int32](10)
		small(&set.Spec.Template)
	}), "limits.cpu: needs 40")
	s.holds()
}

// orphan deletes a workload and leaves what it made.
func (s *siege) orphan(obj client.Object) {
	s.t.Helper()
	s.admitted(s.editor.Delete(s.t.Context(), obj, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	if !s.eventually(func(ctx context.Context) (bool, error) {
		err := s.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}) {
		s.t.Fatalf("%s is never gone", obj.GetName())
	}
}

// What a workload adopts is charged as large as it is.
func TestAdoptedPodsAreCharged(t *testing.T) {
	s := newSiege(t)
	first := s.pod("s1-0", s.group, cpu("4"))
	first.Labels["app"] = "s1"
	s.admitted(s.make(first))
	s.admitted(s.make(s.set("s1", 1, "10m", func(set *appsv1.StatefulSet) {
		set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	})))
	if !s.eventually(func(ctx context.Context) (bool, error) {
		var pod corev1.Pod
		err := s.Get(ctx, client.ObjectKeyFromObject(first), &pod)
		return metav1.GetControllerOf(&pod) != nil, err
	}) {
		t.Fatal("the pod is not adopted")
	}
	s.used(s.group, hard{"limits.cpu": "4"})
	second := s.pod("s2-0", s.group, cpu("4"))
	second.Labels["app"] = "s2"
	s.refusedWith(s.make(second), "limits.cpu: needs 4, 1 of 5 left (short 3)")

	// A ReplicaSet that is left behind is adopted by a Deployment of smaller pods.
	s.admitted(s.editor.Delete(t.Context(), s.set("s1", 1, "10m")))
	s.used(s.group, hard{"limits.cpu": "0"})
	web := s.web("web", 1, "4")
	s.admitted(s.make(web))
	s.running(s.group, 1)
	s.orphan(web)
	s.used(s.group, hard{"limits.cpu": "4"})
	again := s.web("web", 1, "10m")
	again.Spec.Paused = true
	s.admitted(s.make(again))
	if !s.eventually(func(ctx context.Context) (bool, error) {
		var sets appsv1.ReplicaSetList
		err := s.List(ctx, &sets, client.InNamespace(s.ns))
		return len(sets.Items) == 1 && metav1.IsControlledBy(&sets.Items[0], again), err
	}) {
		t.Fatal("the ReplicaSet is not adopted")
	}
	s.used(s.group, hard{"limits.cpu": "4"})
	s.refusedWith(s.scale(again, 10), "limits.cpu: needs 36")
	s.holds()
}

// Pods that take long to end are charged until they have.
func TestTerminatingPodsAreCharged(t *testing.T) {
	s := newSiege(t)
	web := s.web("web", 1, "4")
	web.Spec.Template.Spec.NodeName = "nowhere" // nothing there lets it end
	web.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](3600)
	s.admitted(s.make(web))
	s.used(s.group, hard{"limits.cpu": "4"})
	s.alive("4")
	s.admitted(s.scale(web, 0))
	if !s.eventually(func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := s.List(ctx, &pods, client.InNamespace(s.ns))
		return len(pods.Items) == 1 && pods.Items[0].DeletionTimestamp != nil, err
	}) {
		t.Fatal("the pod does not end")
	}
	s.used(s.group, hard{"limits.cpu": "4"})
	s.refusedWith(s.scale(web, 1), "limits.cpu: needs 4, 1 of 5 left")
	s.refusedWith(s.make(s.web("other", 1, "4")), "limits.cpu: needs 4")
}

// alive waits until so many cores live.
func (w *world) alive(cores string) {
	w.t.Helper()
	want, got := resource.MustParse(cores), resource.Quantity{}
	if !w.eventually(func(ctx context.Context) (done bool, err error) {
		got, err = w.live(ctx)
		return got.Cmp(want) == 0, err
	}) {
		w.t.Fatalf("%s cores live, want %s", got.String(), cores)
	}
}

// A Deployment that is being deleted and held scales nothing down: what its ReplicaSet is
// yet to make stays charged, whatever it declares.
func TestWantedPodsAreCharged(t *testing.T) {
	s := newSiege(t)
	const held, account = "example.com/held", "later"
	web := s.web("web", 4, "1")
	web.Finalizers = []string{held}
	web.Spec.Template.Spec.ServiceAccountName = account // no pod can be made before it is there
	s.admitted(s.make(web))
	defer func() {
		if err := edit(s, web, func(d *appsv1.Deployment) { d.Finalizers = nil }); err != nil {
			t.Error(err)
		}
	}()
	if !s.eventually(func(ctx context.Context) (bool, error) {
		var sets appsv1.ReplicaSetList
		err := s.List(ctx, &sets, client.InNamespace(s.ns))
		return len(sets.Items) == 1 && ptr.Deref(sets.Items[0].Spec.Replicas, 1) == 4, err
	}) {
		t.Fatal("there is no ReplicaSet of 4")
	}
	s.admitted(s.editor.Delete(t.Context(), web))
	s.admitted(s.scale(web, 0))
	s.used(s.group, hard{"limits.cpu": "4"})
	s.refusedWith(s.make(s.web("other", 4, "1")), "limits.cpu: needs 4, 1 of 5 left")
	s.admitted(s.make(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: account}}))
	s.alive("4")
	s.used(s.group, hard{"limits.cpu": "4"})
}

// Where a group is required, what a workload makes names it too: it may come to stand by
// itself.
func TestOrphansStayCharged(t *testing.T) {
	s := newSiege(t)
	bare := s.web("bare", 1, "4")
	delete(bare.Spec.Template.Labels, stowagev1alpha1.GroupLabel)
	s.refusedWith(s.make(bare), "add the label "+stowagev1alpha1.GroupLabel+": "+s.group+" to spec.template.metadata.labels")

	web := s.web("web", 1, "4")
	s.admitted(s.make(web))
	s.running(s.group, 1)
	s.refusedWith(edit(s, web, func(d *appsv1.Deployment) { delete(d.Spec.Template.Labels, stowagev1alpha1.GroupLabel) }),
		"add the label "+stowagev1alpha1.GroupLabel)
	s.orphan(web)
	s.used(s.group, hard{"limits.cpu": "4"})
	s.refusedWith(s.make(s.web("web-2", 1, "4")), "limits.cpu: needs 4")
	s.holds()
}

// A pod that is taken out of a full group's ReplicaSet is let go, and counted; the
// ReplicaSet goes on.
func TestTakenOutForDebugging(t *testing.T) {
	s := newSiege(t)
	web := s.web("web", 5, "1")
	s.admitted(s.make(web))
	s.running(s.group, 5)
	var pods corev1.PodList
	s.admitted(s.List(t.Context(), &pods, client.InNamespace(s.ns)))
	taken := &pods.Items[0]
	s.admitted(edit(s, taken, func(pod *corev1.Pod) { pod.Labels["app"] = "debug" }))
	s.used(s.group, hard{"limits.cpu": "6"}) // which the controller did: counted, over
	s.alive("6")
	s.refusedWith(s.scale(web, 6), "limits.cpu: needs 1, -1 of 5 left (short 2)")
	s.admitted(s.editor.Delete(t.Context(), &pods.Items[1], client.GracePeriodSeconds(0)))
	s.alive("6") // it makes another one
	s.admitted(s.editor.Delete(t.Context(), taken, client.GracePeriodSeconds(0)))
	s.used(s.group, hard{"limits.cpu": "5"})
}

// What stood before its namespace came to require groups goes on, as large as it is.
func TestRequireGroupLater(t *testing.T) {
	w := newWorld(t)
	old := w.deployment("old", "", 2, cpu("1"))
	w.create(old)
	w.alive("2")
	w.requireGroup()
	var pods corev1.PodList
	w.admitted(w.List(t.Context(), &pods, client.InNamespace(w.ns)))
	w.admitted(w.Delete(t.Context(), &pods.Items[0], client.GracePeriodSeconds(0)))
	ready := func() {
		t.Helper()
		if !w.eventually(func(ctx context.Context) (bool, error) {
			err := w.Get(ctx, client.ObjectKeyFromObject(old), old)
			s := old.Status
			return s.ObservedGeneration == old.Generation && s.ReadyReplicas == 2 && s.UpdatedReplicas == 2 && s.Replicas == 2, err
		}) {
			t.Fatalf("the Deployment is not as it was: %+v", old.Status)
		}
	}
	time.Sleep(time.Second)
	ready()
	w.admitted(update(w, old, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "example.com/app:2" }))
	ready()
	w.refusedWith(update(w, old, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) }), "every workload needs a group")
	w.refusedWith(w.Create(t.Context(), w.pod("new", "", cpu("1"))), "every workload needs a group")
}

// Where no group is required, the parts of a counted workload are judged by it.
func TestUnlabelledParts(t *testing.T) {
	s := newFreeSiege(t)
	web := s.web("web", 1, "4")
	delete(web.Spec.Template.Labels, stowagev1alpha1.GroupLabel)
	s.admitted(s.make(web))
	s.alive("4")
	s.used(s.group, hard{"limits.cpu": "4"})
	s.admitted(edit(s, web, func(d *appsv1.Deployment) { d.Spec.Paused = true }))
	var sets appsv1.ReplicaSetList
	s.admitted(s.List(t.Context(), &sets, client.InNamespace(s.ns)))
	s.refusedWith(edit(s, &sets.Items[0], func(set *appsv1.ReplicaSet) {
		set.Spec.Template.Spec.Containers[0].Resources = cpu("400")
	}), "is part of deployment.apps/web, which charges group "+s.group)
	s.holds()
}

// Who does nothing wrong loses nothing: in a full group a workload is rolled out, rolled
// back, and scaled to zero and back.
func TestRolloutsInAFullGroup(t *testing.T) {
	for name, test := range map[string]struct {
		object   func(*siege) client.Object
		template func(client.Object) *corev1.PodTemplateSpec
		done     func(client.Object) bool
	}{
		"Deployment": {
			func(s *siege) client.Object { return s.web("web", 5, "1") },
			func(obj client.Object) *corev1.PodTemplateSpec { return &obj.(*appsv1.Deployment).Spec.Template },
			func(obj client.Object) bool {
				d := obj.(*appsv1.Deployment)
				return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 5 && d.Status.AvailableReplicas == 5 && d.Status.Replicas == 5
			},
		},
		"StatefulSet": {
			func(s *siege) client.Object { return s.set("db", 5, "1") },
			func(obj client.Object) *corev1.PodTemplateSpec { return &obj.(*appsv1.StatefulSet).Spec.Template },
			func(obj client.Object) bool {
				set := obj.(*appsv1.StatefulSet)
				return set.Status.ObservedGeneration == set.Generation && set.Status.UpdatedReplicas == 5 && set.Status.ReadyReplicas == 5 &&
					set.Status.CurrentRevision == set.Status.UpdateRevision
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiege(t)
			obj := test.object(s)
			s.admitted(s.make(obj))
			settled := func() {
				t.Helper()
				if !s.eventually(func(ctx context.Context) (bool, error) {
					err := s.Get(ctx, client.ObjectKeyFromObject(obj), obj)
					return test.done(obj), err
				}) {
					t.Fatalf("never done: %+v", obj)
				}
				s.used(s.group, hard{"limits.cpu": "5"})
			}
			settled()
			for _, image := range []string{"example.com/app:2", "example.com/app"} {
				s.admitted(edit(s, obj, func(obj client.Object) { test.template(obj).Spec.Containers[0].Image = image }))
				settled()
			}
			s.admitted(s.scale(obj, 0))
			s.used(s.group, hard{"limits.cpu": "0"}) // its pods are gone
			s.admitted(s.scale(obj, 5))
			settled()
		})
	}
}

// A workload from before the label, whose template names no group, cannot let its pods
// go to nobody.
func TestUnlabelledPartsAreNotRelabelled(t *testing.T) {
	s := newFreeSiege(t)
	web := s.web("web", 2, "1")
	delete(web.Spec.Template.Labels, stowagev1alpha1.GroupLabel)
	s.admitted(s.make(web))
	s.alive("2")
	s.requireGroup()
	var pods corev1.PodList
	s.admitted(s.List(t.Context(), &pods, client.InNamespace(s.ns)))
	taken := &pods.Items[0]
	s.refusedWith(edit(s, taken, func(pod *corev1.Pod) { pod.Labels["app"] = "debug" }), "add the label "+stowagev1alpha1.GroupLabel+": "+s.group+" with them")
	s.admitted(edit(s, taken, func(pod *corev1.Pod) {
		pod.Labels["app"], pod.Labels[stowagev1alpha1.GroupLabel] = "debug", s.group
	}))
	s.alive("3") // it is let go, and replaced
	s.used(s.group, hard{"limits.cpu": "3"})
}
