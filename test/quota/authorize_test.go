package quota_test

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// grant lets a user edit what is in a namespace.
func (w *world) grant(user, namespace string) {
	w.t.Helper()
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "edit"},
	})
	w.may(user, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Group: "apps", Resource: "deployments"})
}

// grantUse lets a user charge a group.
func (w *world) grantUse(user, group string) {
	w.t.Helper()
	name := group + "-" + user
	use := authorizationv1.ResourceAttributes{
		Verb: "use", Group: stowagev1alpha1.GroupName, Resource: stowagev1alpha1.BizGroupResourceQuotaResource, Name: group,
	}
	role := &rbacv1.ClusterRole{
		ObjectMeta: objectName(name),
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{use.Verb}, APIGroups: []string{use.Group}, Resources: []string{use.Resource}, ResourceNames: []string{group}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: objectName(name),
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: name},
	}
	for _, obj := range []client.Object{role, binding} {
		w.create(obj)
		w.t.Cleanup(func() {
			if err := w.Delete(context.Background(), obj); err != nil {
				w.t.Error(err)
			}
		})
	}
	w.may(user, use)
}

// may waits until the API server has taken in that a user may do something.
func (w *world) may(user string, what authorizationv1.ResourceAttributes) {
	w.t.Helper()
	if !w.eventually(func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &what}}
		err := w.Create(ctx, review)
		return review.Status.Allowed, err
	}) {
		w.t.Fatalf("%s may not %+v", user, what)
	}
}

func disallow(g *group) { g.Spec.Allow = nil }

func TestWhoMayCharge(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"}, disallow)
	alice, bob := w.as("alice"), w.as("bob")
	web := w.deployment("web", nlp, 2, cpu("1"))
	err := alice.Create(t.Context(), web)
	w.refusedWith(err, "alice", nlp, "spec.allow.namespaces", w.ns, `"use"`, "bizgroupresourcequotas/"+nlp)
	w.used(nlp, hard{"limits.cpu": "0"})

	w.grantUse("alice", nlp)
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := alice.Create(ctx, web)
		if _, denied := refusal(err); denied { // the answer of a moment ago may stand for a moment
			return false, nil
		}
		return err == nil, err
	}) {
		t.Fatal("alice, who may use the group, is refused")
	}
	w.used(nlp, hard{"limits.cpu": "2"})

	// Bob may edit what is in the namespace, and may not charge the group more.
	resize := func(replicas int32) error {
		return updateBy(t.Context(), bob, w.deployment("web", "", 0, cpu("1")), func(d *deployment) { *d.Spec.Replicas = replicas })
	}
	w.refusedWith(resize(3), "bob", nlp)
	w.admitted(resize(1))
	w.used(nlp, hard{"limits.cpu": "1"})
}

func TestAllowedNamespaces(t *testing.T) {
	w := newWorld(t)
	pattern := func(p string) func(*group) {
		return func(g *group) { g.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{p}} }
	}
	mine := w.group("mine", "", hard{"limits.cpu": "10"}, pattern(w.ns[:len(w.ns)-2]+"*"))
	other := w.group("other", "", hard{"limits.cpu": "10"}, pattern("x"+w.ns+"*"))
	alice := w.as("alice")
	w.refusedWith(alice.Create(t.Context(), w.deployment("web", other, 1, cpu("1"))), other)
	web := w.deployment("web", mine, 1, cpu("1"))
	w.admitted(alice.Create(t.Context(), web))
	w.refusedWith(updateBy(t.Context(), alice, web, func(d *deployment) { d.Labels[stowagev1alpha1.GroupLabel] = other }), other)
	w.used(mine, hard{"limits.cpu": "1"})
	w.used(other, hard{"limits.cpu": "0"})
}

// requireGroup has every workload of the test's namespace need a group.
func (w *world) requireGroup() {
	w.t.Helper()
	w.admitted(update(w, &corev1.Namespace{ObjectMeta: objectName(w.ns)}, func(ns *corev1.Namespace) {
		ns.Labels[stowagev1alpha1.RequireGroupLabel] = "true"
	}))
	if !w.eventually(func(ctx context.Context) (bool, error) { // the API server chooses webhooks by its own cache of namespaces
		_, denied := refusal(w.Create(ctx, w.pod("probe", "", cpu("1")), client.DryRunAll))
		return denied, nil
	}) {
		w.t.Fatal("a pod without a group is admitted in a namespace that requires one")
	}
}

