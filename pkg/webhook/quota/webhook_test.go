package quota

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	quotacontroller "github.com/stowage-dev/stowage/pkg/controller/quota"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
	"github.com/stowage-dev/stowage/test/lab"
)

// serve runs the webhooks, and the controller that counts, beside the lab, and returns
// an administrator's client once they answer.
func serve(t *testing.T, opts Options) client.WithWatch {
	t.Helper()
	ports, err := lab.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newClient(t, install.Endpoint{}) // the resource definitions are there before the manager watches
	mgr, err := ctrl.NewManager(cluster.RESTConfig(), ctrl.Options{
		Scheme:        newScheme(t),
		Metrics:       metricsserver.Options{BindAddress: "0"},
		Controller:    config.Controller{SkipNameValidation: new(true)},
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{Host: "127.0.0.1", Port: ports[0], CertDir: dir}),
	})
	if err != nil {
		t.Fatal(err)
	}
	shared := metrics.Registry
	metrics.Registry = prometheus.NewRegistry() // one manager's, not the process's
	t.Cleanup(func() { metrics.Registry = shared })
	view, err := quotacontroller.Register(mgr, quotacontroller.Options{Kinds: workload.Default(), Clock: clock.RealClock{}, Resync: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	opts.Kinds, opts.Owners, opts.Nodes = workload.Default(), view, view.Nodes
	if err := Register(mgr, webhook.New(mgr, webhook.Options{}), opts); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return mgr.Start(ctx) })
	t.Cleanup(func() {
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
	ready := mgr.GetWebhookServer().StartedChecker()
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return ready(nil) == nil, nil }); err != nil {
		t.Fatal(err)
	}
	return newClient(t, install.Endpoint{URL: fmt.Sprintf("https://127.0.0.1:%d", ports[0]), CABundle: cert})
}

// as is a user's client, with the warnings that it gets.
func as(t *testing.T, user string, groups ...string) (client.Client, *warnings) {
	t.Helper()
	config := cluster.RESTConfig()
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	}
	w := &warnings{}
	config.WarningHandler = w
	c, err := client.New(config, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// warnings are a client's.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.texts, "\n")
}

// takesPart are the labels of a namespace whose workloads may charge groups.
var takesPart = map[string]string{stowagev1alpha1.QuotaLabel: stowagev1alpha1.QuotaEnabled}

func newNamespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func tied(group string) map[string]string {
	if group == "" {
		return nil
	}
	return map[string]string{stowagev1alpha1.GroupLabel: group}
}

// podTemplate is that of pods with one container of that much cpu.
func podTemplate(labels map[string]string, cpu string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "none", Resources: corev1.ResourceRequirements{Limits: list("cpu", cpu)},
		}}},
	}
}

func newPod(namespace, name, group, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: tied(group)},
		Spec:       podTemplate(nil, cpu).Spec,
	}
}

func newDeployment(namespace, name, group string, replicas int32, cpu string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: tied(group)},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: podTemplate(labels, cpu),
		},
	}
}

// wantRefused fails unless err is a refusal that says each of texts.
func wantRefused(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !refused(err) {
		t.Fatalf("error %v, want a refusal", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("refused with %q, want in it %q", err, text)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scaleTo sets an object's scale.
func scaleTo(t *testing.T, c client.Client, obj client.Object, replicas int32) error {
	return c.SubResource("scale").Update(t.Context(), obj, client.WithSubResourceBody(&autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}))
}

// wantUsed waits until a group uses that much of limits.cpu by its controller's count,
// without a reservation.
func wantUsed(t *testing.T, c client.Client, name, want string) {
	t.Helper()
	var group *quota.Group
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		group = get(t, c, name)
		used := group.Status.Used["limits.cpu"]
		return used.String() == want && len(group.Status.Reservations) == 0, nil
	})
	if err != nil {
		t.Fatalf("status %+v, want %s of limits.cpu used", group.Status, want)
	}
}

