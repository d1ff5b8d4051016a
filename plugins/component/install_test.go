package component_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/plugins/component"
	"github.com/stowage-dev/stowage/test/command"
	"github.com/stowage-dev/stowage/test/lab"
)

func TestMain(m *testing.M) { command.Main(m) }

// plugin is a plugin that has mounted the commands and nothing else.
func plugin() command.Plugin {
	return command.Plugin{Name: "quota", New: func(env cli.Env) *cobra.Command {
		cmd := &cobra.Command{Use: "quota"}
		cli.Prepare(cmd, env)
		cmd.AddCommand(component.Commands(env, cmd.Name())...)
		return cmd
	}}
}

// run runs install, uninstall or status, and returns the exit code, stdout
// and stderr.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	result := plugin().RunAt(t, clock.RealClock{}, "", args...)
	return result.Code, result.Stdout, result.Stderr
}

// TestInstallRefuses what it cannot do, in one line.
func TestInstallRefuses(t *testing.T) {
	wrongKinds := filepath.Join(t.TempDir(), "kinds.yaml")
	if err := os.WriteFile(wrongKinds, []byte("kinds: [{version: v1, kind: Web}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"without an image": {[]string{"install"}, "error: --image: this is a development build, which has no published image; build one with \"make image\", and name it here\nSee 'kubectl quota install --help' for usage.\n"},
		"no replicas":      {[]string{"install", "--image=i", "--replicas=0"}, "error: --replicas 0: expected 1 or more\nSee 'kubectl quota install --help' for usage.\n"},
		"no time":          {[]string{"uninstall", "--timeout=0"}, "error: --timeout 0s: expected more than 0\nSee 'kubectl quota uninstall --help' for usage.\n"},
		"a wrong dry run":  {[]string{"install", "--image=i", "--dry-run=maybe"}, "error: --dry-run: Invalid dry-run value (maybe). Must be \"none\", \"server\", or \"client\".\nSee 'kubectl quota install --help' for usage.\n"},
		"manifests, and to apply them": {[]string{"install", "--image=i", "-o=yaml"},
			"error: --output \"yaml\" prints the manifests, and needs --dry-run=client\nSee 'kubectl quota install --help' for usage.\n"},
		"no kinds":    {[]string{"install", "--image=i", "--workload-kinds=absent.yaml"}, "error: --workload-kinds: open absent.yaml: no such file or directory\n"},
		"wrong kinds": {[]string{"install", "--image=i", "--workload-kinds=" + wrongKinds}, "error: --workload-kinds: " + wrongKinds + ": kinds[0] (Web): "},
		"a new token at once": {[]string{"install", "--image=i", "--renew-token", "--wait=false"},
			"error: --renew-token: the API server is told of another secret when all pods know it, and needs --wait\nSee 'kubectl quota install --help' for usage.\n"},
		"nobody to ask":    {[]string{"install", "--image=i", "--server=https://127.0.0.1:1"}, "error: stdin is no terminal to ask on: expected --yes, or --dry-run=server to see what would be done\n"},
		"arguments":        {[]string{"status", "now"}, "error: unexpected arguments: [now]\nSee 'kubectl quota status --help' for usage.\n"},
		"system namespace": {[]string{"install", "--image=i", "-n=kube-system"}, "error: namespace \"kube-system\": expected one of the component's own"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.args...)
			if code != cli.ExitError || stdout != "" || !strings.HasPrefix(stderr, test.want) || strings.Count(stderr, "\n") > strings.Count(test.want, "\n")+1 {
				t.Errorf("exit code %d, stdout %q, stderr:\n%swant:\n%s", code, stdout, stderr, test.want)
			}
		})
	}
}

