package agree

import (
	"errors"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
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
		{"volumes", []snapshot.Object{
			build.StorageClass(classImmediate, volumeDriver, storagev1.VolumeBindingImmediate),
			build.StorageClass(classStatic, "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer),
			small("la").Zone("z1").Obj(), small("lb").Zone("z2").Obj(),
			build.CSINode("la", volumeDriver, 1), build.CSINode("lb", volumeDriver, 2),
			boundClaim("used", "volume-used"), boundVolume("volume-used", "used", "z1"),
			bare(pending("user").PVC("used").Node("la")),
			boundClaim("free", "volume-free"), boundVolume("volume-free", "free", "z1"),
			boundClaim("elsewhere", "volume-elsewhere"), boundVolume("volume-elsewhere", "elsewhere", "z3"),
			boundClaim("volume-gone", "none"),
			build.PVC("default", "unbound", classImmediate, "1Gi", ""),
			build.PVC("default", "no-such-class", "absent", "1Gi", ""),
			build.PVC("default", "wait-too-large", classStatic, "9Gi", ""),
			build.PVC("default", "wait-in-zone", classStatic, "1Gi", ""),
			build.PV("local-b", classStatic, "2Gi", volumeDriver, "z2"),
		}, []*corev1.Pod{
			bare(pending("limit-reached-in-its-zone").PVC("free")),
			bare(pending("the-same-volume-counts-once").PVC("used").Request("cpu=9")),
			bare(pending("zone-without-nodes").PVC("elsewhere")),
			bare(pending("two-zones").PVC("free").PVC("wait-in-zone")),
			bare(pending("volume-that-is-not-there").PVC("volume-gone")),
			bare(pending("claim-that-is-not-there").PVC("absent")),
			bare(pending("unbound-immediate").PVC("unbound")),
			bare(pending("class-that-is-not-there").PVC("no-such-class")),
			bare(pending("no-volume-large-enough").PVC("wait-too-large")),
			bare(pending("volume-on-a-node-too-small").PVC("wait-in-zone").Request("cpu=9")),
		}},
		{"devices", []snapshot.Object{
			build.DeviceClass(deviceClass, deviceDriver),
			small("da").Obj(), small("db").Obj(), small("dc").Obj(),
			build.ResourceSlice("da", deviceDriver, "gpu-0", "gpu-1"), build.ResourceSlice("db", deviceDriver, "gpu-0"),
			build.ResourceClaim("default", "one", deviceClass, 1), build.ResourceClaim("default", "three", deviceClass, 3),
			build.ResourceClaim("default", "two", deviceClass, 2), build.ResourceClaim("default", "class-gone", "absent", 1),
			allocation(build.ResourceClaim("default", "held", deviceClass, 1), "da", "gpu-1"),
		}, []*corev1.Pod{
			bare(pending("held-where-it-cannot-go").ResourceClaim("held").NodeSelector(corev1.LabelHostname, "db")),
			bare(pending("held-where-it-is-refused").ResourceClaim("held").Request("cpu=9")),
			bare(pending("claim-that-is-not-there").ResourceClaim("absent")),
			bare(pending("class-that-is-not-there").ResourceClaim("class-gone")),
			bare(pending("more-than-any-node").ResourceClaim("three")),
			bare(pending("a-node-too-small").ResourceClaim("two").Request("cpu=9")),
			bare(pending("two-claims-on-one-node").ResourceClaim("one").ResourceClaim("two")),
			bare(pending("devices-and-selector").ResourceClaim("two").NodeSelector(corev1.LabelHostname, "db")),
			bare(pending("gated-too").ResourceClaim("one").Gate("example.com/wait")),
		}},
		{"nominated", []snapshot.Object{
			build.PriorityClass("mid", 100), build.PriorityClass("high", 1000),
			small("na").Obj(), small("nb").Obj(),
			nominated("room-on-a", "na", corev1.DefaultSchedulerName), nominated("room-of-another-scheduler", "nb", "another"),
		}, []*corev1.Pod{
			bare(pending("only-where-no-room-is-kept").Request("cpu=3")),
			bare(pending("room-is-kept").Request("cpu=3").NodeSelector(corev1.LabelHostname, "na")),
			preemptor("more-important", "3", "high"),
			bare(pending("claim-that-is-not-there").PVC("absent")),
			bare(pending("kept-away-from-it").NodeSelector(corev1.LabelHostname, "na").PodAntiAffinity("app=room-on-a", corev1.LabelHostname)),
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

// nominated is a pending pod with room on a node; the gate keeps it as it is.
func nominated(name, node, scheduler string) *corev1.Pod {
	pod := bare(pending(name).Label("app", name).Request("cpu=2").Gate("example.com/room").Nominated(node))
	pod.Spec.PriorityClassName, pod.Spec.SchedulerName = "mid", scheduler
	return pod
}

// allocation gives a claim a device of a node's pool.
func allocation(claim *resourcev1.ResourceClaim, node, device string) *resourcev1.ResourceClaim {
	// The scheduler gives an allocation both, and cannot reserve a claim without.
	claim.Finalizers = []string{resourcev1.Finalizer}
	claim.Status.Allocation = &resourcev1.AllocationResult{
		AllocationTimestamp: &build.Epoch,
		Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{
			Request: claim.Spec.Devices.Requests[0].Name, Driver: deviceDriver, Pool: node, Device: device,
		}}},
		NodeSelector: selects(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, node)}}),
	}
	return claim
}

func boundClaim(name, volume string) *corev1.PersistentVolumeClaim {
	return build.PVC("default", name, classImmediate, "1Gi", volume)
}

func boundVolume(name, claim, zone string) *corev1.PersistentVolume {
	volume := build.PV(name, classImmediate, "1Gi", volumeDriver, zone)
	volume.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "default", Name: claim}
	volume.Status.Phase = corev1.VolumeBound
	return volume
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
			if err := errors.Join(w.retract(t.Context(), created), w.afterwards(t.Context(), pod)); err != nil {
				t.Fatal(err)
			}
			pods, answers = append(pods, created), append(answers, s)
		}
		if err := write(handmadePath(c), snap, pods, answers); err != nil {
			t.Fatal(err)
		}
	}
}