func TestAdmission(t *testing.T) {
	c := serve(t, Options{Authorize: true})
	for name, test := range map[string]func(*testing.T, client.Client){
		"workload": testWorkload, "dry run": testDryRun, "move": testMove, "resize": testResize, "cronjob": testCronJob,
		"autoscaler": testAutoscaler, "required": testRequired, "authorization": testAuthorization, "tree": testTree, "siblings at once": testSiblingsAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func testWorkload(t *testing.T, c client.Client) {
	create(t, c, newGroup("w", "", list("limits.cpu", "4")))
	web := create(t, c, newDeployment("default", "web", "w", 2, "1"))
	wantUsed(t, c, "w", "2")
	wantRefused(t, c.Create(t.Context(), newDeployment("default", "more", "w", 3, "1")),
		"group w: limits.cpu: needs 3, 2 of 4 left (short 1); largest that fits: 2 replicas; used by deployment.apps/web 2")
	wantRefused(t, c.Create(t.Context(), newDeployment("default", "more", "ww", 1, "1")), `there is no group "ww"`)
	must(t, scaleTo(t, c, web, 4))
	wantUsed(t, c, "w", "4")
	wantRefused(t, scaleTo(t, c, web, 5), "group w: limits.cpu: needs 1, 0 of 4 left (short 1); largest that fits: 4 replicas")
	wantRefused(t, update(t, c, web, func() { web.Spec.Template.Spec.Containers[0].Resources.Limits = list("cpu", "2") }),
		"group w: limits.cpu: needs 4, 0 of 4 left")
	must(t, scaleTo(t, c, web, 1))
	wantUsed(t, c, "w", "1")
	must(t, scaleTo(t, c, web, 3))
	must(t, scaleTo(t, c, web, 4)) // at once, whether the one before is counted or not
	must(t, update(t, c, web, func() { web.Annotations["note"] = "nothing grows" }))
	must(t, c.Delete(t.Context(), web))
	wantUsed(t, c, "w", "0")
}

func testDryRun(t *testing.T, c client.Client) {
	create(t, c, newGroup("dry", "", list("limits.cpu", "4")))
	must(t, c.Create(t.Context(), newDeployment("default", "dry", "dry", 4, "1"), client.DryRunAll))
	wantRefused(t, c.Create(t.Context(), newDeployment("default", "dry", "dry", 5, "1"), client.DryRunAll), "needs 5, 4 of 4 left")
	must(t, c.Create(t.Context(), newGroup("dry-child", "dry", list("limits.cpu", "4")), client.DryRunAll))
	if group := get(t, c, "dry"); len(group.Status.Reservations) > 0 {
		t.Errorf("dry runs reserved %+v", group.Status.Reservations)
	}
}

func testMove(t *testing.T, c client.Client) {
	create(t, c, newGroup("from", "", list("limits.cpu", "4")))
	create(t, c, newGroup("to", "", list("limits.cpu", "3")))
	web := create(t, c, newDeployment("default", "moving", "from", 4, "1"))
	move := func(replicas int32) error {
		return update(t, c, web, func() { web.Labels[stowagev1alpha1.GroupLabel], web.Spec.Replicas = "to", &replicas })
	}
	wantRefused(t, move(4), "group to: limits.cpu: needs 4, 3 of 3 left (short 1)")
	must(t, move(3))
	wantUsed(t, c, "to", "3")
	wantUsed(t, c, "from", "0")
}

// update patches an object, from its newest version, with what change changes.
func update(t *testing.T, c client.Client, obj client.Object, change func()) error {
	t.Helper()
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
	patch := client.MergeFrom(obj.DeepCopyObject().(client.Object))
	change()
	return c.Patch(t.Context(), obj, patch)
}

func testResize(t *testing.T, c client.Client) {
	create(t, c, newGroup("resize", "", list("limits.cpu", "2")))
	pod := create(t, c, newPod("default", "resized", "resize", "1"))
	resize := func(cpu string) error {
		patch := client.MergeFrom(pod.DeepCopy())
		resized := pod.DeepCopy()
		resized.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: list("cpu", cpu), Requests: list("cpu", cpu)}
		return c.SubResource("resize").Patch(t.Context(), resized, patch)
	}
	wantRefused(t, resize("3"), "group resize: limits.cpu: needs 2, 1 of 2 left (short 1)")
	must(t, resize("2"))
	wantUsed(t, c, "resize", "2")
}

func newCronJob(namespace, name, own, ofJobs, cpu string) *batchv1.CronJob {
	job := batchv1.JobSpec{Template: podTemplate(nil, cpu)}
	job.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: tied(own)},
		Spec: batchv1.CronJobSpec{
			Schedule:    "0 0 1 1 *",
			JobTemplate: batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: tied(ofJobs)}, Spec: job},
		},
	}
}