// TestInstallManifests prints what would be applied, without a cluster.
func TestInstallManifests(t *testing.T) {
	code, stdout, stderr := run(t, "install", "--image=example.org/m:1", "--replicas=3", "-n=quotas", "--dry-run=client", "-o=yaml")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr:\n%s", code, stderr)
	}
	list := &unstructured.UnstructuredList{}
	if err := yaml.Unmarshal([]byte(stdout), list); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, object := range list.Items {
		lines = append(lines, strings.TrimPrefix(object.GetNamespace()+"/", "/")+object.GetKind()+"/"+object.GetName())
		if object.GetKind() == "Deployment" {
			replicas, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			lines = append(lines, fmt.Sprintf("%d of %s", replicas, containers[0].(map[string]any)["image"]))
		}
	}
	want := []string{
		"Namespace/quotas",
		"CustomResourceDefinition/bizgroupresourcequotas.stowage.dev",
		"quotas/ServiceAccount/stowage-manager",
		"ClusterRole/stowage-manager",
		"ClusterRoleBinding/stowage-manager",
		"quotas/Role/stowage-manager",
		"quotas/RoleBinding/stowage-manager",
		"default/Role/stowage-manager-events",
		"default/RoleBinding/stowage-manager-events",
		"ClusterRole/stowage-view",
		"ClusterRole/stowage-quota-admin",
		"ClusterRole/stowage-quota-user",
		"ClusterRole/stowage-metrics-reader",
		"PriorityClass/stowage-manager",
		"quotas/Secret/stowage-webhook-certificate",
		"quotas/Secret/stowage-webhook-token",
		"quotas/ConfigMap/stowage-workload-kinds",
		"quotas/Service/stowage-manager",
		"quotas/NetworkPolicy/stowage-manager",
		"quotas/PodDisruptionBudget/stowage-manager",
		"quotas/Deployment/stowage-manager",
		"3 of example.org/m:1",
		"ValidatingWebhookConfiguration/stowage-quota",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What would be applied is printed in every format of kubectl's.
func TestInstallFormats(t *testing.T) {
	for format, want := range map[string]string{
		"wide":                              `(?s)namespace/stowage-system would be applied \(dry run\)\n.*`,
		"name":                              `namespace/stowage-system\ncustomresourcedefinition\.apiextensions\.k8s\.io/bizgroupresourcequotas\.stowage\.dev\n(\S+/\S+\n){20}`,
		"json":                              `(?s)\{\n    "apiVersion": "v1",\n    "items": .*`,
		"yaml":                              `(?s)apiVersion: v1\nitems:\n.*`,
		"kyaml":                             `(?s)---\n\{\n  apiVersion: "v1",\n.*`,
		"jsonpath={.items[0].kind}":         `Namespace`,
		"jsonpath-as-json={.items[0].kind}": `\[\n    "Namespace"\n\]\n`,
		"go-template={{(index .items 1).metadata.name}}": `bizgroupresourcequotas\.stowage\.dev`,
		"custom-columns=KIND:.kind,NAME:.metadata.name":  `KIND +NAME\nNamespace +stowage-system\n(\S+ +\S+\n){21}`,
	} {
		code, stdout, stderr := run(t, "install", "--image=m:1", "--dry-run=client", "-o", format)
		if code != 0 || stderr != "" || !regexp.MustCompile(`^`+want+`$`).MatchString(stdout) {
			t.Errorf("-o %s: exit code %d, stderr %q, stdout:\n%.300s", format, code, stderr, stdout)
		}
	}
	if _, _, stderr := run(t, "status", "-o", "name"); !strings.Contains(stderr, `unable to match a printer suitable for the output format "name", allowed formats are: wide,`) || strings.Contains(stderr, ",name") {
		t.Errorf("a status has no name: %s", stderr)
	}
}

// TestInstallLive installs into a real control plane, looks, and uninstalls.
func TestInstallLive(t *testing.T) {
	cluster := lab.New(t, lab.Options{})
	if err := cluster.CreateAll(t.Context(), build.Node("node").Capacity("cpu=8,memory=16Gi,pods=20").Obj()); err != nil {
		t.Fatal(err)
	}
	config := "--kubeconfig=" + cluster.Kubeconfig()
	for _, step := range []struct {
		args []string
		code int
		// stdout and stderr are patterns for all of what is written.
		stdout, stderr string
	}{
		{[]string{"status"}, 0, `not installed: kubectl quota install\n`, ``},
		{[]string{"status", "--exit-code"}, cli.ExitNo, `not installed: kubectl quota install\n`, ``},
		{[]string{"install", "--image=m:1", "--dry-run=server"}, 0, `(?s)namespace/stowage-system created \(server dry run\)\n.*deployment.apps/stowage-manager not checked: namespace "stowage-system" does not exist yet \(server dry run\)\n.*`, ``},
		{[]string{"install", "--image=m:1", "--yes"}, 0, `(?s)namespace/stowage-system created\n.*deployment.apps/stowage-manager created\nvalidatingwebhookconfiguration.admissionregistration.k8s.io/stowage-quota created\n`, ``},
		{[]string{"install", "--image=m:1", "--yes", "--renew-token=false"}, 0, `(\S+ unchanged\n){22}`, ``},
		{[]string{"install", "--image=m:1", "--yes", "--wait=false"}, 0, `(\S+ unchanged\n){22}`, ``},
		{[]string{"install", "--image=m:1", "--yes"}, 0, `(?s).*secret/stowage-webhook-certificate unchanged\nsecret/stowage-webhook-token configured\n.*deployment.apps/stowage-manager configured\nvalidatingwebhookconfiguration.admissionregistration.k8s.io/stowage-quota configured\n`, ``},
		{[]string{"status"}, 0, `(?s)PART +STATE +DETAIL\ndeployment +2/2 ready +m:1, 2 updated\nwebhooks +configured +\d+ entries\nresource +served +v1alpha1\ngroups +0/0 counted .*! secret stowage-system/stowage-webhook-certificate: tls.crt: holds no certificate yet\n.*`, ``},
		{[]string{"status", "-o=jsonpath={.kind} {.deployment.ready}"}, 0, `QuotaStatus 2`, ``},
		{[]string{"status", "--as=nobody"}, 0, `PART +STATE +DETAIL\n`, `(?s)Warning: customresourcedefinition \S+: may not be read\n.*`},
		{[]string{"uninstall", "--yes"}, 0, `(?s)validatingwebhookconfiguration.admissionregistration.k8s.io/stowage-quota deleted\n.*customresourcedefinition.apiextensions.k8s.io/bizgroupresourcequotas.stowage.dev kept, with every group in it; --purge deletes them\n.*`, ``},
		{[]string{"uninstall", "--yes", "--purge"}, 0, `(?s).*customresourcedefinition.apiextensions.k8s.io/bizgroupresourcequotas.stowage.dev deleted\n.*`, ``},
	} {
		code, stdout, stderr := run(t, append(step.args, config)...)
		if code != step.code || !regexp.MustCompile(`^`+step.stdout+`$`).MatchString(stdout) || !regexp.MustCompile(`^`+step.stderr+`$`).MatchString(stderr) {
			t.Fatalf("%v: exit code %d\n--- stdout\n%s--- stderr\n%s", step.args, code, stdout, stderr)
		}
	}
}
