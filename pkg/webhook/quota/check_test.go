package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	quotaplugin "github.com/stowage-dev/stowage/plugins/quota"
	"github.com/stowage-dev/stowage/test/command"
)

// sameCase is a change that the webhook and kubectl quota check must judge alike.
type sameCase struct {
	resource metav1.GroupVersionResource
	// before is what is in the cluster; nil for a creation.
	before, after client.Object
	// replicas is what before is scaled to, where after is nil.
	replicas int32
	// refused and warned are parts of the reasons and of the warnings; empty for none.
	refused, warned string
}

// TestCheckSaysTheSame gives every case to the webhook's decider and to kubectl quota
// check, both asked by jane, who may use no group.
func TestCheckSaysTheSame(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	for _, name := range []string{"nlp", "full"} {
		group := newGroup(name, "", list("limits.cpu", "10"))
		group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"free", "strict"}}
		counted(t, c, group)
	}
	count(t, c, "full", quota.Seen{Self: list("limits.cpu", "10")})
	create(t, c, newNamespace("free", takesPart))
	create(t, c, newNamespace("strict", map[string]string{stowagev1alpha1.RequireGroupLabel: "true"}))
	create(t, c, newNamespace("other", takesPart))
	create(t, c, newNamespace("outside", nil))
	cases := sameCases(t, c)
	letReadAll(t, c, "jane")
	d := newDecider(c, Options{Authorize: true})
	for _, name := range []string{"nlp", "full"} { // as its watch would
		d.ledger.groups.put(get(t, c, name))
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			admission := test.decide(t, d)
			check := test.check(t)
			for _, verdict := range []*report.QuotaCheck{admission, check} {
				if text := quota.Text(verdict); verdict.Allowed != (test.refused == "") || !strings.Contains(text, test.refused) {
					t.Errorf("reasons %q, want %q", text, test.refused)
				}
			}
			if text := strings.Join(admission.Warnings, "\n"); (text == "") != (test.warned == "") || !strings.Contains(text, test.warned) {
				t.Errorf("warnings %q, want %q", text, test.warned)
			}
			for _, warning := range admission.Warnings { // to which the check adds what it does not cover
				if !slices.Contains(check.Warnings, warning) {
					t.Errorf("the check does not warn %q", warning)
				}
			}
			if diff := cmp.Diff(admission, check, cmpopts.EquateEmpty(),
				cmpopts.IgnoreFields(report.QuotaCheck{}, "TypeMeta", "Object", "Group", "Warnings"), cmpopts.IgnoreFields(report.QuotaExceeded{}, "Users"), cmp.Comparer(sameQuantity)); diff != "" {
				t.Errorf("- is the webhook, + is the check:\n%s", diff)
			}
		})
	}
}

func sameQuantity(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }

