package agree

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/lab"
)

// defaultPods is how many pods a plain `go test` compares.
const defaultPods = 150

var (
	podsFlag = flag.Int("n", fromEnvironment("AGREE_N", defaultPods), "how many pods to compare")
	seedFlag = flag.Int("seed", fromEnvironment("AGREE_SEED", 1), "seed of the generated clusters")
)

func fromEnvironment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestAgree compares the kept cases and generated ones on a control plane.
func TestAgree(t *testing.T) {
	w := newWorld(t)
	t.Run("kept", func(t *testing.T) { keptOnLab(t, w) })
	t.Run("generated", func(t *testing.T) { generated(t, w, *podsFlag, uint64(*seedFlag)) })
}

// testUser is who the test is to the API server; the scheduler is an administrator.
const testUser = "agree"

// newWorld starts a control plane for the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	l := lab.New(t, lab.Options{
		Without: []lab.Component{lab.ControllerManager, lab.Kwok},
		ExtraArgs: map[lab.Component]map[string]string{
			// Nobody would take off the finalizers that the last one puts on.
			lab.APIServer: {"disable-admission-plugins": "ServiceAccount,TaintNodesByCondition,StorageObjectInUseProtection"},
		},
	})
	config := l.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: testUser, Groups: []string{"system:masters"}}
	config.WarningHandler = rest.NoWarnings{}
	w := &world{lab: l, config: config, kinds: loadedKinds(), defined: map[string]snapshot.Object{}, live: map[string]snapshot.Object{}}
	var err error
	if w.typed, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.pods, err = watchPods(t.Context(), w.typed); err != nil {
		t.Fatal(err)
	}
	w.pods.kubelet = func(pod *corev1.Pod) { _ = w.retract(t.Context(), pod) }
	if err := errors.Join(w.forbidEviction(t.Context()), w.prepareShell(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	return w
}

// forbidEviction makes the API server refuse what the scheduler does to its
// victims, and waits until it does.
func (w *world) forbidEviction(ctx context.Context) error {
	const name = "no-victims"
	policies := w.typed.AdmissionregistrationV1()
	_, err := policies.ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Delete, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods", "pods/status"}},
			}}}},
			Validations: []admissionv1.Validation{{
				Expression: `request.userInfo.username == "` + testUser + `" || (request.operation != "DELETE" && ` +
					`(!has(object.status.conditions) || !object.status.conditions.exists(c, c.type == "DisruptionTarget")))`,
				Message: "victims stay",
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return w.evictionForbidden(ctx)
}

// evictionForbidden waits until the policy is in force for others than the test.
func (w *world) evictionForbidden(ctx context.Context) error {
	pods := w.lab.Client().CoreV1().Pods(metav1.NamespaceDefault)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		probe := sentinelPod(metav1.NamespaceDefault)
		probe.Spec.SchedulingGates = append(probe.Spec.SchedulingGates, gate("example.com/probe"))
		if _, err := pods.Create(ctx, probe, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		err := pods.Delete(ctx, probe.Name, metav1.DeleteOptions{})
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return w.retract(ctx, probe)
		}
		if err != nil {
			return fmt.Errorf("waiting for the admission policy: %w", err)
		}
	}
}

// generated compares n pods on generated clusters.
func generated(t *testing.T, w *world, n int, seed uint64) {
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.add(t.Context(), sharedObjects()); err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, world: w, config: config, wanted: n, seed: seed, coverage: newCoverage(), began: time.Now(),
		counts: counts{remedies: map[report.RemedyKind]int{}, commands: map[report.RemedyKind]int{}}}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.report(os.Stderr); err != nil {
		t.Error(err)
	}
	if n < defaultPods {
		return
	}
	for _, name := range r.coverage.missing() {
		t.Errorf("no pod was refused for %q: raise its odds in traits or cluster", name)
	}
}
