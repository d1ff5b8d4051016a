package agree

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// handmade is a cluster and the pods tried on it. The classes are those of the
// tables in kube-scheduler's own plugin tests, as data of ours.
type handmade struct {
	name    string
	objects []snapshot.Object
	pods    []*corev1.Pod
}

// bare is a pod for the API server: its admission gives the priority.
func bare(b *build.PodBuilder) *corev1.Pod {
	pod := b.Obj()
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = nil, nil
	return pod
}

func small(name string) *build.NodeBuilder { return build.Node(name).Capacity("cpu=4,memory=8Gi") }

func pending(name string) *build.PodBuilder { return build.Pod("default", name) }

func withAffinity(name string, required *corev1.NodeSelector) *corev1.Pod {
	return bare(pending(name).With(func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
	}))
}

func term(requirements ...corev1.NodeSelectorRequirement) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: requirements}
}

func named(operator corev1.NodeSelectorOperator, nodes ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: operator, Values: nodes}
}

func selects(terms ...corev1.NodeSelectorTerm) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: terms}
}

func listens(name, ip string, protocol corev1.Protocol, port int32) *build.PodBuilder {
	return pending(name).HostPort(port).Container(0, func(c *corev1.Container) {
		c.Ports[len(c.Ports)-1].HostIP, c.Ports[len(c.Ports)-1].Protocol = ip, protocol
	})
}