// jobOf is the Job that the controller of a CronJob makes of it.
func jobOf(t *testing.T, c client.Client, namespace, name string) *batchv1.Job {
	t.Helper()
	cron := &batchv1.CronJob{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, cron))
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: cron.Spec.JobTemplate.Labels},
		Spec:       cron.Spec.JobTemplate.Spec,
	}
	must(t, ctrl.SetControllerReference(cron, job, c.Scheme()))
	return job
}

func testCronJob(t *testing.T, _ client.Client) {
	c, warned := as(t, "")
	create(t, c, newGroup("cron", "", list("limits.cpu", "2")))
	wantRefused(t, c.Create(t.Context(), newCronJob("default", "a", "cron", "", "1")),
		"spec.jobTemplate.metadata.labels: must name the group", "add the label biz.group.resource.quota: cron")
	must(t, c.Create(t.Context(), newCronJob("default", "b", "cron", "cron", "1")))
	if got := warned.String(); got != "" {
		t.Errorf("warned of what fits: %s", got)
	}
	must(t, c.Create(t.Context(), newCronJob("default", "c", "cron", "cron", "3")))
	if got, want := warned.String(), "one Job of it does not fit now: group cron: limits.cpu: needs 3, 2 of 2 left (short 1)"; !strings.Contains(got, want) {
		t.Errorf("warned %q, want %q", got, want)
	}
	wantUsed(t, c, "cron", "0")
}

func testAutoscaler(t *testing.T, _ client.Client) {
	c, warned := as(t, "")
	create(t, c, newGroup("hpa", "", list("limits.cpu", "4")))
	create(t, c, newDeployment("default", "scaled", "hpa", 2, "1"))
	newHPA := func(name, target string, most int32) *autoscalingv2.HorizontalPodAutoscaler {
		return &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}, MaxReplicas: most,
			},
		}
	}
	must(t, c.Create(t.Context(), newHPA("fits", "scaled", 4)))
	must(t, c.Create(t.Context(), newHPA("missing", "none", 100)))
	if got := warned.String(); got != "" {
		t.Errorf("warned of what fits: %s", got)
	}
	must(t, c.Create(t.Context(), newHPA("tight", "scaled", 6)))
	want := "group hpa: limits.cpu: needs 4, 2 of 4 left (short 2); largest that fits: 4 replicas"
	if got := warned.String(); !strings.Contains(got, "spec.maxReplicas: 6 will not fit: "+want) {
		t.Errorf("warned %q, want %q", got, want)
	}
	group := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: "hpa"}}
	must(t, update(t, c, group, func() { group.Spec.HPA = stowagev1alpha1.HPADeny }))
	wantRefused(t, c.Create(t.Context(), newHPA("denied", "scaled", 6)), want)
}

