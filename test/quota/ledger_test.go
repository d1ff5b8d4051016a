package quota_test

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/stowage-dev/stowage/test/quota/rig"
)

// scale is what kubectl scale and autoscalers do.
func (w *world) scale(obj client.Object, replicas int32) error {
	return w.SubResource("scale").Update(w.t.Context(), obj,
		client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}))
}

// Ten cores, one used: of two requests for five at once, one is admitted.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	w.create(w.pod("first", nlp, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "1"})
	for _, name := range []string{"a", "b", "c"} { // three times over
		errs := make([]error, 2)
		var all errgroup.Group
		for i := range errs {
			all.Go(func() error {
				errs[i] = w.Create(t.Context(), w.deployment(name+string(rune('0'+i)), nlp, 5, cpu("1")))
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		w.oneAdmitted(errs, "group "+nlp+": limits.cpu: needs 5, 4 of 10 left (short 1)")
		w.used(nlp, hard{"limits.cpu": "6"})
		w.admitted(w.DeleteAllOf(t.Context(), &appsv1.Deployment{}, client.InNamespace(w.ns), client.PropagationPolicy(metav1.DeletePropagationBackground)))
		w.used(nlp, hard{"limits.cpu": "1"})
	}
}

// Many small requests at once fill a group to the last core, and none sees a conflict.
func TestCrowd(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "20"})
	errs := make([]error, 40)
	var all errgroup.Group
	for i := range errs {
		all.Go(func() error {
			errs[i] = w.Create(t.Context(), w.deployment("web-"+string(rune('a'+i/26))+string(rune('a'+i%26)), nlp, 1, cpu("1")))
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	admitted := 0
	for _, err := range errs {
		if err == nil {
			admitted++
			continue
		}
		w.refusedWith(err, "group "+nlp+": limits.cpu: needs 1, 0 of 20 left (short 1)")
	}
	if admitted != 20 {
		t.Errorf("%d of 40 requests for a core each were admitted to 20 cores", admitted)
	}
	w.used(nlp, hard{"limits.cpu": "20"})
}

// What these tests show of several replicas, several replicas did: each has judged requests.
func TestRequestsAreSpread(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"pods": "10"})
	judged := func(i int) bool {
		text, err := w.rig.Metrics(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		return contains(text, `stowage_quota_admissions_total{operation="CREATE",resource="pods",verdict="allowed"}`)
	}
	for i := range w.rig.Size() {
		// Requests take turns, those of others that come in between as well.
		const enough = 50
		for n := 0; !judged(i); n++ {
			if n == enough {
				t.Fatalf("manager %d has admitted none of %d pods", i, enough)
			}
			w.admitted(w.Create(t.Context(), w.pod("web", nlp, cpu("1")), client.DryRunAll))
		}
	}
}

// A charge stands in the ledger before the client has its answer.
func TestChargeIsWrittenBeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	for i, name := range []string{"a", "b", "c"} {
		w.create(w.pod(name, nlp, cpu("1")))
		used := w.status(nlp).Used["limits.cpu"]
		if used.Cmp(*resource.NewQuantity(int64(i+1), resource.DecimalSI)) < 0 {
			t.Fatalf("after %d cores were admitted, used is %s", i+1, &used)
		}
	}
}

// Groups and workloads of one file are applied one right after the other.
func TestWorkloadRightAfterItsGroup(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "5"})
	w.create(w.deployment("web", nlp, 5, cpu("1")))
	w.refusedWith(w.Create(t.Context(), w.pod("more", nlp, cpu("1"))), "group "+nlp+": limits.cpu: needs 1, 0 of 5 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "5"})
}

// A group that is made for workloads that are there already counts them.
func TestGroupAfterItsWorkloads(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "5"})
	w.create(w.deployment("web", nlp, 4, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "4"})
	w.admitted(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) {
		g.Annotations = map[string]string{"stowage.dev/delete-with-workloads": "true"}
	}))
	w.admitted(w.Delete(t.Context(), &group{ObjectMeta: objectName(nlp)}))
	again := newGroup(nlp, "", hard{"limits.cpu": "5"})
	w.create(again)
	w.refusedWith(w.Create(t.Context(), w.pod("big", nlp, cpu("2"))), "limits.cpu: needs 2, 1 of 5 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "4"})
}