// handmadeCases are written by hand.
func handmadeCases() []handmade {
	gt := func(value string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: "example.com/generation", Operator: corev1.NodeSelectorOpGt, Values: []string{value}}
	}
	exists := corev1.NodeSelectorRequirement{Key: "example.com/generation", Operator: corev1.NodeSelectorOpExists}
	absent := corev1.NodeSelectorRequirement{Key: "example.com/generation", Operator: corev1.NodeSelectorOpDoesNotExist}
	notIn := corev1.NodeSelectorRequirement{Key: "example.com/generation", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"3"}}
	generations := []snapshot.Object{
		small("ga").Label("example.com/generation", "3").Obj(), small("gb").Label("example.com/generation", "x").Obj(),
		small("gc").Label("example.com/generation", "07").Obj(), small("gd").Label("example.com/generation", "").Obj(), small("ge").Obj(),
	}
	return []handmade{
		{"affinity-numbers", generations, []*corev1.Pod{
			withAffinity("gt-leading-zero", selects(term(gt("5")))),
			withAffinity("gt-equal", selects(term(gt("3")))),
			withAffinity("lt-four", selects(term(corev1.NodeSelectorRequirement{Key: "example.com/generation", Operator: corev1.NodeSelectorOpLt, Values: []string{"4"}}))),
			withAffinity("exists-and-not-in", selects(term(exists, notIn))),
			withAffinity("exists-and-absent", selects(term(exists, absent))),
			withAffinity("not-in-holds-where-absent", selects(term(notIn))),
		}},
		{"affinity-terms", generations, []*corev1.Pod{
			withAffinity("one-empty-term", selects(corev1.NodeSelectorTerm{})),
			withAffinity("empty-term-beside-another", selects(corev1.NodeSelectorTerm{}, term(gt("2")))),
			withAffinity("field-and-expression", selects(corev1.NodeSelectorTerm{
				MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, "ga")}, MatchExpressions: []corev1.NodeSelectorRequirement{gt("5")},
			})),
			withAffinity("fields-that-exclude-each-other", selects(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
				named(corev1.NodeSelectorOpIn, "ga"), named(corev1.NodeSelectorOpIn, "gb"),
			}})),
			withAffinity("field-of-two-terms", selects(
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, "ga")}},
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, "gone")}},
			)),
			withAffinity("field-of-a-node-that-is-not-there", selects(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, "gone")}})),
			withAffinity("field-not-in", selects(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpNotIn, "ga")}})),
			bare(pending("selector-and-affinity").NodeSelector("example.com/generation", "x").NodeAffinity("example.com/generation", corev1.NodeSelectorOpIn, "3")),
			bare(pending("one-node-named-too-large").Request("cpu=9").With(func(p *corev1.Pod) {
				p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: selects(
					corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, "ga")}})}}
			})),
		}},
		{"host-ports", []snapshot.Object{
			small("pa").Obj(),
			bare(listens("any-address", "0.0.0.0", corev1.ProtocolTCP, 8080).Node("pa")),
			bare(listens("one-address", "127.0.0.1", corev1.ProtocolTCP, 9090).Node("pa")),
			bare(listens("udp", "0.0.0.0", corev1.ProtocolUDP, 7070).Node("pa")),
		}, []*corev1.Pod{
			bare(listens("address-against-any", "10.0.0.1", corev1.ProtocolTCP, 8080)),
			bare(listens("any-against-address", "0.0.0.0", corev1.ProtocolTCP, 9090)),
			bare(listens("unset-against-address", "", corev1.ProtocolTCP, 9090)),
			bare(listens("other-address", "127.0.0.2", corev1.ProtocolTCP, 9090)),
			bare(listens("other-protocol", "", corev1.ProtocolUDP, 8080)),
			bare(listens("same-udp", "10.0.0.1", corev1.ProtocolUDP, 7070)),
			bare(listens("sctp", "", corev1.ProtocolSCTP, 7070)),
			bare(pending("of-a-sidecar").Sidecar("cpu=100m").With(func(p *corev1.Pod) {
				p.Spec.InitContainers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080}}
			})),
			bare(pending("of-an-init-container").Init("cpu=100m").With(func(p *corev1.Pod) {
				p.Spec.InitContainers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080}}
			})),
			bare(pending("of-the-host-network").With(func(p *corev1.Pod) {
				p.Spec.HostNetwork = true
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}}
			})),
		}},
		{"resource-sums", []snapshot.Object{
			small("ra").Obj(), bare(pending("user").Request("cpu=1,memory=1Gi").Node("ra")),
		}, []*corev1.Pod{
			bare(pending("containers-are-added").Request("cpu=2").Container(1, func(c *corev1.Container) {
				c.Resources.Requests = build.Resources("cpu=1100m")
			})),
			bare(pending("init-containers-are-not").Request("cpu=1").Init("cpu=3").Init("cpu=3")),
			bare(pending("one-init-container-is-larger").Request("cpu=1").Init("cpu=3100m")),
			bare(pending("sidecars-are-added-to-containers").Request("cpu=1").Sidecar("cpu=1").Sidecar("cpu=1100m")),
			bare(pending("sidecars-before-an-init-container").Request("cpu=1").Sidecar("cpu=1").Init("cpu=2100m")),
			bare(pending("sidecars-after-an-init-container").Request("cpu=1").Init("cpu=3").Sidecar("cpu=1900m")),
			bare(pending("exactly-what-is-free").Request("cpu=3,memory=7Gi")),
			bare(pending("one-byte-more").Request("memory=7516192769")),
			bare(pending("zero").Request("cpu=0,example.com/none=0")),
			bare(pending("limits-are-requests").With(func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Limits = build.Resources("cpu=4")
			})),
			bare(pending("two-short").Request("cpu=8,memory=9Gi,ephemeral-storage=1Gi,example.com/none=1")),
		}},
		{"taints", []snapshot.Object{
			small("ta").Taint("k=v:NoSchedule").Obj(), small("tb").Taint("k=v:NoExecute").Taint("other:NoSchedule").Obj(),
			small("tc").Taint("k=w:NoSchedule").Taint("soft:PreferNoSchedule").Cordon().Obj(),
		}, []*corev1.Pod{
			bare(pending("none")),
			bare(pending("equal").Toleration("k=v:NoSchedule").Request("cpu=5")),
			bare(pending("wrong-effect").Toleration("k=v:PreferNoSchedule")),
			bare(pending("every-effect").Request("cpu=5").With(func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpEqual, Value: "v"}}
			})),
			bare(pending("every-key-of-an-effect").Request("cpu=5").With(func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
			})),
			bare(pending("no-operator-is-equal").Request("cpu=5").With(func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Value: "w", Effect: corev1.TaintEffectNoSchedule}}
			})),
			bare(pending("cordon").Toleration("k=w:NoSchedule").Toleration(corev1.TaintNodeUnschedulable + ":NoSchedule")),
		}},
		{"spread-domains", []snapshot.Object{
			small("sa").Zone("z1").Obj(), small("sb").Zone("z2").Taint("closed:NoSchedule").Obj(), small("sc").Obj(),
			bare(pending("one").Label("app", "a").Node("sa")),
		}, []*corev1.Pod{
			bare(pending("taints-ignored").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "app=a")),
			bare(pending("taints-honoured").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "app=a").With(func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints[0].NodeTaintsPolicy = new(corev1.NodeInclusionPolicyHonor)
			})),
			bare(pending("too-few-domains").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "app=a").With(func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints[0].MinDomains = new(int32(3))
				p.Spec.TopologySpreadConstraints[0].NodeTaintsPolicy = new(corev1.NodeInclusionPolicyHonor)
			})),
			bare(pending("does-not-match-itself").Label("app", "b").Spread(1, corev1.LabelTopologyZone, "app=a")),
			bare(pending("empty-selector").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "")),
			bare(pending("no-selector").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "app=a").With(func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints[0].LabelSelector = nil
			})),
			bare(pending("two-constraints").Label("app", "a").Spread(1, corev1.LabelTopologyZone, "app=a").Spread(1, corev1.LabelHostname, "app=a")),
			bare(pending("affinity-ignored").Label("app", "a").NodeSelector(corev1.LabelTopologyZone, "z1").Spread(1, corev1.LabelTopologyZone, "app=a").With(func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints[0].NodeAffinityPolicy = new(corev1.NodeInclusionPolicyIgnore)
			})),
			bare(pending("affinity-honoured").Label("app", "a").NodeSelector(corev1.LabelTopologyZone, "z1").Spread(1, corev1.LabelTopologyZone, "app=a")),
		}},
		{"pod-affinity", []snapshot.Object{
			build.Namespace("blue", "colour=blue"),
			small("fa").Zone("z1").Obj(), small("fb").Zone("z2").Obj(), small("fc").Obj(),
			bare(build.Pod("blue", "in-blue").Label("app", "a").Node("fa")),
			bare(pending("keeps-b-away").Label("app", "c").PodAntiAffinity("app=b", corev1.LabelTopologyZone).Node("fb")),
		}, []*corev1.Pod{
			bare(pending("own-namespace-only").PodAffinity("app=a", corev1.LabelTopologyZone)),
			bare(pending("first-of-its-kind").Label("app", "z").PodAffinity("app=z", corev1.LabelTopologyZone)),
			bare(pending("first-of-its-kind-too-large").Label("app", "z").Request("cpu=9").PodAffinity("app=z", corev1.LabelTopologyZone)),
			bare(pending("every-namespace").PodAffinity("app=a", corev1.LabelTopologyZone).Request("cpu=9").With(namespacesOf(&metav1.LabelSelector{}))),
			bare(pending("namespace-by-label").PodAffinity("app=a", corev1.LabelTopologyZone).Request("cpu=9").With(namespacesOf(&metav1.LabelSelector{MatchLabels: map[string]string{"colour": "blue"}}))),
			bare(pending("namespace-that-no-label-has").PodAffinity("app=a", corev1.LabelTopologyZone).With(namespacesOf(&metav1.LabelSelector{MatchLabels: map[string]string{"colour": "red"}}))),
			bare(pending("kept-away").Label("app", "b").NodeSelector(corev1.LabelTopologyZone, "z2")),
			bare(pending("two-terms-in-one-place").PodAffinity("app=c", corev1.LabelTopologyZone).PodAffinity("app=a", corev1.LabelTopologyZone)),
			bare(pending("against-itself").Label("app", "q").PodAntiAffinity("app=q", corev1.LabelTopologyZone).Request("cpu=9")),
		}},
		{"no-nodes", nil, []*corev1.Pod{bare(pending("alone")), bare(pending("alone-with-a-claim").PVC("absent"))}},
		{"preemption", []snapshot.Object{
			build.PriorityClass("mid", 100), build.PriorityClass("high", 1000),
			small("va").Obj(), small("vb").Obj(), small("vc").Taint("closed:NoSchedule").Obj(),
			victim("low-a", "va", "3", ""), victim("low-b", "vb", "2", ""), victim("mid-b", "vb", "1", "mid"),
			build.PDB("default", "guard", "1", "app=low-a", 0),
		}, []*corev1.Pod{
			bare(pending("nothing-to-win").Request("cpu=3")),
			preemptor("budget-is-spared", "3", "high"), preemptor("only-lower-ones", "3", "mid"),
			preemptor("too-large-for-any", "5", "high"), preemptor("two-victims", "4", "high"),
		}},
	}
}

