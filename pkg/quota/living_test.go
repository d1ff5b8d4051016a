package quota_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// sized is w with pods of so many cores.
func sized(w *workload.Workload, cpu string) *workload.Workload {
	return with(w, func(w *workload.Workload) {
		set := w.PodSets[0]
		set.IsPod = w.Kind.IsPod()
		set.Template = &corev1.PodTemplateSpec{ObjectMeta: set.Template.ObjectMeta, Spec: pod(list("cpu", cpu))}
		w.PodSets = []workload.PodSet{set}
	})
}

// What is charged is the larger of what is declared and what lives, in each of the ways
// in which a workload's pods come to be larger than its template.
func TestIndexChargesWhatLives(t *testing.T) {
	change := func(w *workload.Workload, changes ...func(*workload.Workload)) *workload.Workload {
		for _, change := range changes {
			w = with(w, change)
		}
		return w
	}
	older := func(w *workload.Workload) { w.Older = true }
	finished := func(w *workload.Workload) { w.Finished = true }
	suspended := func(w *workload.Workload) { w.Suspended = true }
	bare := func(w *workload.Workload) { w.Group = "" }
	elsewhere := func(w *workload.Workload) { w.Namespace = "other" }
	surge := func(n int64) func(*workload.Workload) {
		return func(w *workload.Workload) {
			w.PodSets = []workload.PodSet{{Replicas: w.PodSets[0].Replicas, Surge: n, Template: w.PodSets[0].Template}}
		}
	}
	db := func(replicas int64, cpu string) *workload.Workload {
		return sized(object(t, "statefulsets.apps", "db", "nlp", "", replicas), cpu)
	}
	web := func(replicas int64, cpu string) *workload.Workload {
		return sized(object(t, "deployments.apps", "web", "nlp", "", replicas), cpu)
	}
	set := func(uid string, replicas int64, cpu string) *workload.Workload {
		return sized(object(t, "replicasets.apps", uid, "nlp", "deployments.apps/web", replicas), cpu)
	}
	onePod := func(uid, owner, cpu string) *workload.Workload {
		return sized(object(t, "pods", uid, "nlp", owner, 1), cpu)
	}
	of := "statefulsets.apps/db"
	app, driver := "sparkapplications.sparkoperator.k8s.io/app", "pods/driver"
	role := func(uid, owner, cpu string) *workload.Workload { // the driver, or an executor
		return with(onePod(uid, owner, cpu), func(w *workload.Workload) {
			w.PodSets[0].Template.Labels = map[string]string{"spark-role": map[bool]string{true: "driver", false: "executor"}[uid == "driver"]}
		})
	}
	spark := with(object(t, "sparkapplications.sparkoperator.k8s.io", "app", "nlp", "", 1), func(w *workload.Workload) {
		w.PodSets = []workload.PodSet{
			{Replicas: 1, Template: oneCore(), Pods: "spark-role=driver"},
			{Replicas: 2, Template: &corev1.PodTemplateSpec{Spec: pod(list("cpu", "2"))}, Pods: "spark-role=executor"},
		}
	})
	for name, test := range map[string]struct {
		objects []*workload.Workload
		want    string
	}{
		"as declared":                          {[]*workload.Workload{db(2, "1"), onePod("a", of, "1"), onePod("b", of, "1")}, "2"},
		"not made yet":                         {[]*workload.Workload{db(3, "1"), onePod("a", of, "1")}, "3"},
		"an older, larger pod":                 {[]*workload.Workload{db(1, "10m"), onePod("a", of, "4")}, "4"},
		"and more are wanted":                  {[]*workload.Workload{db(10, "10m"), onePod("a", of, "4")}, "40"},
		"scaled down, and not gone yet":        {[]*workload.Workload{db(0, "4"), onePod("a", of, "4"), onePod("b", of, "4")}, "8"},
		"what has ended":                       {[]*workload.Workload{db(1, "1"), change(onePod("a", of, "4"), finished)}, "1"},
		"a part without a label":               {[]*workload.Workload{db(1, "1"), change(onePod("a", of, "4"), bare)}, "4"},
		"finished by its own word":             {[]*workload.Workload{change(db(2, "1"), finished), onePod("a", of, "1")}, "1"},
		"suspended, and its pod runs on":       {[]*workload.Workload{change(db(2, "1"), suspended), onePod("a", of, "1")}, "1"},
		"through a ReplicaSet":                 {[]*workload.Workload{web(2, "10m"), set("r", 1, "4"), onePod("a", "replicasets.apps/r", "4")}, "8"},
		"a ReplicaSet that has none yet":       {[]*workload.Workload{web(2, "10m"), set("r", 1, "4")}, "8"},
		"one that is not scaled down yet":      {[]*workload.Workload{web(0, "1"), set("r", 3, "1"), onePod("a", "replicasets.apps/r", "1")}, "3"},
		"beside what an update adds":           {[]*workload.Workload{change(web(2, "1"), surge(1)), set("r", 2, "1"), set("s", 1, "1"), onePod("a", "replicasets.apps/r", "1")}, "2"},
		"one of an older revision":             {[]*workload.Workload{web(2, "10m"), set("r", 0, "4")}, "20m"},
		"of which the controller may make one": {[]*workload.Workload{change(web(2, "10m"), older), set("r", 0, "4")}, "8"},
		"an update's surge":                    {[]*workload.Workload{change(db(2, "1"), surge(1)), onePod("a", of, "1"), onePod("b", of, "1"), onePod("c", of, "1")}, "2"},
		"more than an update's surge":          {[]*workload.Workload{change(db(1, "1"), surge(9)), onePod("a", of, "1"), onePod("b", of, "1"), onePod("c", of, "1")}, "2"},
		"a pod's pods":                         {[]*workload.Workload{spark, role("driver", app, "1"), role("x", driver, "2"), role("y", driver, "2")}, "5"},
		"more than declared":                   {[]*workload.Workload{spark, role("driver", app, "1"), role("x", driver, "2"), role("y", driver, "2"), role("z", driver, "2")}, "7"},
		"larger than declared":                 {[]*workload.Workload{spark, role("driver", app, "1"), role("x", driver, "4")}, "9"},
		"a pod's pods, without labels":         {[]*workload.Workload{spark, change(role("driver", app, "1"), bare), change(role("x", driver, "4"), bare)}, "9"},
		"a pod of a pod's pods":                {[]*workload.Workload{spark, role("driver", app, "1"), role("x", driver, "2"), role("y", "pods/x", "2")}, "7"},
		"another namespace's":                  {[]*workload.Workload{db(1, "1"), change(onePod("a", of, "4"), elsewhere, bare)}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range []bool{false, true} {
				ix := quota.NewIndex(table)
				for i := range test.objects {
					if order {
						i = len(test.objects) - 1 - i
					}
					cores(ix, "nlp") // what was computed before must not stay
					ix.Put(test.objects[i])
				}
				if got := cores(ix, "nlp"); got != test.want {
					t.Errorf("charged %s, want %s", got, test.want)
				}
				for _, w := range test.objects[1:] {
					ix.Remove(w.UID)
				}
				declared := quota.Charge(test.objects[0], quota.Options{})["limits.cpu"]
				if got := cores(ix, "nlp"); got != declared.String() {
					t.Errorf("charged %s when all that it made is gone, want %s", got, declared.String())
				}
			}
		})
	}
}

