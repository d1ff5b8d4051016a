package snapshot_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// customs are objects of kinds that no table has: two tied to a group, in kinds of
// one name and two API groups, one in a list that does not repeat its type, and
// one tied to no group.
const customs = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: team, labels: {biz.group.resource.quota: nlp}, annotations: {note: secret}}
spec:
  replicas: 2
  template:
    metadata: {annotations: {note: secret}}
    spec:
      containers:
      - {name: main, image: example.com/secret, env: [{name: TOKEN, value: secret}], resources: {requests: {cpu: 1}}}
---
apiVersion: example.com/v1
kind: Rollout
metadata: {name: web, namespace: team, labels: {biz.group.resource.quota: nlp}}
spec: {}
---
apiVersion: kubeflow.org/v1
kind: TFJobList
items:
- metadata: {name: train, labels: {biz.group.resource.quota: nlp}}
  spec: {tfReplicaSpecs: {Worker: {replicas: 4, template: {spec: {containers: [{name: main, command: [secret]}]}}}}}
---
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {name: other, labels: {app: web}}
`

func TestReadKeepsWhatIsTiedToAGroup(t *testing.T) {
	s, err := snapshot.Read("f", strings.NewReader(customs))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, o := range s.Others {
		kept = append(kept, o.GetAPIVersion()+" "+o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName())
	}
	want := []string{"argoproj.io/v1alpha1 Rollout team/web", "example.com/v1 Rollout team/web", "kubeflow.org/v1 TFJob default/train"}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("Others differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"TFJob.kubeflow.org": 1}, s.Ignored); diff != "" {
		t.Errorf("Ignored differs (-want +got):\n%s", diff)
	}
	containers, _, err := unstructured.NestedSlice(s.Others[0].Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	reduced := []any{map[string]any{
		"name": "main", "image": "example.com/secret", "resources": map[string]any{"requests": map[string]any{"cpu": "1"}},
	}}
	if diff := cmp.Diff(reduced, containers); diff != "" {
		t.Errorf("the template's containers differ (-want +got):\n%s", diff)
	}
	checkRoundTrip(t, s)
	if text := written(t, snapshot.Redact(s), snapshot.Format{}); bytes.Contains(text, []byte("secret")) {
		t.Errorf("redacted, a secret is still there:\n%s", text)
	}
}

func TestAddKeepsWhatIsTiedToAGroup(t *testing.T) {
	tied := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}}
	tied.SetName("web")
	s := &snapshot.Snapshot{}
	if err := s.Add(tied.DeepCopy()); err == nil {
		t.Error("a rollout that is tied to no group was added")
	}
	tied.SetLabels(map[string]string{"biz.group.resource.quota": "nlp"})
	if err := s.Add(tied); err != nil {
		t.Fatal(err)
	}
	if len(s.Others) != 1 {
		t.Errorf("Others = %v, want the rollout", s.Others)
	}
}

func TestGroupsAreRead(t *testing.T) {
	group := build.BizGroup("nlp", "ai").Hard("limits.cpu=10,cash/limits.cpu=100").Used("limits.cpu=4").SelfUsed("limits.cpu=3").
		Refill("0 0 * * 1", "Asia/Shanghai").Allow("nlp-*").Reservation("deployments.apps", "nlp-prod", "web", "limits.cpu=1").
		Condition("Overcommitted", "limits.cpu").Obj()
	s := build.Snapshot(group, build.Event("default", "refilled", "BizGroupResourceQuota", "nlp", "Refilled", "0 hours used"))
	if len(s.Events) != 1 {
		t.Errorf("Events = %v, want the group's", s.Events)
	}
	checkRoundTrip(t, s)
}
