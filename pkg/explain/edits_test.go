package explain_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// remedyCase is a pod and a cluster for which remedies of the named IDs are found.
type remedyCase struct {
	pod     *corev1.Pod
	objects []snapshot.Object
	ids     []string
}

// remedyCases have every kind of remedy that the scheduler's filters verify.
func remedyCases() map[string]remedyCase {
	node := func(name string) *build.NodeBuilder { return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10") }
	pod := func() *build.PodBuilder { return build.Pod("a", "p") }
	return map[string]remedyCase{
		"taint": {
			pod().Obj(), []snapshot.Object{node("n").Taint("dedicated=db:NoSchedule").Obj()},
			[]string{"AddToleration:dedicated=db:NoSchedule", "Untaint:n:dedicated=db:NoSchedule"},
		},
		"cordon and taint": {
			pod().Obj(), []snapshot.Object{node("n").Taint("dedicated=db:NoSchedule").Cordon().Obj()},
			[]string{"Uncordon:n+AddToleration:dedicated=db:NoSchedule", "Uncordon:n+Untaint:n:dedicated=db:NoSchedule"},
		},
		"too much": {
			pod().Request("cpu=3").Sidecar("cpu=2").Obj(), []snapshot.Object{node("n").Obj()},
			[]string{"LowerRequest:cpu:5:4:container main=2"},
		},
		"full": {
			pod().Request("cpu=3").Obj(), []snapshot.Object{node("n").Obj(), build.Pod("b", "u").Request("cpu=2").Node("n").Obj()},
			[]string{"LowerRequest:cpu:3:2", "AddNodes:n", "EvictPods:n:b/u"},
		},
		"a mistyped selector": {
			pod().NodeSelector("disk", "sdd").Obj(), []snapshot.Object{node("n").Label("disk", "ssd").Obj()},
			[]string{"SetNodeSelector:disk=ssd", "LabelNode:n:disk=sdd"},
		},
		"a selector": {
			pod().NodeSelector("disk", "ssd").Obj(), []snapshot.Object{node("n").Obj()},
			[]string{"DropNodeSelector:disk=ssd", "LabelNode:n:disk=ssd"},
		},
		"a required affinity": {
			pod().NodeAffinity("disk", corev1.NodeSelectorOpIn, "ssd").Obj(), []snapshot.Object{node("n").Label("disk", "tape").Obj()},
			[]string{"WidenNodeAffinity:0:disk=tape", "DropNodeAffinity:disk In ssd"},
		},
		"a pod affinity": {
			pod().PodAffinity("app=db", corev1.LabelHostname).Obj(), []snapshot.Object{node("n").Obj()},
			[]string{"DropPodAffinity:app=db by kubernetes.io/hostname"},
		},
		"a pod anti-affinity": {
			pod().PodAntiAffinity("app=db", corev1.LabelHostname).Obj(),
			[]snapshot.Object{node("n").Obj(), build.Pod("a", "db-0").Label("app", "db").Node("n").Obj()},
			[]string{"DropPodAntiAffinity:app=db by kubernetes.io/hostname", "AddNodes:n", "EvictPods:n:a/db-0"},
		},
		"spread": {
			pod().Label("app", "web").Spread(1, corev1.LabelTopologyZone, "app=web").Obj(),
			[]snapshot.Object{node("n").Zone("z1").Obj(), node("m").Zone("z2").Cordon().Obj(), build.Pod("a", "w").Label("app", "web").Node("n").Obj()},
			[]string{"RelaxSpread:topology.kubernetes.io/zone:1:2", "RelaxSpread:topology.kubernetes.io/zone:ScheduleAnyway",
				"Uncordon:m", "AddNodes:m", "EvictPods:n:a/w"},
		},
		"a host port": {
			pod().HostPort(80).Obj(), []snapshot.Object{node("n").Obj(), build.Pod("b", "web").HostPort(80).Node("n").Obj()},
			[]string{"DropHostPort:80/TCP", "AddNodes:n", "EvictPods:n:b/web"},
		},
		"a gate": {
			pod().Gate("example.com/wait").Obj(), []snapshot.Object{node("n").Obj()},
			[]string{"RemoveGate:example.com/wait"},
		},
		"a claim that is not there": {
			pod().PVC("data").Obj(),
			[]snapshot.Object{node("n").Obj(), build.StorageClass("fast", "example.com/p", storagev1.VolumeBindingWaitForFirstConsumer)},
			[]string{"CreateClaim:PersistentVolumeClaim/a/data"},
		},
		"a claim that waits": {
			pod().PVC("data").Obj(),
			[]snapshot.Object{node("n").Obj(), build.StorageClass("slow", "example.com/p", storagev1.VolumeBindingImmediate), build.PVC("a", "data", "slow", "1Gi", "")},
			[]string{"BindClaim:PersistentVolume/pv-for-a-data"},
		},
		"a resource claim": {
			pod().ResourceClaim("gpu").Obj(),
			[]snapshot.Object{node("n").Obj(), build.DeviceClass("gpu.example.com", "gpu.example.com"), build.ResourceSlice("n", "gpu.example.com", "gpu-0")},
			[]string{"CreateClaim:ResourceClaim/a/gpu"},
		},
	}
}

// TestRemediesHaveIDs: the same change has the same ID in every run.
func TestRemediesHaveIDs(t *testing.T) {
	for name, tc := range remedyCases() {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for _, remedy := range explainPod(t, tc.pod, tc.objects...).Remedies {
				ids = append(ids, remedy.ID)
			}
			sameIDs(t, ids, tc.ids)
		})
	}
}