// Somebody made w where UID, namespace, name and group-kind agree, and nobody else.
func TestIndexBelievesNoUID(t *testing.T) {
	ref := func(version, kind, name string) *metav1.OwnerReference {
		return &metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, UID: "db", Controller: new(true)}
	}
	for name, test := range map[string]struct {
		owner     *metav1.OwnerReference
		namespace string
		made      bool
	}{
		"right":                       {ref("apps/v1", "StatefulSet", "db"), "default", true},
		"a version that is no longer": {ref("apps/v1beta1", "StatefulSet", "db"), "default", true},
		"another name":                {ref("apps/v1", "StatefulSet", "other"), "default", false},
		"another namespace":           {ref("apps/v1", "StatefulSet", "db"), "other", false},
		"another kind":                {ref("apps/v1", "ReplicaSet", "db"), "default", false},
		"another group":               {ref("example.com/v1", "StatefulSet", "db"), "default", false},
		"a kind that makes no pods":   {ref("apps/v1", "Deployment", "db"), "default", false},
	} {
		t.Run(name, func(t *testing.T) {
			ix := quota.NewIndex(table)
			ix.Put(object(t, "statefulsets.apps", "db", "nlp", "", 1))
			one := object(t, "pods", "p", "nlp", "", 1)
			one.Owner, one.Namespace = test.owner, test.namespace
			ix.Put(one)
			charger, broken := ix.Charger(one)
			if made := charger.UID == "db"; made != test.made || broken {
				t.Errorf("made %t, broken %t, want %t", made, broken, test.made)
			}
			if counted := ix.Counted("p"); counted == test.made {
				t.Errorf("counted itself: %t", counted)
			}
		})
	}
}

