package quota

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
	"github.com/stowage-dev/stowage/test/lab"
)

var cluster *lab.Lab

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	lab.Main(m, &cluster, lab.Options{
		Without: []lab.Component{lab.Scheduler, lab.Kwok},
		// Each controller has its own identity, as in any cluster.
		ExtraArgs: map[lab.Component]map[string]string{lab.ControllerManager: {"use-service-account-credentials": "true"}},
	})
}

// newClient installs the resource definitions and the webhooks, reached at url, and
// returns an administrator's client.
func newClient(t *testing.T, endpoint install.Endpoint) client.WithWatch {
	t.Helper()
	lab.Needed(t)
	if endpoint.URL == "" {
		endpoint.URL = "https://127.0.0.1:1" // nobody is there
	}
	objects, err := install.Objects(install.Options{Kinds: workload.Default(), Webhook: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	if endpoint.CABundle == nil {
		objects = objects[:len(objects)-1]
	}
	if err := install.Apply(t.Context(), cluster.RESTConfig(), objects, install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Reset(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := client.NewWithWatch(cluster.RESTConfig(), client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	defaults := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}}
	enable := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, stowagev1alpha1.QuotaLabel, stowagev1alpha1.QuotaEnabled)
	if err := c.Patch(t.Context(), defaults, client.RawPatch(types.MergePatchType, enable)); err != nil {
		t.Fatal(err)
	}
	return c
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := stowagev1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// list is a list of resources: "limits.cpu", "4".
func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func newGroup(name, parent string, hard corev1.ResourceList) *quota.Group {
	return &quota.Group{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       stowagev1alpha1.BizGroupResourceQuotaSpec{ParentBizGroup: parent, Hard: hard},
	}
}

// create creates an object.
func create[T client.Object](t *testing.T, c client.Client, obj T) T {
	t.Helper()
	if err := c.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// counted creates a group, and counts it as a controller does.
func counted(t *testing.T, c client.Client, group *quota.Group) *quota.Group {
	t.Helper()
	create(t, c, group)
	return count(t, c, group.Name, quota.Seen{})
}

// count counts a group by what is seen, as a controller does.
func count(t *testing.T, c client.Client, name string, seen quota.Seen) *quota.Group {
	t.Helper()
	group, err := settle(t.Context(), c, name, func(*quota.Group) quota.Seen { return seen })
	if err != nil {
		t.Fatal(err)
	}
	return group
}

// settle counts a group by what is seen when it is read.
func settle(ctx context.Context, c client.Client, name string, see func(*quota.Group) quota.Seen) (*quota.Group, error) {
	group := &quota.Group{}
	return group, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(ctx, client.ObjectKey{Name: name}, group); err != nil {
			return err
		}
		seen := see(group)
		if seen.Version == nil {
			seen.Version = func(types.UID) string { return "" }
		}
		now := metav1.NowMicro()
		group.Status = quota.Settle(group, seen, metav1.Time(now))
		group.Status.LastReconcileTime = &now
		return c.Status().Update(ctx, group)
	})
}

// get reads a group.
func get(t *testing.T, c client.Client, name string) *quota.Group {
	t.Helper()
	group := &quota.Group{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, group); err != nil {
		t.Fatal(err)
	}
	return group
}

// over says where a group's ledger is wrong: when more is reserved than it has, or
// used is not what it is made of.
func over(group *quota.Group) error {
	sum := group.Status.SelfUsed.DeepCopy()
	for _, reservation := range group.Status.Reservations {
		for key, amount := range reservation.Amounts {
			total := sum[key]
			total.Add(amount)
			sum[key] = total
		}
	}
	for key, hard := range group.Spec.Hard {
		used, want := group.Status.Used[key], sum[key]
		if used.Cmp(want) != 0 {
			return fmt.Errorf("version %s: %s: used %s, want the sum %s", group.ResourceVersion, key, &used, &want)
		}
		if want.Cmp(hard) > 0 {
			return fmt.Errorf("version %s: %s: %s of %s", group.ResourceVersion, key, &want, &hard)
		}
	}
	return nil
}

// refused says whether err is a webhook's refusal.
func refused(err error) bool { return apierrors.IsForbidden(err) }