func namespacesOf(selector *metav1.LabelSelector) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].NamespaceSelector = selector
	}
}

func victim(name, node, cpu, class string) *corev1.Pod {
	pod := bare(pending(name).Label("app", name).Request("cpu=" + cpu).Node(node))
	pod.Spec.PriorityClassName = class
	return pod
}

func preemptor(name, cpu, class string) *corev1.Pod {
	pod := bare(pending(name).Request("cpu=" + cpu))
	pod.Spec.PriorityClassName = class
	return pod
}

// TestHandmadeAreKept sees to it that every case is recorded.
func TestHandmadeAreKept(t *testing.T) {
	for _, c := range handmadeCases() {
		kept, err := readKept(handmadePath(c))
		if err != nil {
			t.Errorf("case %s: record it with go test ./test/agree -run TestAgree/kept -args -record: %v", c.name, err)
			continue
		}
		if len(kept.pods) != len(c.pods) {
			t.Errorf("case %s has %d pods, %s has %d: record it again", c.name, len(c.pods), kept.path, len(kept.pods))
		}
	}
}

func handmadePath(c handmade) string { return filepath.Join(keptFolder, "upstream-"+c.name+".yaml") }

// recordUpstream asks the scheduler about the cases by hand and writes them.
func recordUpstream(t *testing.T, w *world) {
	for _, c := range handmadeCases() {
		if err := w.build(t.Context(), c.objects); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		snap, err := w.settled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var pods []*corev1.Pod
		var answers []said
		for _, pod := range c.pods {
			created, s, err := w.try(t.Context(), pod, true)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if err := w.retract(t.Context(), created); err != nil {
				t.Fatal(err)
			}
			pods, answers = append(pods, created), append(answers, s)
		}
		if err := write(handmadePath(c), snap, pods, answers); err != nil {
			t.Fatal(err)
		}
	}
}