// A change is judged by what lives: the old price holds for what is added, until the old
// pods are gone.
func TestGrowthByWhatLives(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "5"))
	db := func(replicas int64, cpu string) *workload.Workload {
		return sized(object(t, "statefulsets.apps", "db", "nlp", "", replicas), cpu)
	}
	older := func(w *workload.Workload) *workload.Workload {
		return with(w, func(w *workload.Workload) { w.Older = true })
	}
	living := func(cpu ...string) []quota.Part {
		ix := quota.NewIndex(table)
		ix.Put(db(1, "1"))
		for i, cpu := range cpu {
			ix.Put(sized(object(t, "pods", string(rune('a'+i)), "", "statefulsets.apps/db", 1), cpu))
		}
		return ix.Living("db")
	}
	for name, test := range map[string]struct {
		old, new *workload.Workload
		made     []quota.Part
		want     string
	}{
		"smaller pods free nothing at once":       {db(1, "4"), db(1, "10m"), living("4"), "0"},
		"and cost what the old ones do":           {db(1, "10m"), db(10, "10m"), living("4"), "36"},
		"until they are gone":                     {db(1, "10m"), db(10, "10m"), nil, "90m"},
		"to zero and back, its pod ending":        {db(0, "4"), db(1, "4"), living("4"), "4"},
		"a rollback":                              {db(1, "10m"), db(1, "4"), living("4"), "3990m"},
		"a new template and more, at once":        {db(0, "4"), db(10, "10m"), nil, "100m"},
		"of which some are of the older template": {db(0, "4"), older(db(10, "10m")), nil, "40"},
	} {
		t.Run(name, func(t *testing.T) {
			growth := quota.Change{Old: test.old, New: test.new, Made: test.made}.Growth(group)["limits.cpu"]
			if growth.String() != test.want {
				t.Errorf("grows by %s, want %s", growth.String(), test.want)
			}
		})
	}
}

// The pods that live come to be of the model that the workload is labelled with, whatever
// it declares.
func TestGrowthByModelsOfWhatLives(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "5", "limits.cpu.A4", "2"))
	ix := quota.NewIndex(table)
	old := sized(object(t, "statefulsets.apps", "db", "nlp", "", 0), "1")
	ix.Put(old)
	ix.Put(sized(object(t, "pods", "a", "", "statefulsets.apps/db", 1), "3"))
	labelled := with(old, func(w *workload.Workload) { w.Models.CPU = "A4" })
	growth := quota.Change{Old: old, New: labelled, Made: ix.Living("db")}.Growth(group)
	if got := growth["limits.cpu.A4"]; got.String() != "3" {
		t.Errorf("grows by %v, want 3 of limits.cpu.A4", growth)
	}
	if more := growth["limits.cpu"]; !more.IsZero() {
		t.Errorf("grows by %v, want no more cores of any model", growth)
	}
}

// Models are the pod template's own first, and the workload's where it names none.
func TestChargeByModelsOfPodSets(t *testing.T) {
	set := func(name, model string) workload.PodSet {
		template := &corev1.PodTemplateSpec{Spec: pod(list("cpu", "1", "nvidia.com/gpu", "4"))}
		if model != "" {
			template.Labels = map[string]string{stowagev1alpha1.GPUTypeLabel: model}
		}
		return workload.PodSet{Name: name, Replicas: 2, Template: template}
	}
	w := with(object(t, "deployments.apps", "w", "nlp", "", 0), func(w *workload.Workload) {
		w.Models, w.PodSets = workload.Models{GPU: "T4"}, []workload.PodSet{set("a", "A100"), set("b", "")}
	})
	charge := quota.Charge(w, quota.Options{})
	for key, want := range map[corev1.ResourceName]string{
		"requests.nvidia.com/gpu": "16", "requests.nvidia.com/gpu.A100": "8", "requests.nvidia.com/gpu.T4": "8",
	} {
		if got := charge[key]; got.String() != want {
			t.Errorf("%s: %s, want %s", key, got.String(), want)
		}
	}
}