func TestDryRunChargesNothing(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "5"})
	w.used(nlp, hard{"limits.cpu": "0"})
	w.refusedWith(w.Create(t.Context(), w.deployment("web", nlp, 6, cpu("1")), client.DryRunAll), "limits.cpu: needs 6, 5 of 5 left (short 1)")
	w.refusedWith(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"limits.cpu": "6"}), client.DryRunAll), "limits.cpu: needs 6, 5 of 10 left (short 1)")
	for range 3 { // each fits alone; if one were charged, the next would not fit
		w.admitted(w.Create(t.Context(), w.deployment("web", nlp, 5, cpu("1")), client.DryRunAll))
		w.admitted(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"limits.cpu": "5"}), client.DryRunAll))
	}
	if n := len(w.status(nlp).Reservations) + len(w.status(ai).Reservations); n > 0 {
		t.Errorf("dry runs left %d reservations", n)
	}
	w.used(nlp, hard{"limits.cpu": "0"})
	w.used(ai, hard{"limits.cpu": "5"})
}

// deny is native quota, which has its say after the webhooks: no more than these objects.
func (w *world) deny(of corev1.ResourceName, most string) *corev1.ResourceQuota {
	w.t.Helper()
	native := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "native"},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard{of: most}.list()},
	}
	w.create(native)
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := w.Get(ctx, client.ObjectKeyFromObject(native), native)
		return len(native.Status.Hard) > 0, err
	}) {
		w.t.Fatal("native quota is not counted")
	}
	return native
}

// A creation that fails after it was admitted holds its charge until the reservation expires, and no longer.
func failedCreateExpires(t *testing.T, w *world) {
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	native := w.deny("count/deployments.apps", "0")
	err := w.Create(t.Context(), w.deployment("web", nlp, 6, cpu("1")))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota") {
		t.Fatalf("got %v, want native quota's refusal", err)
	}
	if used := w.status(nlp).Used["limits.cpu"]; used.Value() != 6 {
		t.Fatalf("used is %s right after the failure, want the 6 reserved", &used)
	}
	w.used(nlp, hard{"limits.cpu": "0"})
	w.admitted(w.Delete(t.Context(), native))

	// A name that is taken is found out after admission too.
	w.create(w.deployment("web", nlp, 5, cpu("1")))
	if err := w.Create(t.Context(), w.deployment("web", nlp, 5, cpu("1"))); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("got %v, want AlreadyExists", err)
	}
	w.used(nlp, hard{"limits.cpu": "5"})
	w.create(w.deployment("api", nlp, 5, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "10"})
}

// A child that failed to be created gives its parent back what it was to take.
func failedGroupExpires(t *testing.T, w *world) {
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "4"})
	if err := w.Create(t.Context(), newGroup(nlp, ai, hard{"limits.cpu": "6"})); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("got %v, want AlreadyExists", err)
	}
	w.used(ai, hard{"limits.cpu": "4"})
}

func authorizationTurnedOff(t *testing.T, w *world) {
	nlp := w.group("nlp", "", hard{"limits.cpu": "2"}, disallow)
	w.admitted(w.as("alice").Create(t.Context(), w.deployment("web", nlp, 2, cpu("1"))))
	w.refusedWith(w.as("bob").Create(t.Context(), w.deployment("api", nlp, 1, cpu("1"))), "limits.cpu: needs 1, 0 of 2 left (short 1)")
}

