package quota_test

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	quotaplugin "github.com/stowage-dev/stowage/plugins/quota"
	"github.com/stowage-dev/stowage/test/command"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

// quotaAs runs kubectl quota as a user, or as an administrator where there is none, in the test's namespace.
func (w *world) quotaAs(user, stdin string, args ...string) command.Result {
	w.t.Helper()
	args = append(args, "--kubeconfig", cluster.Kubeconfig(), "-n", w.ns)
	if user != "" {
		args = append(args, "--as", user)
	}
	plugin := command.Plugin{Name: "quota", New: quotaplugin.NewCommand}
	return plugin.RunAt(w.t, clock.RealClock{}, stdin, args...)
}

// wants checks what a command wrote.
func (w *world) wants(result command.Result, parts ...string) {
	w.t.Helper()
	for _, part := range parts {
		if !strings.Contains(result.Stdout+result.Stderr, part) {
			w.t.Errorf("no %q in\n%s", part, result)
		}
	}
}

// Who may edit one namespace, and see nothing of the cluster, gets the webhook's own
// verdict before he is refused.
func TestTenantChecks(t *testing.T) {
	w := newWorldWith(t, rig.Options{}) // a command reads the environment: not in parallel
	nlp := w.group("nlp", "", hard{"limits.cpu": "4"})
	w.create(w.deployment("web", nlp, 2, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "2"})
	tenant := w.name("tenant")
	w.grant(tenant, w.ns)

	manifest := strings.ReplaceAll(w.manifest(nlp, 1), "name: web", "name: api")
	w.wants(w.quotaAs(tenant, manifest, "check", "-f", "-"), "admitted  "+w.ns+"/deployment.apps/api", "the in-cluster component was asked, by a dry run")
	w.wants(w.quotaAs(tenant, strings.ReplaceAll(manifest, "replicas: 1", "replicas: 3"), "check", "-f", "-"),
		"refused   "+w.ns+"/deployment.apps/api", "group "+nlp+": limits.cpu: needs 6, 2 of 4 left (short 4)")
	w.wants(w.quotaAs(tenant, "", "check", "deploy/web", "--replicas", "4"), "admitted  "+w.ns+"/deployment.apps/web")
	w.wants(w.quotaAs(tenant, "", "check", "deploy/web", "--replicas", "5"), "refused   "+w.ns+"/deployment.apps/web", "needs 3, 2 of 4 left (short 1)")
	w.wants(w.quotaAs(tenant, "", "check", "deploy/none", "--replicas", "5"), `deployments.apps "none" not found`)
	w.wants(w.quotaAs(tenant, "", "tree", nlp), "bizgroupresourcequotas.stowage.dev cannot be listed (forbidden)")
	w.used(nlp, hard{"limits.cpu": "2"}) // nothing was taken

	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: objectName(tenant),
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: tenant}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "stowage-quota-user"},
	}
	w.create(binding)
	t.Cleanup(func() {
		if err := w.Delete(context.Background(), binding); err != nil {
			t.Error(err)
		}
	})
	w.may(tenant, authorizationv1.ResourceAttributes{
		Verb: "get", Group: stowagev1alpha1.GroupName, Resource: stowagev1alpha1.BizGroupResourceQuotaResource, Name: nlp,
	})
	w.wants(w.quotaAs(tenant, "", "tree", nlp), nlp, "50%", "could not be listed (forbidden)")
	w.wants(w.quotaAs(tenant, "", "describe", nlp), nlp, "limits.cpu")
}

// A namespace takes part when an administrator says so; elsewhere nobody waits, and who
// names a group is told what to do.
func TestNamespaceTakesPart(t *testing.T) {
	w := newWorldWith(t, rig.Options{}) // a command reads the environment: not in parallel
	nlp := w.group("nlp", "", hard{"limits.cpu": "4"})
	w.wants(w.quotaAs("", "", "disable", w.ns, "--yes"), "namespace/"+w.ns+" disabled")
	refused := `namespace ` + w.ns + `: takes no part in quota: have an administrator run "kubectl quota enable ` + w.ns + `"`
	if !w.eventually(func(ctx context.Context) (bool, error) { // the label takes a moment to be known everywhere
		text, _ := refusal(w.Create(ctx, w.deployment("web", nlp, 1, cpu("1")), client.DryRunAll))
		return text == refused, nil
	}) {
		t.Fatalf("want a refusal: %s", refused)
	}
	w.create(w.deployment("free", "", 1, cpu("1")))
	w.does("", "scale", "deployment/free", "--replicas=9")
	w.wants(w.quotaAs("", "", "enable", w.ns, "--yes"), "without a group: deployment.apps/free", "namespace/"+w.ns+" enabled")
	if !w.eventually(func(ctx context.Context) (bool, error) {
		return w.Create(ctx, w.deployment("web", nlp, 1, cpu("1"))) == nil, nil
	}) {
		t.Fatal("refused where the namespace takes part")
	}
	w.used(nlp, hard{"limits.cpu": "1"})
}