func sameIDs(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("remedies\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEditsOfRemedies: a remedy's edits, put in force on the engine, let its pod onto
// the remedy's nodes.
func TestEditsOfRemedies(t *testing.T) {
	for name, tc := range remedyCases() {
		t.Run(name, func(t *testing.T) {
			e := explainer(t, append(tc.objects, tc.pod)...)
			item, err := e.Pod(t.Context(), tc.pod)
			if err != nil {
				t.Fatal(err)
			}
			for _, remedy := range item.Remedies {
				pod, edits, err := e.Edits(&item, remedy.ID)
				if err != nil {
					t.Fatal(err)
				}
				undo, err := e.Engine().Apply(edits...)
				if err != nil {
					t.Fatal(err)
				}
				fits, err := e.Engine().FitsOn(t.Context(), pod, nil)
				if err != nil || !slices.Equal(fits, remedy.Fits) {
					t.Errorf("%s: fits on %v, error %v, want %v", remedy.ID, fits, err, remedy.Fits)
				}
				undo()
			}
		})
	}
}

// TestEveryKindOfRemedyHasEdits: all but a raised quota, which no filter looks at.
func TestEveryKindOfRemedyHasEdits(t *testing.T) {
	found := map[string]bool{}
	for _, tc := range remedyCases() {
		for _, id := range tc.ids {
			for part := range strings.SplitSeq(id, "+") {
				kind, _, _ := strings.Cut(part, ":")
				found[kind] = true
			}
		}
	}
	for _, kind := range []report.RemedyKind{
		report.RemedyAddToleration, report.RemedyLowerRequest, report.RemedySetNodeSelector, report.RemedyDropNodeSelector,
		report.RemedyWidenNodeAffinity, report.RemedyDropNodeAffinity, report.RemedyDropPodAffinity, report.RemedyDropAntiAffinity,
		report.RemedyRelaxSpread, report.RemedyDropHostPort, report.RemedyRemoveGate, report.RemedyUncordon, report.RemedyUntaint,
		report.RemedyLabelNode, report.RemedyEvictPods, report.RemedyAddNodes, report.RemedyCreateClaim, report.RemedyBindClaim,
	} {
		if !found[string(kind)] {
			t.Errorf("no case has a remedy of kind %s", kind)
		}
	}
}

func TestEditsOfAnUnknownRemedy(t *testing.T) {
	pod := build.Pod("a", "p").Obj()
	e := explainer(t, pod, build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Cordon().Obj())
	item, err := e.Pod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Edits(&item, "Uncordon:m"); err == nil || !strings.Contains(err.Error(), `found "Uncordon:m"`) {
		t.Errorf("error %v, want one that names the ID", err)
	}
}

// TestEditsOfAPlannedWorkload: an item of -f is asked about by its own name.
func TestEditsOfAPlannedWorkload(t *testing.T) {
	e := explainer(t, build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Cordon().Obj())
	item, err := e.WouldFit(t.Context(), build.Deployment("a", "web", 2, build.Pod("a", "")), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, edits, err := e.Edits(&item, "Uncordon:n"); err != nil || len(edits) != 1 {
		t.Errorf("edits %v, error %v, want one edit", edits, err)
	}
}

// TestChangesApplyToWhatWasGiven: the changes of a remedy for a pod or a workload of -f are
// of that object, as it was given, without what admission adds.
func TestChangesApplyToWhatWasGiven(t *testing.T) {
	for name, tc := range remedyCases() {
		deployment := build.Deployment("a", "given", 1, build.Pod("a", ""))
		deployment.Spec.Template.Spec, deployment.Spec.Template.Labels = tc.pod.Spec, tc.pod.Labels
		given := tc.pod.DeepCopy()
		given.Name = "given"
		for object, manifest := range map[string]snapshot.Object{"Deployment/a/given": deployment, "Pod/a/given": given} {
			t.Run(name+"/"+object, func(t *testing.T) {
				item := wouldFit(t, manifest, tc.objects...)
				for _, remedy := range item.Remedies {
					applyChanges(t, manifest, object, remedy)
				}
			})
		}
	}
}

// applyChanges applies those changes of a remedy that are of pods and workloads.
func applyChanges(t *testing.T, manifest snapshot.Object, object string, remedy report.Remedy) {
	t.Helper()
	var ops []map[string]any
	for _, change := range remedy.Changes {
		if change.Op != report.OpAdd && change.Op != report.OpReplace && change.Op != report.OpRemove || !strings.HasSuffix(change.Object, "/given") {
			continue
		}
		if change.Object != object {
			t.Errorf("%s changes %s, want %s", remedy.ID, change.Object, object)
		}
		op := map[string]any{"op": change.Op, "path": change.Path}
		if change.Value != "" {
			op["value"] = json.RawMessage(change.Value)
		}
		ops = append(ops, op)
	}
	text, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err == nil {
		_, err = patch.Apply(document)
	}
	if err != nil {
		t.Errorf("%s: %v: %s", remedy.ID, err, text)
	}
}