// With every manager dead, nothing new is admitted, and what shrinks is never refused.
func TestAllManagersDead(t *testing.T) {
	w := newWorldWith(t, rig.Options{})
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	web, api := w.deployment("web", nlp, 6, cpu("1")), w.deployment("api", nlp, 2, cpu("1"))
	gone := w.pod("gone", nlp, cpu("1"))
	for _, obj := range []client.Object{web, api, gone} {
		w.create(obj)
	}
	w.used(nlp, hard{"limits.cpu": "9"})
	for i := range w.rig.Size() {
		if err := w.rig.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // the next tests want them back, whatever happens here
		for i := range w.rig.Size() {
			if err := w.rig.Restart(context.Background(), i); err != nil {
				t.Error(err)
			}
		}
	})
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 5 }))
	w.admitted(w.scale(web, 4))
	w.admitted(update(w, web, func(d *deployment) { d.Annotations = map[string]string{"a": "b"}; d.Labels["team"] = "nlp" }))
	w.admitted(w.Delete(t.Context(), gone))
	w.create(w.deployment("free", "", 1, cpu("1"))) // it names no group: none of the component's business

	for what, err := range map[string]error{
		"a new workload": w.Create(t.Context(), w.deployment("more", nlp, 1, cpu("1"))),
		"growing":        update(w, api, func(d *deployment) { *d.Spec.Replicas = 3 }),
		"scaling up":     w.scale(api, 3),
		"a new group":    w.Create(t.Context(), newGroup(w.name("new"), "", hard{"limits.cpu": "1"})),
	} {
		if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			t.Errorf("%s: got %v, want it refused for want of the webhook", what, err)
		}
	}
	w.admitted(w.scale(api, 1))
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 1 }))
	w.admitted(w.Delete(t.Context(), web, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	w.admitted(w.scale(api, 0))
	w.admitted(w.Delete(t.Context(), api))
	for i := range w.rig.Size() {
		if err := w.rig.Restart(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	w.used(nlp, hard{"limits.cpu": "0"})
	w.create(w.deployment("more", nlp, 5, cpu("1")))
}

// The leader is killed; the others go on admitting, and one of them goes on counting.
func TestLeaderIsKilled(t *testing.T) {
	w := newWorldWith(t, rig.Options{})
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	w.create(w.deployment("web", nlp, 4, cpu("1")))
	w.running(nlp, 4)
	leader, err := w.rig.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.rig.Kill(leader); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.rig.Restart(context.Background(), leader); err != nil {
			t.Error(err)
		}
	})
	w.create(w.deployment("api", nlp, 4, cpu("1")))
	w.refusedWith(w.Create(t.Context(), w.deployment("more", nlp, 3, cpu("1"))), "limits.cpu: needs 3, 2 of 10 left (short 1)")
	w.running(nlp, 8)
	w.admitted(w.Delete(t.Context(), w.deployment("web", nlp, 4, cpu("1"))))
	w.used(nlp, hard{"limits.cpu": "4"})
	now, err := w.rig.Leader(t.Context())
	if err != nil || now == leader {
		t.Errorf("the leader is manager %d (%v), which was killed", now, err)
	}
}

// A graceful end hands the leadership over and drops no request.
func TestManagersAreReplacedOneByOne(t *testing.T) {
	w := newWorldWith(t, rig.Options{})
	nlp := w.group("nlp", "", hard{"limits.cpu": "1k"})
	ctx, stop := context.WithCancel(t.Context())
	var clients errgroup.Group
	created := make([]int64, 4)
	for i := range created {
		clients.Go(func() error {
			for n := int64(0); ctx.Err() == nil; n++ {
				pod := w.pod(string(rune('a'+i))+"-"+resource.NewQuantity(n, resource.DecimalSI).String(), nlp, cpu("10m"))
				if err := w.Create(t.Context(), pod); err != nil {
					return err
				}
				created[i]++
			}
			return nil
		})
	}
	for i := range w.rig.Size() {
		if err := w.rig.Restart(t.Context(), i); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := clients.Wait(); err != nil {
		t.Errorf("a request was lost: %v", err)
	}
	var sum int64
	for _, n := range created {
		sum += n
	}
	w.used(nlp, hard{"limits.cpu": resource.NewMilliQuantity(10*sum, resource.DecimalSI).String()})
}