func testRequired(t *testing.T, c client.Client) {
	group := newGroup("req", "", list("limits.cpu", "4"))
	group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"strict"}}
	create(t, c, group)
	create(t, c, newNamespace("strict", map[string]string{stowagev1alpha1.RequireGroupLabel: "true"}))
	jane, _ := as(t, "jane")
	create(t, c, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "strict", Name: "jane"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "jane", APIGroup: rbacv1.GroupName}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
	})
	create(t, c, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "strict", Name: "app"}})
	var err error
	// Rights, and the namespace's label, take a moment to be known everywhere.
	must(t, wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err = jane.Create(ctx, newPod("strict", "bare", "", "1"), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "admission webhook"), nil
	}))
	wantRefused(t, err, "namespace strict: every workload needs a group (label stowage.dev/require-biz-group)", "groups that allow this namespace: req")

	// What a workload makes names the group too, and is no charge beside it.
	web := newDeployment("strict", "web", "req", 2, "1")
	wantRefused(t, c.Create(t.Context(), web.DeepCopy()), "add the label biz.group.resource.quota: req to spec.template.metadata.labels")
	web.Spec.Template.Labels[stowagev1alpha1.GroupLabel] = "req"
	create(t, c, web)
	pods := &corev1.PodList{}
	must(t, wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return len(pods.Items) == 2, c.List(ctx, pods, client.InNamespace("strict"))
	}))
	wantUsed(t, c, "req", "2") // the deployment's, once
	made := pods.Items[0]
	forged := newPod("strict", "forged", "req", "1")
	forged.OwnerReferences = made.OwnerReferences
	wantRefused(t, jane.Create(t.Context(), forged), "metadata.ownerReferences: only the controller of replicasets.apps makes its pods: remove the owner reference")
	sets := &appsv1.ReplicaSetList{}
	must(t, c.List(t.Context(), sets, client.InNamespace("strict")))
	wantRefused(t, scaleTo(t, jane, &sets.Items[0], 9), "is part of deployment.apps/web, which charges group req for it")
	wantRefused(t, update(t, jane, web, func() { delete(web.Labels, stowagev1alpha1.GroupLabel) }), "every workload needs a group")
}

func testTree(t *testing.T, _ client.Client) {
	c, warned := as(t, "")
	create(t, c, newGroup("root", "", list("limits.cpu", "10", "pods", "5")))
	wantRefused(t, c.Create(t.Context(), newGroup("leaf", "root", list("limits.cpu", "4"))), "spec.hard: lacks pods, which its parent root has")
	wantRefused(t, c.Create(t.Context(), newGroup("leaf", "root", list("limits.cpu", "11", "pods", "5"))), "group root: limits.cpu: needs 11, 10 of 10 left (short 1)")
	wantRefused(t, c.Create(t.Context(), newGroup("leaf", "rot", list("limits.cpu", "1"))), `there is no group "rot"; did you mean "root"?`)
	wantRefused(t, c.Create(t.Context(), newGroup("odd", "", list("limits.cpus", "1"))), "spec.hard[limits.cpus]: unknown key")

	leaf := create(t, c, newGroup("leaf", "root", list("limits.cpu", "4", "pods", "0")))
	wantUsed(t, c, "root", "4")
	grow := func(cpu string) error {
		return update(t, c, leaf, func() { leaf.Spec.Hard["limits.cpu"] = list("m", cpu)["m"] })
	}
	wantRefused(t, grow("11"), "group root: limits.cpu: needs 7, 6 of 10 left (short 1)")
	must(t, grow("6"))
	wantUsed(t, c, "root", "6")
	if err := update(t, c, leaf, func() { leaf.Spec.ParentBizGroup = "" }); err == nil || !strings.Contains(err.Error(), "never changes") {
		t.Errorf("error %v, want that a parent never changes", err)
	}

	root := get(t, c, "root")
	wantRefused(t, update(t, c, root, func() { root.Spec.Hard["limits.memory"] = list("m", "1Gi")["m"] }),
		"a new key must be in every child first: limits.memory is not in leaf")
	must(t, update(t, c, root, func() { root.Spec.Hard["limits.cpu"] = list("m", "5")["m"] }))
	if got := warned.String(); !strings.Contains(got, "5 is below the 6 in use") {
		t.Errorf("warned %q, want of what is in use", got)
	}
	wantRefused(t, c.Delete(t.Context(), root), "group root: has children (leaf)")
	must(t, c.Delete(t.Context(), leaf))
	wantUsed(t, c, "root", "0")
	must(t, c.Delete(t.Context(), root))
}

