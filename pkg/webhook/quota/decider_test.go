package quota

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// newDecider is one that reads everything live.
func newDecider(c client.Client, opts Options) *decider {
	opts.Kinds = workload.Default()
	opts = opts.withDefaults()
	return &decider{
		Options: opts,
		users:   &users{clock: opts.Clock, find: opts.Owners.Users},
		ledger:  newLedger(newGroups(), c, c.Status(), newMeters()),
		access:  webhook.NewAccess(c, clock.RealClock{}),
		cache:   c,
		live:    c,
	}
}

// ask is a request of jane, who may do nothing in particular, about an object.
func ask(t *testing.T, resource metav1.GroupVersionResource, before, after client.Object) *admission.Request {
	t.Helper()
	req := &admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: types.UID(t.Name()), Resource: resource, Operation: admissionv1.Update,
		UserInfo:  authenticationv1.UserInfo{Username: "jane", Groups: []string{"system:authenticated"}},
		Object:    raw(t, after),
		OldObject: raw(t, before),
	}}
	about := after
	switch {
	case before == nil:
		req.Operation = admissionv1.Create
	case after == nil:
		req.Operation, about = admissionv1.Delete, before
	}
	req.Namespace, req.Name = about.GetNamespace(), about.GetName()
	return req
}

func raw(t *testing.T, obj client.Object) runtime.RawExtension {
	t.Helper()
	if obj == nil {
		return runtime.RawExtension{}
	}
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: data}
}

func resourceNamed(group, version, resource string) metav1.GroupVersionResource {
	return metav1.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

var (
	deployments = resourceNamed("apps", "v1", "deployments")
	replicaSets = resourceNamed("apps", "v1", "replicasets")
	pods        = resourceNamed("", "v1", "pods")
	cronJobs    = resourceNamed("batch", "v1", "cronjobs")
	bizrqs      = resourceNamed(stowagev1alpha1.GroupName, "v1alpha1", stowagev1alpha1.BizGroupResourceQuotaResource)
)

// TestReservations looks at what is written for each sort of request.
func TestReservations(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	counted(t, c, newGroup("nlp", "", list("limits.cpu", "100")))
	d := newDecider(c, Options{})
	web := create(t, c, newDeployment("default", "web", "nlp", 2, "1"))
	grown := web.DeepCopy()
	grown.Spec.Replicas = ptr.To[int32](5)
	scale := func(replicas int32) *autoscalingv1.Scale {
		return &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: web.UID, ResourceVersion: "7"},
			Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		}
	}
	child := newGroup("child", "nlp", list("limits.cpu", "10"))
	child.UID, child.ResourceVersion = "child", "8"
	grownChild := child.DeepCopy()
	grownChild.Spec.Hard = list("limits.cpu", "12")

	object := stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Namespace: "default", Name: "web", UID: web.UID}
	for name, test := range map[string]struct {
		decide        decide
		resource      metav1.GroupVersionResource
		before, after client.Object
		object        stowagev1alpha1.ObjectReference
		base, amount  string // of limits.cpu; none for no reservation
	}{
		"creation":             {d.workload, deployments, nil, web, object, "", "2"},
		"growth":               {d.workload, deployments, web, grown, object, web.ResourceVersion, "3"},
		"shrinking":            {d.workload, deployments, grown, web, object, "", ""},
		"scale up":             {d.scale, deployments, scale(2), scale(6), object, "7", "4"},
		"scale down":           {d.scale, deployments, scale(2), scale(1), object, "", ""},
		"child's creation":     {d.group, bizrqs, nil, child, quota.ReferenceTo(child), "", "10"},
		"child's growth":       {d.group, bizrqs, child, grownChild, quota.ReferenceTo(child), "8", "2"},
		"child's shrinking":    {d.group, bizrqs, grownChild, child, quota.ReferenceTo(child), "", ""},
		"child without change": {d.group, bizrqs, child, child, quota.ReferenceTo(child), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := ask(t, test.resource, test.before, test.after)
			check, err := test.decide(inTime(t), req)
			if err != nil || check != nil && !check.Allowed {
				t.Fatalf("%+v, %v; want it allowed", check, err)
			}
			var got []stowagev1alpha1.Reservation
			for _, reservation := range get(t, c, "nlp").Status.Reservations {
				if reservation.UID == req.UID {
					got = append(got, reservation)
				}
			}
			if test.amount == "" {
				if len(got) > 0 {
					t.Errorf("reserved %+v, want nothing", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("reservations %+v, want one", got)
			}
			amount := got[0].Amounts["limits.cpu"]
			if got[0].Object != test.object || got[0].BaseResourceVersion != test.base || amount.String() != test.amount || got[0].Expiry.IsZero() {
				t.Errorf("reserved %+v, want %s for %+v at %q", got[0], test.amount, test.object, test.base)
			}
		})
	}
}