// decide is the decider's verdict on the case, as a dry run.
func (test sameCase) decide(t *testing.T, d *decider) *report.QuotaCheck {
	t.Helper()
	decide, before, after := d.workload, test.before, test.after
	if after == nil {
		decide = d.scale
		meta := metav1.ObjectMeta{Namespace: before.GetNamespace(), Name: before.GetName(), UID: before.GetUID()}
		before = &autoscalingv1.Scale{ObjectMeta: meta}
		after = &autoscalingv1.Scale{ObjectMeta: meta, Spec: autoscalingv1.ScaleSpec{Replicas: test.replicas}}
		before.(*autoscalingv1.Scale).Spec.Replicas = 2
	}
	req := ask(t, test.resource, before, after)
	req.DryRun = new(true)
	check, err := decide(inTime(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if check == nil {
		return &report.QuotaCheck{Allowed: true}
	}
	for i, reason := range check.Reasons {
		check.Reasons[i] = strings.Replace(reason, "user jane may not", "you may not", 1)
	}
	return check
}

// check is the command's verdict on the case.
func (test sameCase) check(t *testing.T) *report.QuotaCheck {
	t.Helper()
	args, stdin := []string{"check", "-f", "-"}, ""
	if test.after == nil {
		args = []string{"check", test.resource.Resource + "/" + test.before.GetName(), fmt.Sprintf("--replicas=%d", test.replicas), "-n", test.before.GetNamespace()}
	} else {
		stdin = string(raw(t, typed(t, test.after)).Raw)
	}
	result := runCheck(t, stdin, args...)
	verdict := &report.QuotaCheck{}
	if err := json.Unmarshal([]byte(result.Stdout), verdict); err != nil || result.Code != 0 {
		t.Fatalf("%v:\n%s", err, result)
	}
	return verdict
}

func runCheck(t *testing.T, stdin string, args ...string) command.Result {
	t.Helper()
	plugin := command.Plugin{Name: "quota", New: quotaplugin.NewCommand}
	return plugin.RunAt(t, clock.RealClock{}, stdin, append(args, "-o", "json", "--kubeconfig", cluster.Kubeconfig(), "--as", "jane")...)
}

// typed is obj with its kind written down, as files have it.
func typed(t *testing.T, obj client.Object) client.Object {
	t.Helper()
	kinds, _, err := newScheme(t).ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	out := obj.DeepCopyObject().(client.Object)
	out.GetObjectKind().SetGroupVersionKind(kinds[0])
	out.SetManagedFields(nil)
	return out
}

// letReadAll lets a user read everything, and waits until that is known.
func letReadAll(t *testing.T, c client.Client, user string) {
	t.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "read-all"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list"}}},
	}
	create(t, c, role)
	create(t, c, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user, APIGroup: rbacv1.GroupName}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	})
	var result command.Result
	pod := string(raw(t, typed(t, newPod("free", "first", "nlp", "1"))).Raw)
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		result = runCheck(t, pod, "check", "-f", "-")
		return result.Code == 0 && result.Stderr == "", nil
	}); err != nil {
		t.Fatalf("%s never reads everything:\n%s", user, result)
	}
}

// edited is a changed copy of an object.
func edited[T client.Object](obj T, change func(T)) T {
	out := obj.DeepCopyObject().(T)
	change(out)
	return out
}

// partOf makes obj part of an owner.
func partOf[T client.Object](t *testing.T, c client.Client, owner client.Object, obj T) T {
	t.Helper()
	if err := ctrl.SetControllerReference(owner, obj, c.Scheme()); err != nil {
		t.Fatal(err)
	}
	return obj
}

// newSet is a ReplicaSet of a Deployment, with its replicas and template.
func newSet(t *testing.T, c client.Client, of *appsv1.Deployment) *appsv1.ReplicaSet {
	t.Helper()
	return partOf(t, c, of, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name + "-1", Labels: of.Spec.Template.Labels},
		Spec:       appsv1.ReplicaSetSpec{Replicas: of.Spec.Replicas, Selector: of.Spec.Selector, Template: of.Spec.Template},
	})
}

// paused is a Deployment that its controller leaves alone.
func paused(d *appsv1.Deployment) *appsv1.Deployment {
	d.Spec.Paused = true
	return d
}

// leaving is a Deployment that is being deleted, and leaves its ReplicaSet behind.
func leaving(t *testing.T, c client.Client) *appsv1.Deployment {
	t.Helper()
	d := paused(newDeployment("strict", "leaving", "nlp", 2, "1"))
	d.Finalizers = []string{"example.org/held"}
	create(t, c, d)
	t.Cleanup(func() {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		must(t, client.IgnoreNotFound(c.Patch(context.WithoutCancel(t.Context()), d, patch)))
	})
	must(t, c.Delete(t.Context(), d))
	return d
}

