package install_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// options are of an installation in the cluster. No kubelet pulls the image: kwok
// says that its pods run.
func options() install.Options {
	secrets, err := install.NewSecrets()
	if err != nil {
		panic(err) // no key can be made
	}
	return install.Options{Image: "stowage-manager:test", Kinds: workload.Default(), Secrets: secrets}
}

// decode reads an object of any kind.
func decode(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// apply installs with the secrets that are there, waits for the rollout, and returns what
// was done, by object.
func apply(t *testing.T, opts install.Options, how install.ApplyOptions) map[string]string {
	t.Helper()
	return applyWith(t, readSecrets(t, false), opts, how)
}

// applyWith is apply with these secrets.
func applyWith(t *testing.T, secrets *install.Secrets, opts install.Options, how install.ApplyOptions) map[string]string {
	t.Helper()
	opts.Secrets = secrets
	objects, err := install.Objects(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := map[string]string{}
	how.Report = func(step install.Step) {
		if step.Done != "" {
			done[step.Object] = step.Done
		}
	}
	if err := install.Apply(ctx, cluster.RESTConfig(), objects, how); err != nil {
		t.Fatal(err)
	}
	if len(done) != len(objects) {
		t.Fatalf("%d objects, and %d were reported: %v", len(objects), len(done), done)
	}
	return done
}

// readSecrets are the installation's, or new ones.
func readSecrets(t *testing.T, renew bool) *install.Secrets {
	t.Helper()
	secrets, err := install.ReadSecrets(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, renew)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// configuration is what the API server is told.
func configuration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	found, err := cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), install.WebhookName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// secretData is what a Secret of the installation holds.
func secretData(t *testing.T, name string) map[string][]byte {
	t.Helper()
	secret, err := cluster.Client().CoreV1().Secrets(install.DefaultNamespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// TestApplyAndRemove goes through the life of an installation.
func TestApplyAndRemove(t *testing.T) {
	reset(t)
	if err := cluster.CreateAll(t.Context(), build.Node("node").Capacity("cpu=8,memory=16Gi,pods=20").Obj()); err != nil {
		t.Fatal(err)
	}
	client := cluster.Client()

	kinds, err := new(workload.Kinds).With(*workload.Default().All()[0])
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a dry run stores nothing", func(t *testing.T) {
		done := apply(t, options(), install.ApplyOptions{DryRun: true, Wait: true})
		if got := done["validatingwebhookconfiguration.admissionregistration.k8s.io/"+install.WebhookName]; got != "created" {
			t.Errorf("the webhooks would be %q, want created", got)
		}
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), install.DefaultNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the namespace: got %v, want not found", err)
		}
	})
	t.Run("everything is created, and runs in a restricted namespace", func(t *testing.T) {
		for object, done := range apply(t, options(), install.ApplyOptions{Wait: true}) {
			if done != "created" {
				t.Errorf("%s: %s, want created", object, done)
			}
		}
		deployment, err := client.AppsV1().Deployments(install.DefaultNamespace).Get(t.Context(), install.ManagerName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := deployment.Status.ReadyReplicas; got != install.DefaultReplicas {
			t.Errorf("%d replicas are ready, want %d", got, install.DefaultReplicas)
		}
	})
	t.Run("every entry trusts the CA and starts with the token", func(t *testing.T) {
		token := string(secretData(t, install.TokenName)["token"])
		if len(token) != 64 { // 32 bytes, in hexadecimal
			t.Errorf("the token has %d characters, want 64", len(token))
		}
		for _, webhook := range configuration(t).Webhooks {
			if path := *webhook.ClientConfig.Service.Path; !strings.HasPrefix(path, "/"+token+"/validate-") {
				t.Errorf("%s: the path is %q, want it to start with the token %q", webhook.Name, path, token)
			}
			if got, want := string(webhook.ClientConfig.CABundle), string(secretData(t, install.CertificateName)["ca.crt"]); got != want || want == "" {
				t.Errorf("%s: trusts %q, want the CA of the Secret %q", webhook.Name, got, want)
			}
		}
	})
	t.Run("again, nothing changes", func(t *testing.T) {
		for object, done := range apply(t, options(), install.ApplyOptions{Wait: true}) {
			if done != "unchanged" {
				t.Errorf("%s: %s, want unchanged", object, done)
			}
		}
	})
	t.Run("an upgrade with other kinds", func(t *testing.T) {
		opts := options()
		opts.Kinds = kinds
		done := apply(t, opts, install.ApplyOptions{Wait: true})
		if got := done["deployment.apps/"+install.ManagerName]; got != "configured" {
			t.Errorf("the deployment is %s, want configured: its pods must read the new kinds", got)
		}
		want := []string{
			"deployments.apps", "ungrouped.deployments.apps",
			"scale", "required.scale", "autoscaler", "required.autoscaler", "bizrq",
		}
		var got []string
		for _, webhook := range configuration(t).Webhooks {
			got = append(got, strings.TrimSuffix(webhook.Name, ".quota.stowage.dev"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("webhooks (-want +got):\n%s", diff)
		}
	})
	t.Run("another token is told when all pods know it, and the one before retired", func(t *testing.T) {
		former := readSecrets(t, false).Tokens[0]
		renewed := readSecrets(t, true)
		if renewed.Tokens[0] == former || renewed.Tokens[1] != former {
			t.Fatalf("tokens %q, want a new one before %q", renewed.Tokens, former)
		}
		opts := options()
		opts.Kinds = kinds
		done := applyWith(t, renewed, opts, install.ApplyOptions{Wait: true})
		if got := done["deployment.apps/"+install.ManagerName]; got != "configured" {
			t.Errorf("the deployment is %s, want configured", got)
		}
		if got, want := string(secretData(t, install.TokenName)["token"]), renewed.Tokens[0]+"\n"+former; got != want {
			t.Errorf("the component answers to %q, want %q", got, want)
		}
		if path := *configuration(t).Webhooks[0].ClientConfig.Service.Path; !strings.HasPrefix(path, "/"+renewed.Tokens[0]+"/") {
			t.Errorf("the API server is told %q, want the new token", path)
		}
		if err := install.RetireTokens(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, renewed.Tokens); err != nil {
			t.Fatal(err)
		}
		if got := readSecrets(t, false).Tokens; !slices.Equal(got, renewed.Tokens[:1]) {
			t.Errorf("the component answers to %q, want %q", got, renewed.Tokens[:1])
		}
	})
	t.Run("secrets that were deleted are made anew, and the pods with the token", func(t *testing.T) {
		before := readSecrets(t, false)
		for _, name := range []string{install.TokenName, install.CertificateName} {
			if err := client.CoreV1().Secrets(install.DefaultNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		opts := options()
		opts.Kinds = kinds
		done := apply(t, opts, install.ApplyOptions{Wait: true})
		if got := done["deployment.apps/"+install.ManagerName]; got != "configured" || readSecrets(t, false).Tokens[0] == before.Tokens[0] {
			t.Errorf("the deployment is %s, want configured, with another token than before", got)
		}
		if got, want := string(configuration(t).Webhooks[0].ClientConfig.CABundle), string(secretData(t, install.CertificateName)["ca.crt"]); got != want {
			t.Errorf("trusts %q, want the new CA %q", got, want)
		}
	})
	t.Run("status", func(t *testing.T) {
		status, err := install.ReadStatus(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		want := &install.Status{
			TypeMeta:   status.TypeMeta,
			Namespace:  install.DefaultNamespace,
			Deployment: &install.DeploymentStatus{Image: "stowage-manager:test", Replicas: 2, Updated: 2, Ready: 2},
			Webhooks:   &install.WebhookStatus{Entries: 7, Trusted: true},
			Resource:   &install.ResourceStatus{Versions: []string{"v1alpha1"}, Established: true},
			Groups:     &install.GroupsStatus{},
			Unknown:    []string{},
			Problems: []string{
				"lease stowage-system/stowage-manager: not found",
				"secret stowage-system/stowage-webhook-certificate: tls.crt: holds no certificate yet",
			},
		}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("namespaces that take no part, and charge groups", func(t *testing.T) {
		objects := []runtime.Object{build.Namespace("outside", ""), build.Namespace("inside", "stowage.dev/quota=enabled")}
		for _, namespace := range []string{"outside", "inside"} {
			objects = append(objects, counted(build.Deployment(namespace, "web", 0, pod())), build.Deployment(namespace, "free", 0, pod()))
		}
		if err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), install.WebhookName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := cluster.CreateAll(t.Context(), objects...); err != nil {
			t.Fatal(err)
		}
		opts := options()
		opts.Kinds = kinds
		apply(t, opts, install.ApplyOptions{Wait: true})
		lines, err := install.Outside(t.Context(), cluster.RESTConfig())
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"namespace outside: takes no part in quota, and 1 objects there name a group: kubectl quota enable outside"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("what names a group and is of a kind that nobody judges", func(t *testing.T) {
		definition := decode(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: mills.example.com}, `+
			`spec: {group: example.com, scope: Namespaced, names: {kind: Mill, plural: mills, singular: mill}, `+
			`versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`)
		mill := decode(t, `{apiVersion: example.com/v1, kind: Mill, metadata: {namespace: default, name: north, labels: {biz.group.resource.quota: nlp}}}`)
		if err := cluster.CreateAll(t.Context(), definition); err != nil {
			t.Fatal(err)
		}
		want := "Mill.example.com default/north names a group and charges nothing itself: the kind Mill.example.com is not known"
		err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			if err := cluster.CreateAll(ctx, mill); err != nil && !apierrors.IsAlreadyExists(errors.Unwrap(err)) {
				return false, nil // is not served yet
			}
			status, err := install.ReadStatus(ctx, cluster.RESTConfig(), install.DefaultNamespace, time.Now())
			return err == nil && slices.ContainsFunc(status.Problems, func(problem string) bool { return strings.HasPrefix(problem, want) }), err
		})
		if err != nil {
			t.Errorf("%q is not told: %v", want, err)
		}
	})
	t.Run("removal keeps the groups", func(t *testing.T) {
		steps := remove(t, install.ApplyOptions{Wait: true})
		if want := "validatingwebhookconfiguration.admissionregistration.k8s.io/stowage-quota deleted"; steps[0] != want {
			t.Errorf("the first step is %q, want %q: from then on nobody waits for the component", steps[0], want)
		}
		if want := "customresourcedefinition.apiextensions.k8s.io/bizgroupresourcequotas.stowage.dev kept, with every group in it; --purge deletes them"; !slices.Contains(steps, want) {
			t.Errorf("%q is not in %q", want, steps)
		}
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), install.DefaultNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the namespace: got %v, want not found", err)
		}
	})
	t.Run("a purge does not", func(t *testing.T) {
		steps := remove(t, install.ApplyOptions{Wait: true, Purge: true})
		if want := "customresourcedefinition.apiextensions.k8s.io/bizgroupresourcequotas.stowage.dev deleted"; !slices.Contains(steps, want) {
			t.Errorf("%q is not in %q", want, steps)
		}
		for _, step := range steps {
			if !strings.Contains(step, "customresourcedefinition") && !strings.HasSuffix(step, " not found") {
				t.Errorf("%q: want not found", step)
			}
		}
	})
}

// TestNotStarting installs where nothing can run: there is no node.
func TestNotStarting(t *testing.T) {
	reset(t)
	objects, err := install.Objects(options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = install.Apply(ctx, cluster.RESTConfig(), objects, install.ApplyOptions{Wait: true, Report: func(step install.Step) {
		if step.Waiting == "0 of 2 replicas available" {
			cancel() // waited long enough
		}
	}})
	want := "deployment.apps/stowage-manager: gave up: 0 of 2 replicas available; see the events: kubectl -n stowage-system describe deployment.apps/stowage-manager"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), install.WebhookName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the webhooks: got %v, want not found: nobody could answer them", err)
	}
}

// TestForeignNamespace installs into a namespace that was there before.
func TestForeignNamespace(t *testing.T) {
	reset(t)
	if err := cluster.CreateAll(t.Context(), build.Namespace(install.DefaultNamespace, "team=platform")); err != nil {
		t.Fatal(err)
	}
	done := apply(t, options(), install.ApplyOptions{})
	if got, want := done["namespace/"+install.DefaultNamespace], "left as it is: it was there before, and its labels are not changed"; got != want {
		t.Errorf("the namespace was %q, want %q", got, want)
	}
	remove(t, install.ApplyOptions{})
	namespace, err := cluster.Client().CoreV1().Namespaces().Get(t.Context(), install.DefaultNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if namespace.DeletionTimestamp != nil {
		t.Error("the namespace is being deleted")
	}
}

// TestRights asks the API server what the component may do.
func TestRights(t *testing.T) {
	reset(t)
	apply(t, options(), install.ApplyOptions{})
	const own = install.DefaultNamespace
	for _, check := range []struct {
		right   string // VERB RESOURCE[.GROUP][/SUBRESOURCE]
		in      string
		name    string
		allowed bool
	}{
		{"list bizgroupresourcequotas.stowage.dev", "", "", true},
		{"update bizgroupresourcequotas.stowage.dev/status", "", "nlp", true},
		{"update bizgroupresourcequotas.stowage.dev", "", "nlp", false},
		{"patch bizgroupresourcequotas.stowage.dev/status", "", "nlp", false},
		{"create bizgroupresourcequotas.stowage.dev", "", "", false},
		{"watch deployments.apps", "", "", true},
		{"get rollouts.argoproj.io", "default", "web", true},
		{"update deployments.apps", "default", "web", false},
		{"update deployments.apps/scale", "default", "web", false},
		{"delete pods", "default", "web", false},
		{"create pods", own, "", false},
		{"list nodes", "", "", true},
		{"patch nodes", "", "node", false},
		{"create subjectaccessreviews.authorization.k8s.io", "", "", true},
		{"create events.events.k8s.io", "default", "", true}, // about groups
		{"create events", own, "", true},                     // about the Lease
		{"create events.events.k8s.io", "other", "", false},
		{"list events.events.k8s.io", "default", "", false},
		{"update validatingwebhookconfigurations.admissionregistration.k8s.io", "", install.WebhookName, false},
		{"patch validatingwebhookconfigurations.admissionregistration.k8s.io", "", install.WebhookName, false},
		{"list validatingwebhookconfigurations.admissionregistration.k8s.io", "", "", false},
		{"create validatingwebhookconfigurations.admissionregistration.k8s.io", "", "", false},
		{"delete validatingwebhookconfigurations.admissionregistration.k8s.io", "", install.WebhookName, false},
		{"update secrets", own, install.CertificateName, true},
		{"get secrets", own, "other", false},
		{"create secrets", own, "", false},
		{"list secrets", own, "", true},
		{"list secrets", "", "", false},
		{"get secrets", "default", install.CertificateName, false},
		{"update leases.coordination.k8s.io", own, install.ManagerName, true},
		{"update leases.coordination.k8s.io", own, "other", false},
		{"update leases.coordination.k8s.io", "kube-system", install.ManagerName, false},
		{"use bizgroupresourcequotas.stowage.dev", "", "nlp", false},
	} {
		verb, resource, _ := strings.Cut(check.right, " ")
		resource, sub, _ := strings.Cut(resource, "/")
		resource, group, _ := strings.Cut(resource, ".")
		review, err := cluster.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + own + ":" + install.ManagerName,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: check.in, Name: check.name,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != check.allowed {
			t.Errorf("%s in %q of %q: allowed is %v, want %v", check.right, check.in, check.name, review.Status.Allowed, check.allowed)
		}
	}
}

// TestWrongOptions refuses what cannot be installed.
func TestWrongOptions(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*install.Options)
		want string
	}{
		"no image":         {func(o *install.Options) { o.Image = "" }, "no image: expected the component's image"},
		"no kinds":         {func(o *install.Options) { o.Kinds = nil }, "no workload kinds: expected workload.Default() or a table of your own"},
		"replicas":         {func(o *install.Options) { o.Replicas = -1 }, "replicas -1: expected 1 or more"},
		"namespace":        {func(o *install.Options) { o.Namespace = "A" }, `namespace "A": a lowercase RFC 1123 label`},
		"system namespace": {func(o *install.Options) { o.Namespace = "kube-system" }, `namespace "kube-system": expected one of the component's own`},
		"no secrets":       {func(o *install.Options) { o.Secrets = nil }, "no secrets: expected those of NewSecrets or ReadSecrets"},
		"no CA":            {func(o *install.Options) { o.Secrets.Trusted = nil }, "no secrets: expected those of NewSecrets or ReadSecrets"},
		"no token":         {func(o *install.Options) { o.Secrets.Tokens = nil }, "webhook token, of 0 characters: expected 64 hexadecimal digits"},
		"token":            {func(o *install.Options) { o.Webhook = install.Endpoint{URL: "https://localhost", Token: "a/b"} }, "webhook token, of 3 characters: expected 64 hexadecimal digits"},
		"URL":              {func(o *install.Options) { o.Webhook.URL = "http://localhost" }, `webhook URL "http://localhost": expected https://HOST:PORT`},
	} {
		t.Run(name, func(t *testing.T) {
			opts := options()
			test.edit(&opts)
			if _, err := install.Objects(opts); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// remove uninstalls, and returns the steps.
func remove(t *testing.T, how install.ApplyOptions) []string {
	t.Helper()
	objects, err := install.Objects(options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var steps []string
	how.Report = func(step install.Step) {
		if step.Done != "" {
			steps = append(steps, step.Object+" "+step.Done)
		}
	}
	if err := install.Remove(ctx, cluster.RESTConfig(), objects, how); err != nil {
		t.Fatal(err)
	}
	return steps
}
