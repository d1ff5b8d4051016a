package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func TestStranded(t *testing.T) {
	web := owner("ReplicaSet", "web")
	// The node n0 has the only room for a pod that asks for the label.
	only := func(b *build.PodBuilder) { b.NodeSelector(corev1.LabelHostname, "n0") }
	cases := []struct {
		name, change string
		pod          *corev1.Pod
		more         []snapshot.Object
		want         []string
	}{
		{name: "nowhere else", change: "k=v:NoSchedule", pod: running("a", "n0", web, only), want: []string{"a"}},
		{name: "somewhere else", change: "k=v:NoSchedule", pod: running("a", "n0", web)},
		{name: "no room elsewhere", change: "k=v:NoSchedule", pod: running("a", "n0", web), more: []snapshot.Object{running("x", "n1"), running("y", "n1")}, want: []string{"a"}},
		{name: "room by preemption", change: "k=v:NoSchedule", pod: running("a", "n0", web, func(b *build.PodBuilder) { b.Priority("high", 10) }),
			more: []snapshot.Object{running("x", "n1"), running("y", "n1")}},
		{name: "tolerates", change: "k=v:NoSchedule", pod: running("a", "n0", web, only, func(b *build.PodBuilder) { b.Toleration("k=v:NoSchedule") })},
		{name: "only preferred", change: "k=v:PreferNoSchedule", pod: running("a", "n0", web, only)},
		{name: "evicted", change: "k=v:NoExecute", pod: running("a", "n0", web, only)},
		{name: "bare", change: "k=v:NoSchedule", pod: running("a", "n0", only)},
		{name: "a daemon", change: "k=v:NoSchedule", pod: running("a", "n0", owner("DaemonSet", "web"), only)},
		{name: "finished", change: "k=v:NoSchedule", pod: running("a", "n0", web, only, func(b *build.PodBuilder) { b.Phase(corev1.PodSucceeded) })},
		{name: "of another scheduler", change: "k=v:NoSchedule", pod: running("a", "n0", web, only, with(func(pod *corev1.Pod) { pod.Spec.SchedulerName = "other" }))},
		{name: "on a node that does not change", change: "k=v:NoSchedule", pod: running("a", "n1", web, func(b *build.PodBuilder) { b.NodeSelector(corev1.LabelHostname, "n0") })},
		{name: "alike", change: "k=v:NoSchedule", pod: running("a", "n0", web, only), more: []snapshot.Object{running("b", "n0", web, only)}, want: []string{"a", "b"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := planned(t, plan.Options{}, "n0", c.change, append(append(nodes(2), c.pod, replicaSet(1)), c.more...)...)
			var got []string
			for _, s := range p.Stranded {
				got = append(got, s.Name)
				if s.Namespace != "ns" || s.Node != "n0" || s.Workload != "ReplicaSet/web" || !strings.HasPrefix(s.Reason, "0/2 nodes are available: ") {
					t.Errorf("got %+v", s)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("stranded (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStrandedByWhoIsLeft: in the zone of p1 there is another node, in that of p2 none.
func TestStrandedByWhoIsLeft(t *testing.T) {
	apart := func(b *build.PodBuilder) { b.PodAntiAffinity("app=web", corev1.LabelTopologyZone) }
	p := planned(t, plan.Options{}, "a1 b1", "k=v:NoSchedule",
		build.Node("a1").Capacity("cpu=2").Zone("a").Obj(), build.Node("a2").Capacity("cpu=2").Zone("a").Obj(), build.Node("b1").Capacity("cpu=2").Zone("b").Obj(),
		replicaSet(2), running("p1", "a1", owner("ReplicaSet", "web"), apart), running("p2", "b1", owner("ReplicaSet", "web"), apart))
	if len(p.Stranded) != 1 || p.Stranded[0].Name != "p2" {
		t.Errorf("stranded %+v, want p2", p.Stranded)
	}
}

// TestStrandedByTheChange: what could not start again before is not its doing.
func TestStrandedByTheChange(t *testing.T) {
	cases := []struct {
		name, nodes, change string
		want                int
	}{
		{"it keeps no pod away", "n0", "k=v:PreferNoSchedule", 0},
		{"its own node was lost before", "n0", "k=v:NoSchedule", 0},
		{"the other node was left", "n0 n1", "k=v:NoSchedule", 1},
		{"nothing was left", "n0", "old-", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n0 := build.Node("n0").Capacity("cpu=2").Taint("old:NoSchedule").Taint("older:NoSchedule").Obj()
			objects := []snapshot.Object{n0, replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"))}
			if strings.Contains(c.nodes, "n1") {
				objects = append(objects, build.Node("n1").Capacity("cpu=2").Obj())
			}
			if p := planned(t, plan.Options{}, c.nodes, c.change, objects...); len(p.Stranded) != c.want {
				t.Errorf("stranded %+v, want %d", p.Stranded, c.want)
			}
		})
	}
}

// TestStrandedSeesTheStateAfter: what is evicted takes the room that another would have.
func TestStrandedSeesTheStateAfter(t *testing.T) {
	web := owner("ReplicaSet", "web")
	objects := append(nodes(2), replicaSet(3), running("x", "n1"),
		running("goes", "n0", web), running("stays", "n0", web, tolerating(-1), func(b *build.PodBuilder) { b.Label("x", "y") }))
	p := planned(t, plan.Options{}, "n0", "k=v:NoExecute k=v:NoSchedule", objects...)
	if len(p.Evictions) != 1 || p.Evictions[0].NewNode != "n1" {
		t.Fatalf("evictions %+v", p.Evictions)
	}
	if len(p.Stranded) != 1 || p.Stranded[0].Name != "stays" {
		t.Errorf("stranded %+v", p.Stranded)
	}
}

func TestNarrowed(t *testing.T) {
	large := func(name string, edits ...func(*build.PodBuilder)) *corev1.Pod {
		b := build.Pod("ns", name).Request("cpu=9")
		for _, edit := range edits {
			edit(b)
		}
		return b.Obj()
	}
	objects := append(nodes(3),
		large("any"), large("owned", owner("ReplicaSet", "web")),
		large("tolerates", func(b *build.PodBuilder) { b.Toleration("k=v:NoSchedule") }),
		large("elsewhere", func(b *build.PodBuilder) { b.NodeSelector(corev1.LabelHostname, "n2") }),
		large("there", func(b *build.PodBuilder) { b.NodeAffinity(corev1.LabelHostname, corev1.NodeSelectorOpIn, "n0", "n2") }),
		build.Pod("ns", "fits").Request("cpu=1").Obj(), running("runs", "n0"))
	p := planned(t, plan.Options{}, "n0 n1", "k=v:NoSchedule", objects...)
	want := []report.NarrowedPod{
		{Namespace: "ns", Name: "any", Lost: []string{"n0", "n1"}},
		{Namespace: "ns", Name: "owned", Workload: "ReplicaSet/web", Lost: []string{"n0", "n1"}},
		{Namespace: "ns", Name: "there", Lost: []string{"n0"}},
	}
	if diff := cmp.Diff(want, p.Narrowed); diff != "" {
		t.Errorf("narrowed (-want +got):\n%s", diff)
	}
	if p := planned(t, plan.Options{}, "n0", "k=v:PreferNoSchedule", objects...); p.Narrowed != nil {
		t.Errorf("PreferNoSchedule takes nodes away: %+v", p.Narrowed)
	}
	objects[0].(*corev1.Node).Spec.Taints = []corev1.Taint{build.Taint("other:NoSchedule")}
	if p := planned(t, plan.Options{}, "n0", "k=v:NoSchedule", objects...); p.Narrowed != nil {
		t.Errorf("a node that was lost before is lost: %+v", p.Narrowed)
	}
}

func TestShifts(t *testing.T) {
	set := owner("ReplicaSet", "web")
	// n1 is fuller than n0.
	objects := append(nodes(2), replicaSet(1), running("a", "n0", set, with(func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources.Requests = build.Resources("cpu=100m") })), running("full", "n1"))
	want := []report.ScoreShift{{Namespace: "ns", Workload: "ReplicaSet/web", Before: "n0", After: "n1"}}
	if diff := cmp.Diff(want, planned(t, plan.Options{}, "n0", "k=v:PreferNoSchedule", objects...).Shifts); diff != "" {
		t.Errorf("shifts (-want +got):\n%s", diff)
	}
	if shifts := planned(t, plan.Options{}, "n0", "k=v:NoSchedule", objects...).Shifts; shifts != nil {
		t.Errorf("NoSchedule shifts %+v", shifts)
	}
	if shifts := planned(t, plan.Options{}, "n1", "k=v:PreferNoSchedule", objects...).Shifts; shifts != nil {
		t.Errorf("what goes to the better node anyway shifts: %+v", shifts)
	}
	tainted := objects[0].(*corev1.Node)
	tainted.Spec.Taints = []corev1.Taint{build.Taint("k=v:PreferNoSchedule")}
	want[0].Before, want[0].After = "n1", "n0"
	if diff := cmp.Diff(want, planned(t, plan.Options{}, "n0", "k-", objects...).Shifts); diff != "" {
		t.Errorf("shifts on removal (-want +got):\n%s", diff)
	}
}

func TestDaemonChanges(t *testing.T) {
	daemon := func(name string, edits ...func(*build.PodBuilder)) *appsv1.DaemonSet {
		template := build.Pod("ns", "").Label("app", name)
		for _, edit := range edits {
			edit(template)
		}
		return build.DaemonSet("ns", name, template)
	}
	on := func(set, node string, edits ...func(*build.PodBuilder)) *corev1.Pod {
		return running(set+"-"+node, node, append(edits, owner("DaemonSet", set))...)
	}
	cases := []struct {
		name, before, change string
		objects              []snapshot.Object
		want                 []report.DaemonChange
	}{
		{"stops", "", "k=v:NoExecute", []snapshot.Object{daemon("d"), on("d", "n0")}, []report.DaemonChange{{Namespace: "ns", Name: "d", Stops: []string{"n0"}}}},
		{"runs on under NoSchedule", "", "k=v:NoSchedule", []snapshot.Object{daemon("d"), on("d", "n0")}, nil},
		{"tolerates", "", "k=v:NoExecute", []snapshot.Object{daemon("d", tolerating(-1)), on("d", "n0", tolerating(-1))}, nil},
		{"is evicted and comes back", "", "k=v:NoExecute", []snapshot.Object{daemon("d", tolerating(9)), on("d", "n0", tolerating(9))}, nil},
		{"is evicted and kept away", "", "k=v:NoExecute other:NoSchedule", []snapshot.Object{daemon("d", tolerating(9)), on("d", "n0", tolerating(9))},
			[]report.DaemonChange{{Namespace: "ns", Name: "d", Stops: []string{"n0"}}}},
		{"starts", "k=v:NoSchedule", "k-", []snapshot.Object{daemon("d")}, []report.DaemonChange{{Namespace: "ns", Name: "d", Starts: []string{"n0"}}}},
		{"runs there already", "k=v:NoSchedule", "k-", []snapshot.Object{daemon("d"), on("d", "n0")}, nil},
		{"was to start anyway", "k=v:PreferNoSchedule", "k-", []snapshot.Object{daemon("d")}, nil},
		{"is kept away by another", "k=v:NoSchedule other:NoSchedule", "k-", []snapshot.Object{daemon("d")}, nil},
		{"is for other nodes", "k=v:NoSchedule", "k-", []snapshot.Object{daemon("d", func(b *build.PodBuilder) { b.NodeSelector("pool", "gpu") })}, nil},
		{"one of each", "k=v:NoSchedule", "k- x:NoExecute", []snapshot.Object{
			daemon("b", func(b *build.PodBuilder) { b.Toleration("k=v:NoSchedule") }), on("b", "n0"),
			daemon("a", func(b *build.PodBuilder) { b.Toleration("x:NoExecute") })},
			[]report.DaemonChange{{Namespace: "ns", Name: "a", Starts: []string{"n0"}}, {Namespace: "ns", Name: "b", Stops: []string{"n0"}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			objects := append(nodes(2), c.objects...)
			for taint := range strings.FieldsSeq(c.before) {
				node := objects[0].(*corev1.Node)
				node.Spec.Taints = append(node.Spec.Taints, build.Taint(taint))
			}
			if diff := cmp.Diff(c.want, planned(t, plan.Options{}, "n0", c.change, objects...).Daemons); diff != "" {
				t.Errorf("daemons (-want +got):\n%s", diff)
			}
		})
	}
}