// TestChildren looks at who may say that an object is part of another.
func TestChildren(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	counted(t, c, newGroup("nlp", "", list("limits.cpu", "10")))
	d := newDecider(c, Options{})
	owner := newDeployment("default", "web", "nlp", 2, "1")
	owner.Spec.Paused = true // its controller leaves it alone
	create(t, c, owner)
	newSet := func(replicas int32, of *appsv1.Deployment) *appsv1.ReplicaSet {
		labels := map[string]string{"app": "part"}
		set := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "part", UID: "part", ResourceVersion: "5", Labels: tied("nlp")},
			Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: podTemplate(labels, "1")},
		}
		if of != nil {
			if err := ctrl.SetControllerReference(of, set, c.Scheme()); err != nil {
				t.Fatal(err)
			}
		}
		return set
	}
	gone := owner.DeepCopy()
	gone.UID = "gone"
	other := newSet(2, owner)
	other.OwnerReferences[0].Kind = "StatefulSet" // makes no ReplicaSets
	seen := owners{owner.UID: d.Kinds.ForResource(groupResource(deployments)).Meta(owner)}

	const forged = "metadata.ownerReferences: only the controller of deployments.apps makes its replicasets.apps"
	for name, test := range map[string]struct {
		before, after *appsv1.ReplicaSet
		owners        Owners
		charged       string
		refusal       string
	}{
		"made by another than the controller": {nil, newSet(2, owner), nil, "", forged},
		"the same, seen before":               {nil, newSet(2, owner), seen, "", forged},
		"hidden behind an owner":              {newSet(2, nil), newSet(2, owner), nil, "", forged},
		"an owner that is not there":          {nil, newSet(2, gone), nil, "2", ""},
		"an owner of another kind":            {nil, other, nil, "2", ""},
		"no owner":                            {nil, newSet(2, nil), nil, "2", ""},
		"let go by its owner":                 {newSet(2, owner), newSet(2, nil), nil, "2", ""},
		"made larger":                         {newSet(2, owner), newSet(3, owner), nil, "", "is part of deployment.apps/web, which charges group nlp for it"},
		"made smaller":                        {newSet(2, owner), newSet(1, owner), nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := *d
			if test.owners != nil {
				d.Owners = test.owners
			}
			var before client.Object
			if test.before != nil {
				before = test.before
			}
			req := ask(t, replicaSets, before, test.after)
			check, err := d.workload(inTime(t), req)
			if err != nil {
				t.Fatal(err)
			}
			if test.refusal != "" {
				if check == nil || check.Allowed || !strings.Contains(quota.Text(check), test.refusal) {
					t.Errorf("%+v, want a refusal with %q", check, test.refusal)
				}
				return
			}
			if check != nil && !check.Allowed {
				t.Errorf("refused: %s", quota.Text(check))
			}
			charged := ""
			for _, reservation := range get(t, c, "nlp").Status.Reservations {
				if reservation.UID == req.UID {
					amount := reservation.Amounts["limits.cpu"]
					charged = amount.String()
				}
			}
			if charged != test.charged {
				t.Errorf("charged %q, want %q", charged, test.charged)
			}
		})
	}
	t.Run("made by the controller", func(t *testing.T) {
		req := ask(t, replicaSets, nil, newSet(2, owner))
		req.UserInfo = authenticationv1.UserInfo{
			Username: "system:serviceaccount:kube-system:deployment-controller",
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
		}
		if check, err := d.workload(inTime(t), req); check != nil || err != nil {
			t.Errorf("%+v, %v; want nothing to judge", check, err)
		}
	})
	t.Run("left by an owner being deleted", func(t *testing.T) {
		must(t, update(t, c, owner, func() { owner.Finalizers = []string{"example.org/held"} }))
		t.Cleanup(func() {
			must(t, client.IgnoreNotFound(c.Patch(context.WithoutCancel(t.Context()), owner, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))))
		})
		if err := c.Delete(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		check, err := d.workload(inTime(t), ask(t, replicaSets, newSet(50, owner), newSet(50, nil)))
		if err != nil || !check.Allowed {
			t.Errorf("%+v, %v; want it allowed, as it does not grow", check, err)
		}
	})
}

// owners are the objects that were seen, by UID.
type owners map[types.UID]*workload.Workload

func (o owners) Lookup(uid types.UID) *workload.Workload { return o[uid] }
func (o owners) Living(types.UID) []quota.Part           { return nil }
func (o owners) Defaults(string) workload.Defaults       { return workload.Defaults{} }

func (o owners) Users(*quota.Group, corev1.ResourceName) []quota.User { return nil }

func (o owners) Named(kind *workload.Kind, namespace, name string) *workload.Workload {
	for _, w := range o {
		if w.Kind == kind && w.Namespace == namespace && w.Name == name {
			return w
		}
	}
	return nil
}

func TestUnreadable(t *testing.T) {
	d := newDecider(newClient(t, install.Endpoint{}), Options{})
	for name, test := range map[string]struct {
		decide   decide
		resource metav1.GroupVersionResource
		object   string
		want     string
	}{
		"no object":  {d.workload, deployments, ``, "request.object: expected an object"},
		"null":       {d.workload, deployments, `null`, "request.object: expected an object, found none"},
		"a field":    {d.workload, deployments, `{"metadata": {"labels": {"biz.group.resource.quota": "nlp"}}, "spec": {"replicas": "two", "template": {}}}`, "spec.replicas"},
		"autoscaler": {d.autoscaler, resourceNamed("autoscaling", "v2", "horizontalpodautoscalers"), `{"spec": {"maxReplicas": "two"}}`, "request.object: "},
		"group":      {d.group, bizrqs, `{"spec": {"hard": {"limits.cpu": "much"}}}`, "request.object: "},
	} {
		t.Run(name, func(t *testing.T) {
			req := ask(t, test.resource, nil, &corev1.Pod{})
			req.Object.Raw = []byte(test.object)
			_, err := test.decide(t.Context(), req)
			if bad := (webhook.BadRequest{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want a bad request that says %q", err, test.want)
			}
		})
	}
}

func groupResource(r metav1.GroupVersionResource) schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Resource}
}
