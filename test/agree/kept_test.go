package agree

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Kept cases are snapshots whose trial pods carry, in this annotation, what the
// real scheduler said: "bound to NODE", "silent" or "REASON: MESSAGE".
const (
	keptFolder     = "testdata/cases"
	saidAnnotation = "agree.stowage.dev/said"
)

var record = flag.Bool("record", false, "write the cases of upstream_test.go to testdata/cases with what the scheduler says")

// parseSaid reads the annotation.
func parseSaid(text string) said {
	if text == "silent" {
		return said{Silent: true}
	}
	if node, ok := strings.CutPrefix(text, "bound to "); ok {
		return said{Node: node}
	}
	reason, message, _ := strings.Cut(text, ": ")
	return said{Reason: reason, Message: message}
}

// keptCase is one file of testdata/cases.
type keptCase struct {
	path  string
	snap  *snapshot.Snapshot
	pods  []*corev1.Pod // the trial pods
	other []snapshot.Object
}

func readKept(path string) (*keptCase, error) {
	snap, err := snapshot.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &keptCase{path: path, snap: snap}
	for _, k := range snapshot.Kinds() {
		for _, o := range k.Objects(snap) {
			if pod, ok := o.(*corev1.Pod); ok && pod.Annotations[saidAnnotation] != "" {
				c.pods = append(c.pods, pod)
			} else {
				c.other = append(c.other, o)
			}
		}
	}
	// A runtime class is no object of a snapshot; the pod's overhead is.
	for _, pod := range c.pods {
		if name := pod.Spec.RuntimeClassName; name != nil {
			c.other = append(c.other, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: *name}, Handler: *name, Overhead: &nodev1.Overhead{PodFixed: pod.Spec.Overhead}})
		}
	}
	return c, nil
}

func keptFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(keptFolder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: expected case files: %v", keptFolder, err)
	}
	return files
}

// TestKept compares the kept cases without a control plane.
func TestKept(t *testing.T) {
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range keptFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			c, err := readKept(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, pod := range c.pods {
				a, err := oracle{without(c.snap, c.pods), config}.ask(t.Context(), pod)
				if err != nil {
					t.Fatal(err)
				}
				if difference := a.differs(parseSaid(pod.Annotations[saidAnnotation])); difference != "" {
					t.Errorf("pod %s: %s\n%s", pod.Name, difference, a.nodeVerdicts())
				}
			}
		})
	}
}

// without returns the snapshot without these pods: each trial pod was alone.
func without(snap *snapshot.Snapshot, pods []*corev1.Pod) *snapshot.Snapshot {
	reduced := *snap
	reduced.Pods = slices.DeleteFunc(slices.Clone(snap.Pods), func(p *corev1.Pod) bool { return slices.Contains(pods, p) })
	return &reduced
}

// keptOnLab compares the kept cases with the scheduler as it is now.
func keptOnLab(t *testing.T, w *world) {
	if *record {
		recordUpstream(t, w)
	}
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range keptFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			c, err := readKept(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.build(t.Context(), c.other); err != nil {
				t.Fatal(err)
			}
			for _, pod := range c.pods {
				difference, err := w.reportDiffers(t.Context(), config, trialOf(pod), "")
				if err == nil && difference != "" { // The scheduler may not have seen it all.
					time.Sleep(settleLonger)
					difference, err = w.reportDiffers(t.Context(), config, trialOf(pod), "")
				}
				if err != nil {
					t.Fatal(err)
				}
				if difference != "" {
					t.Errorf("pod %s: %s", pod.Name, difference)
				}
			}
		})
	}
	if err := w.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// trialOf is a pod that may be created: without the answer.
func trialOf(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	delete(pod.Annotations, saidAnnotation)
	pod.Status = corev1.PodStatus{}
	return pod
}

// differs compares one pod on the cluster as it is, twice if need be.
func (w *world) differs(ctx context.Context, config *predicate.Config, pod *corev1.Pod) (difference string, err error) {
	for range 2 {
		snap, err := w.settled(ctx)
		if err != nil {
			return "", err
		}
		_, _, difference, err = w.compare(ctx, oracle{snap, config}, pod)
		if err != nil {
			return "", err
		}
		if err := w.afterwards(ctx, pod); err != nil || difference == "" {
			return "", err
		}
	}
	return difference, nil
}

// write keeps a case: the cluster as the API server has it and the pods with what
// the scheduler said of each.
func write(path string, snap *snapshot.Snapshot, pods []*corev1.Pod, answers []said) error {
	kept := &snapshot.Snapshot{Source: snap.Source}
	add := func(o snapshot.Object) error {
		o = o.DeepCopyObject().(snapshot.Object)
		o.SetResourceVersion("")
		o.SetGeneration(0)
		return kept.Add(o)
	}
	for _, k := range snapshot.Kinds() {
		for _, o := range k.Objects(snap) {
			if isSystem(o) {
				continue
			}
			if err := add(o); err != nil {
				return err
			}
		}
	}
	for i, pod := range pods {
		pod = pod.DeepCopy()
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[saidAnnotation] = answers[i].String()
		if s := answers[i]; s.Reason != "" {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: s.Reason, Message: s.Message}}
		}
		if err := add(pod); err != nil {
			return err
		}
	}
	kept.Sort()
	var text bytes.Buffer
	if err := snapshot.Write(&text, kept, snapshot.Format{}); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// isSystem says whether every control plane has this object.
func isSystem(o snapshot.Object) bool {
	switch o.(type) {
	case *corev1.Service, *corev1.ConfigMap:
		return true
	case *corev1.Namespace:
		return o.GetName() == metav1.NamespaceDefault || strings.HasPrefix(o.GetName(), "kube-")
	}
	return strings.HasPrefix(o.GetName(), "system-")
}
