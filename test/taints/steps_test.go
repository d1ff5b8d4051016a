package taints

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/lab"
)

// TestThreeSteps follows a well-known introduction to taints ("K8s advanced
// scheduling: taints, tolerations, affinity") on one node: it is tainted
// PreferNoSchedule, NoSchedule and NoExecute in turn, with a pod made at each step;
// then comes a pod with the toleration. Each change is planned, made and compared.
func TestThreeSteps(t *testing.T) {
	lab.Needed(t)
	rig, err := newRig(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	const namespace, node = "dev", "node1"
	s := steps{t, rig, namespace, node}
	err = cluster.CreateAll(t.Context(), build.Namespace(namespace, ""), ready(build.Node(node).Label(worldLabel, namespace).Capacity("cpu=4,memory=8Gi").Obj()))
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.nodesReady(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}

	s.taint("tag=heima:PreferNoSchedule")
	s.runPod("taint1")
	s.expect(map[string]string{"taint1": node})

	s.taint("tag:PreferNoSchedule-")
	s.taint("tag=heima:NoSchedule")
	s.runPod("taint2")
	s.expect(map[string]string{"taint1": node, "taint2": ""})

	s.taint("tag:NoSchedule-") // and pod taint2 gets its node
	s.expect(map[string]string{"taint1": node, "taint2": node})
	s.taint("tag=heima:NoExecute") // both are lost
	s.runPod("taint3")
	s.expect(map[string]string{"taint3": ""})

	s.apply(podToleration)
	s.expect(map[string]string{"taint3": "", "pod-toleration": node})

	s.taint("tag-") // all taints of the key
	s.expect(map[string]string{"taint3": node, "pod-toleration": node})
}

// podToleration is the introduction's manifest.
const podToleration = `apiVersion: v1
kind: Pod
metadata:
  name: pod-toleration
  namespace: dev
spec:
  containers:
  - name: nginx
    image: nginx:1.17.1
  tolerations:
  - key: "tag"
    operator: "Equal"
    value: "heima"
    effect: "NoExecute"
`

// steps are done one after another, on one node.
type steps struct {
	t               *testing.T
	rig             *rig
	namespace, node string
}

// taint plans a change of the node's taints, makes it and compares.
func (s *steps) taint(change string) {
	s.t.Helper()
	trial, err := s.rig.try(s.t.Context(), s.namespace, []string{s.node}, []string{change})
	if err != nil {
		s.t.Fatalf("%s: %v", change, err)
	}
	if len(trial.differences) > 0 {
		s.t.Errorf("%s:\n%s", change, trial)
	}
}

// runPod makes a pod as one does by hand.
func (s *steps) runPod(name string) {
	s.t.Helper()
	if err := s.rig.run(s.t.Context(), "run", name, "--image=nginx:1.17.1", "--namespace="+s.namespace); err != nil {
		s.t.Fatal(err)
	}
}

// apply applies a manifest.
func (s *steps) apply(manifest string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := s.rig.run(s.t.Context(), "apply", "--filename="+path); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits until the pods are on these nodes; none is empty.
func (s *steps) expect(want map[string]string) {
	s.t.Helper()
	var have map[string]string
	err := until(s.t.Context(), fmt.Sprintf("the pods are on %v", want), func(context.Context) (bool, error) {
		have = map[string]string{}
		for _, pod := range present(s.rig.kubelet.of(s.namespace)) {
			if unsettled(pod) {
				return false, nil
			}
			have[pod.Name] = pod.Spec.NodeName
		}
		return cmp.Equal(want, have), nil
	})
	if err != nil {
		s.t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, have))
	}
}