func testSiblingsAtOnce(t *testing.T, c client.Client) {
	create(t, c, newGroup("top", "", list("limits.cpu", "10")))
	var created, denied sync.Map
	work, ctx := errgroup.WithContext(t.Context())
	for i := range 30 {
		work.Go(func() error {
			name := fmt.Sprintf("top-%d", i)
			err := c.Create(ctx, newGroup(name, "top", list("limits.cpu", "1")))
			if refused(err) {
				denied.Store(name, true)
				return nil
			}
			created.Store(name, true)
			return err
		})
	}
	must(t, work.Wait())
	n := 0
	created.Range(func(any, any) bool { n++; return true })
	if n != 10 {
		t.Errorf("%d children of 1 were created under a group of 10", n)
	}
	wantUsed(t, c, "top", "10")
}

func testAuthorization(t *testing.T, c client.Client) {
	group := newGroup("nlp", "", list("limits.cpu", "9"))
	group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"nlp-*"}}
	create(t, c, group)
	for _, name := range []string{"nlp-a", "other"} {
		create(t, c, newNamespace(name, takesPart))
		create(t, c, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "app"}})
		create(t, c, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "edit"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "jane", APIGroup: rbacv1.GroupName}, {Kind: rbacv1.UserKind, Name: "joe", APIGroup: rbacv1.GroupName}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		})
	}
	create(t, c, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "use-nlp"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{stowagev1alpha1.GroupName}, Resources: []string{stowagev1alpha1.BizGroupResourceQuotaResource}, ResourceNames: []string{"nlp"}, Verbs: []string{"use"}}},
	})
	create(t, c, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "use-nlp"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "joe", APIGroup: rbacv1.GroupName}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "use-nlp"},
	})
	jane, _ := as(t, "jane")
	joe, _ := as(t, "joe")
	const denial = `group nlp: user jane may not charge it from namespace other: have other added to the group's spec.allow.namespaces, or the verb "use" on bizgroupresourcequotas/nlp granted`

	// Rights take a moment to be known.
	must(t, wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return jane.Create(ctx, newPod("nlp-a", "first", "nlp", "1")) == nil, nil
	}))
	wantRefused(t, jane.Create(t.Context(), newPod("other", "a", "nlp", "1")), denial)
	none := newDeployment("other", "none", "nlp", 0, "1")
	wantRefused(t, jane.Create(t.Context(), none), denial)
	must(t, jane.Create(t.Context(), newPod("other", "b", "", "1")))
	must(t, joe.Create(t.Context(), newPod("other", "c", "nlp", "1")))

	// A template is authorized when it is written: its controller acts for others.
	wantRefused(t, jane.Create(t.Context(), newCronJob("other", "cron", "nlp", "nlp", "1")), denial)
	must(t, joe.Create(t.Context(), newCronJob("other", "cron", "nlp", "nlp", "1")))
	must(t, jane.Create(t.Context(), newCronJob("other", "hidden", "", "nlp", "1")))
	controller, _ := as(t, "system:serviceaccount:kube-system:cronjob-controller", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	must(t, controller.Create(t.Context(), jobOf(t, c, "other", "cron")))
	wantRefused(t, controller.Create(t.Context(), jobOf(t, c, "other", "hidden")), "may not charge it from namespace other")
	// What joe tied to the group, the cluster's controllers may scale, and jane may not.
	web := newDeployment("other", "web", "nlp", 1, "1")
	must(t, joe.Create(t.Context(), web))
	autoscaler, _ := as(t, "system:serviceaccount:kube-system:horizontal-pod-autoscaler", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	must(t, scaleTo(t, autoscaler, web, 2))
	wantRefused(t, scaleTo(t, jane, web, 3), denial)
	must(t, scaleTo(t, jane, web, 1))
}
