package manager_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/manager"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
	"github.com/stowage-dev/stowage/test/lab"
)

var cluster *lab.Lab

// beManager has the test's binary be the manager, so that replicas are processes.
const beManager = "STOWAGE_TEST_BE_MANAGER"

func TestMain(m *testing.M) {
	if os.Getenv(beManager) != "" {
		if err := manager.NewCommand(manager.NewEnv()).ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(2)
		}
		os.Exit(0)
	}
	lab.Main(m, &cluster, lab.Options{
		// Nothing runs kube-proxy: the API server is to find a Service's endpoints itself.
		ExtraArgs: map[lab.Component]map[string]string{lab.APIServer: {"enable-aggregator-routing": "true"}},
	})
}

// TestFlags refuses what cannot be meant, and names the flag, before it looks for a
// cluster.
func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--namespace=A", `--namespace "A": expected a namespace's name`},
		{"--webhook-port=0", "--webhook-port 0: expected 1 to 65535"},
		{"--leader-elect-lease-duration=5s", "--leader-elect-lease-duration 5s: expected more than --leader-elect-renew-deadline (10s)"},
		{"--leader-elect-renew-deadline=1s", "--leader-elect-renew-deadline 1s: expected more than 1.2 times --leader-elect-retry-period (2s)"},
		{"--reservation-ttl=1s", "--reservation-ttl 1s: expected 10s or more: a request may be under way that long"},
		{"--resync=0s", "--resync 0s: expected more than 0"},
		{"--drain=-1s", "--drain -1s: expected 0 or more"},
		{"--metrics-bind-address=8443", `--metrics-bind-address "8443": expected HOST:PORT, :PORT or "0"`},
		{"--log-format=xml", `--log-format "xml": expected one of text, json`},
		{"--kubeconfig=absent", "--kubeconfig: stat absent: no such file or directory"},
		{"--workload-kinds=absent", "--workload-kinds: open absent: no such file or directory"},
		{"--cert-dir=absent", "--cert-dir: stat absent/tls.crt: no such file or directory"},
		{"--webhook-token-file=absent", "--webhook-token-file: open absent: no such file or directory"},
		{"--webhook-token-file=/dev/null", "--webhook-token-file: /dev/null: webhook token, of 0 characters: expected 64 hexadecimal digits"},
		{"now", `unknown command "now" for "stowage-manager"`},
	} {
		t.Run(test.args, func(t *testing.T) {
			cmd := manager.NewCommand(manager.Env{IOStreams: genericiooptions.NewTestIOStreamsDiscard(), Clock: clock.RealClock{}})
			cmd.SetArgs(strings.Fields(test.args))
			if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// replica is one process of the component.
type replica struct {
	cmd                      *exec.Cmd
	webhook, metrics, health int
	log, tokens              string // its files
	exited                   chan error
}

// TestInCluster runs two replicas under the component's own ServiceAccount, which
// the API server finds by the component's Service and trusts by the certificates
// that they made.
func TestInCluster(t *testing.T) {
	lab.Needed(t)
	host := hostAddress(t)
	client := cluster.Client()
	installWithoutPods(t)
	if err := cluster.CreateAll(t.Context(), group("nlp", "pods=2")); err != nil {
		t.Fatal(err)
	}
	enable := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, stowagev1alpha1.QuotaLabel, stowagev1alpha1.QuotaEnabled)
	if _, err := client.CoreV1().Namespaces().Patch(t.Context(), metav1.NamespaceDefault, types.MergePatchType, enable, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	config := serviceAccountConfig(t)
	replicas := []*replica{start(t, config), start(t, config)}
	for i, r := range replicas {
		expose(t, i, host, r.webhook)
	}
	for _, r := range replicas {
		r.awaitReady(t)
	}
	if err := install.Apply(t.Context(), cluster.RESTConfig(), webhooks(t), install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}

	t.Run("workloads are judged", func(t *testing.T) {
		await(t, "a deployment that is too large to be refused", func(ctx context.Context) (bool, error) {
			return refused(large(ctx)), nil
		})
		if err := create(t.Context(), "fits", 2); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("who does not know the token finds nothing", func(t *testing.T) {
		token := webhookToken(t)
		for prefix, want := range map[string]int{
			"": http.StatusNotFound, "/" + install.NewToken(): http.StatusNotFound, "/" + token + "x": http.StatusNotFound, "/" + token: http.StatusOK,
		} {
			// What is no review is answered by one that refuses.
			if code, text := get(t, replicas[0].url("https", replicas[0].webhook, prefix+install.PathWorkload), ""); code != want {
				t.Errorf("below %q: got %d (%s), want %d", prefix, code, text, want)
			}
		}
	})
	t.Run("metrics are for whom the API server lets read them", func(t *testing.T) {
		if code, _ := get(t, replicas[0].url("https", replicas[0].metrics, "/metrics"), ""); code != http.StatusUnauthorized {
			t.Errorf("nobody gets %d, want %d", code, http.StatusUnauthorized)
		}
		if code, _ := get(t, replicas[0].url("https", replicas[0].metrics, "/metrics"), token(t, metav1.NamespaceDefault, "default")); code != http.StatusForbidden {
			t.Errorf("somebody gets %d, want %d", code, http.StatusForbidden)
		}
		bindMetricsReader(t)
		await(t, "the reader of metrics to get them", func(context.Context) (bool, error) {
			code, text := get(t, replicas[0].url("https", replicas[0].metrics, "/metrics"), token(t, metav1.NamespaceDefault, "scraper"))
			if strings.Contains(text, webhookToken(t)) {
				return false, errors.New("they tell the webhooks' token")
			}
			return code == http.StatusOK && strings.Contains(text, "stowage_quota_ledger_writes_total"), nil
		})
	})
	t.Run("certificates are made anew", func(t *testing.T) {
		secrets := client.CoreV1().Secrets(install.DefaultNamespace)
		secret, err := secrets.Get(t.Context(), install.CertificateName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		authority, served := string(secret.Data["ca.crt"]), string(secret.Data["tls.crt"])
		delete(secret.Data, "tls.crt")
		if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		await(t, "another certificate of the same authority", func(ctx context.Context) (bool, error) {
			secret, err := secrets.Get(ctx, install.CertificateName, metav1.GetOptions{})
			if err != nil || len(secret.Data["tls.crt"]) == 0 || string(secret.Data["tls.crt"]) == served {
				return false, err
			}
			if string(secret.Data["ca.crt"]) != authority {
				return false, errors.New("the authority is another, which the API server does not trust")
			}
			return refused(large(ctx)), nil
		})
	})
	t.Run("another token takes the place of one", func(t *testing.T) { renewToken(t, replicas) })
	t.Run("status", func(t *testing.T) {
		status, err := install.ReadStatus(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if status.Leader == nil || status.Certificate == nil || !status.Webhooks.Trusted {
			t.Errorf("no leader, no certificate or no trust: %+v", status)
		}
	})
	t.Run("a leader that ends drains, and gives the lease back", func(t *testing.T) {
		i := slices.IndexFunc(replicas, func(r *replica) bool { return r.leads(t) })
		if i < 0 {
			t.Fatal("nobody leads")
		}
		leader, other := replicas[i], replicas[1-i]
		failed := ask(t)
		if err := leader.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		await(t, "the leader to be unready", func(context.Context) (bool, error) {
			code, _ := get(t, leader.url("http", leader.health, "/readyz"), "")
			return code == http.StatusInternalServerError, nil
		})
		if code, _ := get(t, leader.url("https", leader.webhook, install.PathWorkload), ""); code == 0 {
			t.Error("while draining, the webhooks do not answer")
		}
		withdraw(t, i)
		if err := <-leader.exited; err != nil {
			t.Errorf("the leader exited with %v, want success", err)
		}
		await(t, "the other replica to lead", func(context.Context) (bool, error) { return other.leads(t), nil })
		if asked, wrong := failed(); asked == 0 || wrong != nil {
			t.Errorf("of %d requests meanwhile, not all were judged: %v", asked, wrong)
		}
	})
	for _, r := range replicas {
		if strings.Contains(r.text(t), webhookToken(t)) {
			t.Errorf("replica %d: the log tells the webhooks' token", r.cmd.Process.Pid)
		}
		if strings.Contains(r.text(t), "forbidden") {
			t.Errorf("replica %d: the ServiceAccount lacks a right", r.cmd.Process.Pid)
		}
	}
}

// renewToken gives the webhooks another token while workloads are judged: all that are
// asked for are answered, and in the end the one before is good for nothing.
func renewToken(t *testing.T, replicas []*replica) {
	former := webhookToken(t)
	renewed, err := install.ReadSecrets(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, true)
	if err != nil {
		t.Fatal(err)
	}
	code := func(r *replica, token string) int {
		code, _ := get(t, r.url("https", r.webhook, "/"+token+install.PathWorkload), "")
		return code
	}
	awaitCode := func(token string, want int) {
		await(t, fmt.Sprintf("%d from every replica", want), func(context.Context) (bool, error) {
			return !slices.ContainsFunc(replicas, func(r *replica) bool { return code(r, token) != want }), nil
		})
	}
	failed := ask(t)
	writeTokens(t, replicas, renewed.Tokens...)
	awaitCode(renewed.Tokens[0], http.StatusOK)
	awaitCode(former, http.StatusOK)
	objects, err := install.Objects(install.Options{Image: "none", Kinds: workload.Default(), Secrets: renewed})
	if err != nil {
		t.Fatal(err)
	}
	if err := install.Apply(t.Context(), cluster.RESTConfig(), objects[len(objects)-1:], install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // the API server is told, and what is under way ends
	writeTokens(t, replicas, renewed.Tokens[0])
	awaitCode(former, http.StatusNotFound)
	if asked, wrong := failed(); asked == 0 || wrong != nil {
		t.Errorf("of %d requests meanwhile, not all were judged: %v", asked, wrong)
	}
	if err := install.RetireTokens(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, renewed.Tokens); err != nil {
		t.Fatal(err)
	}
}

// writeTokens does what a kubelet does with the tokens' Secret.
func writeTokens(t *testing.T, replicas []*replica, tokens ...string) {
	t.Helper()
	for _, r := range replicas {
		if err := os.WriteFile(r.tokens, []byte(strings.Join(tokens, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// hostAddress is an address of this machine that a Service may have for an endpoint.
func hostAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback, and an endpoint of a Service cannot be loopback")
	return ""
}

// manifests are those of an installation in the cluster that a test keeps.
func manifests(t *testing.T, keep func(kind string) bool) []*unstructured.Unstructured {
	t.Helper()
	objects, err := install.Objects(install.Options{
		Image: "none", Kinds: workload.Default(), Secrets: secrets(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool { return !keep(object.GetKind()) })
}

// secrets are the installation's, or new ones.
func secrets(t *testing.T) *install.Secrets {
	t.Helper()
	secrets, err := install.ReadSecrets(t.Context(), cluster.RESTConfig(), install.DefaultNamespace, false)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// webhookToken is what the API server is told.
func webhookToken(t *testing.T) string {
	t.Helper()
	return secrets(t).Tokens[0]
}

func webhooks(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return manifests(t, func(kind string) bool { return kind == "ValidatingWebhookConfiguration" })
}

// installWithoutPods installs all but the webhooks and what runs the component: the
// test runs it, behind a Service of the same name.
func installWithoutPods(t *testing.T) {
	t.Helper()
	objects := manifests(t, func(kind string) bool {
		return !slices.Contains([]string{"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ValidatingWebhookConfiguration"}, kind)
	})
	if err := install.Apply(t.Context(), cluster.RESTConfig(), objects, install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: install.DefaultNamespace, Name: install.ManagerName},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "webhook", Port: 443, TargetPort: intstr.FromString("webhook")}}},
	}
	if err := cluster.CreateAll(t.Context(), service); err != nil {
		t.Fatal(err)
	}
}

// expose makes a replica an endpoint of the Service.
func expose(t *testing.T, i int, host string, port int) {
	t.Helper()
	if err := cluster.CreateAll(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: install.DefaultNamespace, Name: fmt.Sprintf("%s-%d", install.ManagerName, i),
			Labels: map[string]string{discoveryv1.LabelServiceName: install.ManagerName},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("webhook"), Port: new(int32(port))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}); err != nil {
		t.Fatal(err)
	}
}

// withdraw takes a replica out of the Service, as unreadiness does with a pod.
func withdraw(t *testing.T, i int) {
	t.Helper()
	slice := fmt.Sprintf("%s-%d", install.ManagerName, i)
	if err := cluster.Client().DiscoveryV1().EndpointSlices(install.DefaultNamespace).Delete(t.Context(), slice, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// token is a ServiceAccount's.
func token(t *testing.T, namespace, name string) string {
	t.Helper()
	request, err := cluster.Client().CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// serviceAccountConfig is the path of a kubeconfig with the component's token.
func serviceAccountConfig(t *testing.T) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token(t, install.DefaultNamespace, install.ManagerName)}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a replica, and has it end with the test.
func start(t *testing.T, config string) *replica {
	t.Helper()
	ports, err := lab.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{webhook: ports[0], metrics: ports[1], health: ports[2], log: filepath.Join(t.TempDir(), "log"), exited: make(chan error, 1)}
	r.tokens = filepath.Join(t.TempDir(), "token")
	writeTokens(t, []*replica{r}, webhookToken(t)+"\n")
	r.cmd = exec.Command(os.Args[0], "--kubeconfig="+config, "--log-format=json", "--drain=5s",
		"--webhook-token-file="+r.tokens,
		fmt.Sprintf("--webhook-port=%d", r.webhook),
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", r.metrics),
		fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", r.health))
	r.cmd.Env = append(os.Environ(), beManager+"=1")
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has it open itself
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		r.exited <- r.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-ended
		if t.Failed() {
			t.Logf("replica %d:\n%s", r.cmd.Process.Pid, r.text(t))
		}
	})
	return r
}

// text is what the replica has logged.
func (r *replica) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// url is one of the replica's addresses.
func (r *replica) url(scheme string, port int, path string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path)
}

func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	await(t, "a replica to be ready", func(context.Context) (bool, error) {
		select {
		case err := <-r.exited:
			return false, fmt.Errorf("it exited: %w", err)
		default:
		}
		code, _ := get(t, r.url("http", r.health, "/readyz"), "")
		return code == http.StatusOK, nil
	})
}

// leads says whether the replica's own metrics say that it leads.
func (r *replica) leads(t *testing.T) bool {
	_, text := get(t, r.url("https", r.metrics, "/metrics"), token(t, metav1.NamespaceDefault, "scraper"))
	return strings.Contains(text, `leader_election_master_status{name="`+install.ManagerName+`"} 1`)
}

// bindMetricsReader gives the ServiceAccount "scraper" the role that comes with the component.
func bindMetricsReader(t *testing.T) {
	t.Helper()
	if err := cluster.CreateAll(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "scraper"}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "scraper"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "stowage-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: "scraper"}},
		}); err != nil {
		t.Fatal(err)
	}
}

// group is a business group that the namespace "default" may charge.
func group(name, hard string) *stowagev1alpha1.BizGroupResourceQuota {
	return &stowagev1alpha1.BizGroupResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: stowagev1alpha1.GroupVersion.String(), Kind: stowagev1alpha1.BizGroupResourceQuotaKind},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: stowagev1alpha1.BizGroupResourceQuotaSpec{
			Hard:  build.Resources(hard),
			Allow: &stowagev1alpha1.Allow{Namespaces: []string{metav1.NamespaceDefault}},
		},
	}
}

// large asks for a deployment that group nlp has no room for, as a dry run.
func large(ctx context.Context) error { return create(ctx, "large", 3, metav1.DryRunAll) }

// ask asks for large deployments, one after another, until the function that it
// returns is called. That says how many were asked for, and returns the errors of
// those that were not judged.
func ask(t *testing.T) func() (asked int, wrong error) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	asked, wrong := 0, error(nil)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := large(context.WithoutCancel(ctx)); !refused(err) {
				wrong = errors.Join(wrong, fmt.Errorf("request %d: %w", asked, err))
			}
			asked++
		}
	}()
	return func() (int, error) {
		stop()
		<-done
		return asked, wrong
	}
}

// create creates a deployment of group nlp.
func create(ctx context.Context, name string, replicas int32, dryRun ...string) error {
	deployment := build.Deployment(metav1.NamespaceDefault, name, replicas, build.Pod("", "").Request("cpu=1").Label("app", name))
	deployment.Labels = map[string]string{stowagev1alpha1.GroupLabel: "nlp"}
	_, err := cluster.Client().AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, deployment, metav1.CreateOptions{DryRun: dryRun})
	return err
}

// refused says whether the component was asked, and refused.
func refused(err error) bool {
	return err != nil && strings.Contains(err.Error(), "group nlp: pods: needs 3, ")
}

// get returns the code of an answer, 0 where there is none, and its text.
func get(t *testing.T, url, token string) (code int, text string) {
	t.Helper()
	// Whom the API server trusts is tested through the API server.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(body)
}

// await polls until a condition holds.
func await(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
