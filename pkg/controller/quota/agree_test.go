package quota

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// world is what the API server holds, by UID.
type world map[types.UID]client.Object

// Owner implements quota.Questions as an API server answers: by namespace, kind and name.
func (w world) Owner(_ context.Context, namespace string, ref *metav1.OwnerReference, _ bool) (*workload.Workload, error) {
	kind := table.Of(workload.OwnerKind(ref))
	for _, obj := range w {
		if kindOf(obj) == kind && obj.GetNamespace() == namespace && obj.GetName() == ref.Name && obj.GetUID() == ref.UID {
			return kind.Read(obj)
		}
	}
	return nil, nil
}

func (world) RequiresGroup(context.Context, string) (bool, error)     { return false, nil }
func (world) TakesPart(context.Context, string) (quota.Answer, error) { return quota.Yes, nil }
func (world) Controls(context.Context, *workload.Kind) (bool, error)  { return false, nil }
func (world) MayCharge(context.Context, *workload.Workload) (quota.Answer, error) {
	return quota.Yes, nil
}

func kindOf(obj client.Object) *workload.Kind {
	resource := map[string]string{
		"*v1.Deployment": "Deployment", "*v1.ReplicaSet": "ReplicaSet",
	}[fmt.Sprintf("%T", obj)]
	if resource == "" {
		return table.Of(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind())
	}
	return table.Of(appsv1.SchemeGroupVersion.WithKind(resource).GroupKind())
}

// The webhook, the controllers' view, kubectl quota check and verify read the same out of
// any world: who made what, and what is charged for it. References are forged in every
// way, sizes differ from templates, and all of it changes.
func TestAllReadTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFeed(t)
		objects, made := world{}, 0
		groups := []*quota.Group{group("a"), group("b")}
		f.put(groups[0], groups[1])
		r.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				name := fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"d", "r", "p"}).Draw(t, "kind"), made)
				if old, ok := pick(t, objects); ok && rapid.Bool().Draw(t, "changes") {
					name = old.GetName()
				} else {
					made++
				}
				obj := drawObject(t, name, objects)
				f.put(obj)
				objects[obj.GetUID()] = obj
			},
			"delete": func(t *rapid.T) {
				if obj, ok := pick(t, objects); ok {
					f.remove(obj)
					delete(objects, obj.GetUID())
				}
			},
			"": func(t *rapid.T) { agree(t, f.view, objects, groups) },
		})
	})
}

func pick(t *rapid.T, objects world) (client.Object, bool) {
	if len(objects) == 0 {
		return nil, false
	}
	return objects[rapid.SampledFrom(slices.Sorted(maps.Keys(objects))).Draw(t, "object")], true
}

// drawObject is an object of the kind that its name begins with. Its UID is its name, so
// that it may be referred to before it is there.
func drawObject(t *rapid.T, name string, objects world) client.Object {
	label := rapid.SampledFrom([]string{"", "a", "a", "b"}).Draw(t, "group")
	spec := podSpec()
	spec.Containers[0].Resources.Limits = cpus(rapid.SampledFrom([]string{"1", "2", "4"}).Draw(t, "cores"))
	replicas := rapid.Int32Range(0, 3).Draw(t, "replicas")
	var obj client.Object
	switch name[0] {
	case 'd':
		d := newDeployment(name, label, replicas)
		d.Spec.Template.Spec, d.Spec.Paused = spec, rapid.Bool().Draw(t, "paused")
		obj = d
	case 'r':
		rs := newReplicaSet(name, label, nil, replicas)
		rs.Spec.Template.Spec = spec
		obj = rs
	default:
		p := newPod(name, label, nil, 0)
		p.Spec.Containers = spec.Containers
		p.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodRunning, corev1.PodRunning, corev1.PodSucceeded}).Draw(t, "phase")
		obj = p
	}
	if owner, ok := pick(t, objects); ok && rapid.IntRange(0, 3).Draw(t, "owned") > 0 {
		ref := metav1.OwnerReference{
			APIVersion: kindOf(owner).GroupVersionKind().GroupVersion().String(), Kind: kindOf(owner).Kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true),
		}
		switch rapid.IntRange(0, 9).Draw(t, "forged") {
		case 0:
			ref.Name = "nobody"
		case 1:
			ref.Kind = rapid.SampledFrom([]string{"Deployment", "ReplicaSet", "StatefulSet"}).Draw(t, "of kind")
		case 2:
			ref.APIVersion = rapid.SampledFrom([]string{"v9", "apps/v9", "example.com/v1"}).Draw(t, "of version")
		case 3:
			ref.UID = "gone"
		case 4:
			obj.SetNamespace("other")
		}
		obj.SetOwnerReferences([]metav1.OwnerReference{ref})
	}
	return obj
}

// agree compares the four.
func agree(t *rapid.T, view *View, objects world, groups []*quota.Group) {
	list := []snapshot.Object{groups[0], groups[1]}
	for _, obj := range objects {
		list = append(list, obj)
	}
	dump := state.New(build.Snapshot(list...), table)
	for _, group := range groups {
		seen, dumped := view.index.SelfUsed(group), dump.Workloads.SelfUsed(group)
		if a, b := seen["limits.cpu"], dumped["limits.cpu"]; a.Cmp(b) != 0 {
			t.Fatalf("group %s: the view counts %s cores, a dump of the same %s", group.Name, a.String(), b.String())
		}
	}
	judge := &quota.Judge{Questions: objects, Kinds: table}
	for uid, obj := range objects {
		self, err := kindOf(obj).Read(obj)
		if err != nil {
			t.Fatal(err)
		}
		owner, err := judge.CountedOwner(t.Context(), self)
		if err != nil {
			t.Fatal(err)
		}
		want := uidOf(owner)
		for name, ix := range map[string]*quota.Index{"the view": view.index, "a dump": dump.Workloads} {
			charger, _ := ix.Charger(ix.Get(uid))
			if charger != nil && charger.UID == uid {
				charger = nil
			}
			if got := uidOf(charger); got != want {
				t.Fatalf("%s is part of %q to admission, and of %q to %s", uid, want, got, name)
			}
		}
	}
}

func uidOf(w *workload.Workload) types.UID {
	if w == nil {
		return ""
	}
	return w.UID
}