// sameCases are every way through package quota's judge, on objects that it creates.
func sameCases(t *testing.T, c client.Client) map[string]sameCase {
	t.Helper()
	web := create(t, c, paused(newDeployment("free", "web", "nlp", 2, "1")))
	strict := create(t, c, paused(newDeployment("strict", "web", "nlp", 2, "1")))
	plain := create(t, c, paused(newDeployment("strict", "plain", "", 2, "1")))
	elsewhere := create(t, c, paused(newDeployment("other", "web", "nlp", 2, "1")))
	outside := create(t, c, paused(newDeployment("outside", "web", "nlp", 2, "1")))
	set, strictSet := create(t, c, newSet(t, c, web)), create(t, c, newSet(t, c, strict))
	cron := create(t, c, newCronJob("free", "cron", "nlp", "nlp", "1"))
	otherCron := create(t, c, newCronJob("other", "cron", "nlp", "nlp", "1"))
	gone := leaving(t, c)
	left := create(t, c, newSet(t, c, gone))

	replicas := func(n int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Spec.Replicas = &n }
	}
	group := func(name string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Labels = tied(name) }
	}
	letGo := func(label string, n int32) func(*appsv1.ReplicaSet) {
		return func(s *appsv1.ReplicaSet) { s.OwnerReferences, s.Labels, s.Spec.Replicas = nil, tied(label), &n }
	}
	jobCPU := func(cpu string) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) {
			c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Resources.Limits = list("cpu", cpu)
		}
	}
	const (
		enable   = `namespace outside: takes no part in quota: have an administrator run "kubectl quota enable outside"`
		use      = `group nlp: you may not charge it from namespace other`
		forged   = "metadata.ownerReferences: only the controller of "
		part     = "is part of deployment.apps/web, which charges group nlp for it"
		required = "namespace strict: every workload needs a group"
		short    = "limits.cpu: needs "
		misfit   = "one Job of it does not fit now: group nlp: limits.cpu: needs 11"
	)
	return map[string]sameCase{
		"fits":                              {deployments, nil, newDeployment("free", "new", "nlp", 3, "1"), 0, "", ""},
		"does not fit":                      {deployments, nil, newDeployment("free", "new", "nlp", 11, "1"), 0, short + "11, 10 of 10 left (short 1); largest that fits: 10 replicas", ""},
		"no such group":                     {deployments, nil, newDeployment("free", "new", "speech", 1, "1"), 0, `there is no group "speech"`, ""},
		"from a namespace not allowed":      {deployments, nil, newDeployment("other", "new", "nlp", 3, "1"), 0, use, ""},
		"not allowed, and does not fit":     {deployments, nil, newDeployment("other", "new", "nlp", 30, "1"), 0, use, ""},
		"grows where it may not charge":     {deployments, elsewhere, edited(elsewhere, replicas(3)), 0, use, ""},
		"shrinks where it may not charge":   {deployments, elsewhere, edited(elsewhere, replicas(1)), 0, "", ""},
		"grows":                             {deployments, web, edited(web, replicas(3)), 0, "", ""},
		"grows too much":                    {deployments, web, edited(web, replicas(13)), 0, short + "11", ""},
		"moves":                             {deployments, web, edited(web, group("full")), 0, "group full: limits.cpu: needs 2, 0 of 10 left", ""},
		"leaves its group":                  {deployments, web, edited(web, group("")), 0, "", ""},
		"leaves its group, but needs one":   {deployments, strict, edited(strict, group("")), 0, required, ""},
		"untied":                            {deployments, nil, newDeployment("free", "new", "", 30, "1"), 0, "", ""},
		"untied, but needs a group":         {deployments, nil, newDeployment("strict", "new", "", 3, "1"), 0, required, ""},
		"never had a group, and stays":      {deployments, plain, edited(plain, replicas(2)), 0, "", ""},
		"never had a group, and shrinks":    {deployments, plain, edited(plain, replicas(1)), 0, "", ""},
		"never had a group, and grows":      {deployments, plain, edited(plain, replicas(3)), 0, required, ""},
		"part":                              {pods, nil, partOf(t, c, set, newPod("free", "forged", "nlp", "1")), 0, forged + "replicasets.apps makes its pods", ""},
		"part without a label":              {pods, nil, partOf(t, c, set, newPod("free", "forged", "", "1")), 0, "", ""},
		"part without a label it needs":     {pods, nil, partOf(t, c, strictSet, newPod("strict", "forged", "", "1")), 0, forged + "replicasets.apps makes its pods", ""},
		"part grows":                        {replicaSets, strictSet, edited(strictSet, func(s *appsv1.ReplicaSet) { s.Spec.Replicas = new(int32(3)) }), 0, part, ""},
		"part grows without a label":        {replicaSets, set, edited(set, func(s *appsv1.ReplicaSet) { s.Spec.Replicas = new(int32(3)) }), 0, part, ""},
		"part shrinks":                      {replicaSets, strictSet, edited(strictSet, func(s *appsv1.ReplicaSet) { s.Spec.Replicas = new(int32(1)) }), 0, "", ""},
		"let go":                            {replicaSets, set, edited(set, letGo("nlp", 2)), 0, "", ""},
		"let go, and charged in full":       {replicaSets, set, edited(set, letGo("full", 2)), 0, "group full: limits.cpu: needs 2", ""},
		"let go without a label":            {replicaSets, set, edited(set, letGo("", 2)), 0, "", ""},
		"let go without a label it needs":   {replicaSets, strictSet, edited(strictSet, letGo("", 2)), 0, required, ""},
		"left behind":                       {replicaSets, left, edited(left, letGo("", 2)), 0, "", ""},
		"left behind, and grows":            {replicaSets, left, edited(left, letGo("", 3)), 0, required, ""},
		"outside":                           {deployments, nil, newDeployment("outside", "new", "nlp", 1, "1"), 0, enable, ""},
		"outside, untied":                   {deployments, nil, newDeployment("outside", "new", "", 1, "1"), 0, "", ""},
		"grows outside":                     {deployments, outside, edited(outside, replicas(3)), 0, enable, ""},
		"shrinks outside":                   {deployments, outside, edited(outside, replicas(1)), 0, "", ""},
		"scaled outside":                    {deployments, outside, nil, 3, enable, ""},
		"template outside":                  {cronJobs, nil, newCronJob("outside", "new", "nlp", "nlp", "1"), 0, enable, ""},
		"template":                          {cronJobs, nil, newCronJob("free", "new", "nlp", "nlp", "1"), 0, "", ""},
		"template without a label":          {cronJobs, nil, newCronJob("free", "new", "nlp", "", "1"), 0, "spec.jobTemplate.metadata.labels: must name the group", ""},
		"template of no group":              {cronJobs, nil, newCronJob("free", "new", "speech", "speech", "1"), 0, `there is no group "speech"`, ""},
		"template that does not fit":        {cronJobs, nil, newCronJob("free", "new", "nlp", "nlp", "11"), 0, "", misfit},
		"template hidden":                   {cronJobs, nil, newCronJob("free", "new", "", "nlp", "1"), 0, "", ""},
		"template not allowed":              {cronJobs, nil, newCronJob("other", "new", "nlp", "nlp", "1"), 0, use, ""},
		"template changed":                  {cronJobs, cron, edited(cron, jobCPU("11")), 0, "", misfit},
		"template changed, and not allowed": {cronJobs, otherCron, edited(otherCron, jobCPU("2")), 0, use, ""},
		"scaled":                            {deployments, web, nil, 5, "", ""},
		"scaled too far":                    {deployments, web, nil, 13, short + "11", ""},
		"scaled where it may not charge":    {deployments, elsewhere, nil, 3, use, ""},
		"scaled without a group":            {deployments, plain, nil, 3, required, ""},
		"part scaled":                       {replicaSets, set, nil, 3, part, ""},
	}
}