func TestNamespaceThatRequiresAGroup(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	free := w.deployment("free", "", 1, cpu("1"))
	w.create(free) // from before the label: it stays, and may not grow
	w.requireGroup()
	for _, obj := range []client.Object{
		w.deployment("web", "", 1, cpu("1")), w.statefulSet("db", "", 1, cpu("1")), w.job("train", "", 1, cpu("1")),
		w.pod("bare", "", cpu("1")), w.replicaSet("rs", "", 1, cpu("1")), w.daemonSet("agent", "", cpu("1")),
	} {
		w.refusedWith(w.Create(t.Context(), obj), stowagev1alpha1.GroupLabel, stowagev1alpha1.RequireGroupLabel)
	}
	w.refusedWith(update(w, free, func(d *deployment) { *d.Spec.Replicas = 2 }), stowagev1alpha1.GroupLabel)
	w.admitted(update(w, free, func(d *deployment) { *d.Spec.Replicas = 0 }))

	// A labelled Deployment's pods pass. Its template has the label too.
	web := w.deployment("web", nlp, 2, cpu("1"))
	unlabelled := web.DeepCopy()
	delete(unlabelled.Spec.Template.Labels, stowagev1alpha1.GroupLabel)
	w.refusedWith(w.Create(t.Context(), unlabelled), "to spec.template.metadata.labels")
	w.create(web)
	w.create(w.deployment("api", nlp, 2, cpu("1")))
	for _, app := range []string{"web", "api"} {
		if !w.eventually(func(ctx context.Context) (bool, error) {
			var d deployment
			err := w.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: app}, &d)
			return d.Status.AvailableReplicas == 2, err
		}) {
			t.Fatalf("the pods of deployment %s do not run", app)
		}
	}
	w.used(nlp, hard{"limits.cpu": "4"})
}

// ownedBy is an owner reference as a controller writes it.
func ownedBy(apiVersion, kind string, owner client.Object) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true),
	}}
}

// firstReplicaSet waits for the deployment's ReplicaSet.
func (w *world) firstReplicaSet(of *deployment) *appsv1.ReplicaSet {
	w.t.Helper()
	var sets appsv1.ReplicaSetList
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := w.List(ctx, &sets, client.InNamespace(w.ns), client.MatchingLabels(of.Spec.Selector.MatchLabels))
		return len(sets.Items) > 0, err
	}) {
		w.t.Fatalf("deployment %s has no ReplicaSet", of.Name)
	}
	return &sets.Items[0]
}

func TestForgedOwner(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "2"})
	web := w.deployment("web", nlp, 1, cpu("1"))
	w.create(web)
	owner := ownedBy("apps/v1", "ReplicaSet", w.firstReplicaSet(web))
	w.requireGroup()
	alice := w.as("alice")

	// Where a group is required, it does not stand in for one.
	forged := w.pod("forged", "", cpu("1"))
	forged.OwnerReferences = owner
	w.refused(alice.Create(t.Context(), forged), "metadata.ownerReferences: only the controller of replicasets.apps makes its pods: remove the owner reference")
	gone := w.pod("gone", "", cpu("1"))
	gone.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "none", UID: "none", Controller: new(true)}}
	w.refusedWith(alice.Create(t.Context(), gone), stowagev1alpha1.GroupLabel)

	// Nor does it make a labelled pod free of charge.
	big := w.pod("big", nlp, cpu("2"))
	big.OwnerReferences = owner
	if err := alice.Create(t.Context(), big); err == nil {
		t.Fatal("a pod with a forged owner took 2 cores of the 1 left")
	}
	small := w.pod("small", nlp, cpu("1"))
	w.create(small)
	w.used(nlp, hard{"limits.cpu": "2"})
	err := updateBy(t.Context(), alice, small, func(p *corev1.Pod) { p.OwnerReferences = owner })
	if err == nil {
		w.neverFree(nlp)
	}
}

// neverFree checks for a while that no further core of a full group can be had.
func (w *world) neverFree(group string) {
	w.t.Helper()
	for i := range 20 {
		if err := w.Create(w.t.Context(), w.deployment("more", group, 1, cpu("1")), client.DryRunAll); err == nil {
			w.t.Fatalf("attempt %d: a full group admits one more core", i)
		}
	}
	w.used(group, hard{"limits.cpu": "2"})
}

// A CronJob's Jobs carry the group's label: the template must have it.
func TestCronJobsTemplateNamesTheGroup(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "2"})
	nightly := w.cronJob("nightly", nlp, 1, cpu("1"))
	nightly.Spec.JobTemplate.Labels = nil
	w.refusedWith(w.Create(t.Context(), nightly), "spec.jobTemplate", nlp)
}
