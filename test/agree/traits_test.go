package agree

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// trait is one thing about a pod that a predicate may refuse it for.
type trait struct {
	name string
	// plugin is the predicate that it works on.
	plugin string
	// give makes the pod have it, with the objects it takes.
	give func(g *gen, b *build.PodBuilder)
}

// traits are what pods are made of: every predicate, and the parts of each that
// are decided apart.
var traits = []trait{
	{"cpu", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) { b.Request(fmt.Sprintf("cpu=%d", g.between(2, 9))) }},
	{"memory", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) { b.Request(fmt.Sprintf("memory=%dGi", g.between(2, 17))) }},
	{"ephemeral storage", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) {
		b.Request(fmt.Sprintf("ephemeral-storage=%dGi", g.between(10, 60)))
	}},
	{"extended resource", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) { b.Request(fmt.Sprintf("%s=%d", gpu, g.between(1, 5))) }},
	{"resource that nobody offers", predicate.NodeResourcesFit, func(_ *gen, b *build.PodBuilder) { b.Request("example.com/gppu=1") }},
	{"hugepages", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) {
		amount := fmt.Sprintf("%s=%dMi", hugepages, 2*g.between(1, 70))
		b.Request("cpu=100m").Request(amount).Limit(amount)
	}},
	{"init container", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) { b.Init(fmt.Sprintf("cpu=%d", g.between(2, 8))) }},
	{"sidecars", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) {
		b.Sidecar(fmt.Sprintf("cpu=%d", g.between(1, 3))).Init("cpu=2").Sidecar(fmt.Sprintf("cpu=%d", g.between(1, 3)))
	}},
	{"overhead", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) {
		b.Request(fmt.Sprintf("cpu=%d", g.between(2, 5))).With(func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("heavy") })
	}},
	{"pod-level resources", predicate.NodeResourcesFit, func(g *gen, b *build.PodBuilder) {
		b.With(func(p *corev1.Pod) {
			amount := build.Resources(fmt.Sprintf("cpu=%d,memory=%dGi", g.between(3, 9), g.between(2, 17)))
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: amount}
		})
	}},

	{"toleration Exists", predicate.TaintToleration, func(_ *gen, b *build.PodBuilder) { b.Toleration("dedicated:NoSchedule") }},
	{"toleration Equal", predicate.TaintToleration, func(g *gen, b *build.PodBuilder) {
		b.Toleration("dedicated=" + one(g, "a", "b") + ":NoSchedule")
	}},
	{"toleration of every effect", predicate.TaintToleration, func(_ *gen, b *build.PodBuilder) {
		b.With(func(p *corev1.Pod) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "flaky", Operator: corev1.TolerationOpExists})
		})
	}},
	{"toleration of everything", "", func(_ *gen, b *build.PodBuilder) {
		b.With(func(p *corev1.Pod) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
		})
	}},
	{"toleration of a cordon", "", func(_ *gen, b *build.PodBuilder) { b.Toleration(corev1.TaintNodeUnschedulable + ":NoSchedule") }},

	{"nodeSelector", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) { b.NodeSelector(diskLabel, one(g, "ssd", "hdd", "tape")) }},
	{"nodeAffinity In", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(corev1.LabelTopologyZone, corev1.NodeSelectorOpIn, one(g, zones...), one(g, zones...))
	}},
	{"nodeAffinity NotIn", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(diskLabel, corev1.NodeSelectorOpNotIn, one(g, "ssd", "hdd"))
	}},
	{"nodeAffinity Exists", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(one(g, diskLabel, genLabel, corev1.LabelTopologyZone), corev1.NodeSelectorOpExists)
	}},
	{"nodeAffinity DoesNotExist", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(one(g, diskLabel, genLabel), corev1.NodeSelectorOpDoesNotExist)
	}},
	{"nodeAffinity Gt", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(genLabel, corev1.NodeSelectorOpGt, one(g, "1", "3", "6"))
	}},
	{"nodeAffinity Lt", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(genLabel, corev1.NodeSelectorOpLt, one(g, "2", "4", "7"))
	}},
	{"nodeAffinity of two terms", predicate.NodeAffinity, func(g *gen, b *build.PodBuilder) {
		b.NodeAffinity(diskLabel, corev1.NodeSelectorOpIn, one(g, "ssd", "tape")).With(func(p *corev1.Pod) {
			required := p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: genLabel, Operator: corev1.NodeSelectorOpIn, Values: []string{one(g, "1", "5", "9")}},
			}})
		})
	}},
	{"matchFields", predicate.NodeAffinity, matchFields(corev1.NodeSelectorOpNotIn)},
	{"matchFields, which name a node", predicate.NodeAffinity, matchFields(corev1.NodeSelectorOpIn)},

	{"podAffinity", predicate.InterPodAffinity, podAffinity(func(*gen, *corev1.PodAffinityTerm) {})},
	{"podAffinity namespaces", predicate.InterPodAffinity, podAffinity(func(g *gen, t *corev1.PodAffinityTerm) {
		t.Namespaces = []string{one(g, namespaces...)}
	})},
	{"podAffinity namespaceSelector", predicate.InterPodAffinity, podAffinity(func(g *gen, t *corev1.PodAffinityTerm) {
		t.NamespaceSelector = g.namespaceSelector()
	})},
	{"podAffinity matchLabelKeys", predicate.InterPodAffinity, podAffinity(func(_ *gen, t *corev1.PodAffinityTerm) {
		t.MatchLabelKeys, t.NamespaceSelector = []string{"version"}, &metav1.LabelSelector{}
	})},
	{"podAffinity mismatchLabelKeys", predicate.InterPodAffinity, podAffinity(func(_ *gen, t *corev1.PodAffinityTerm) {
		t.MismatchLabelKeys, t.NamespaceSelector = []string{"version"}, &metav1.LabelSelector{}
	})},
	{"podAntiAffinity", predicate.InterPodAffinity, podAntiAffinity(func(*gen, *corev1.PodAffinityTerm) {})},
	{"podAntiAffinity namespaces", predicate.InterPodAffinity, podAntiAffinity(func(g *gen, t *corev1.PodAffinityTerm) {
		t.Namespaces = []string{one(g, namespaces...)}
	})},
	{"podAntiAffinity namespaceSelector", predicate.InterPodAffinity, podAntiAffinity(func(g *gen, t *corev1.PodAffinityTerm) {
		t.NamespaceSelector = g.namespaceSelector()
	})},
	{"podAntiAffinity matchLabelKeys", predicate.InterPodAffinity, podAntiAffinity(func(_ *gen, t *corev1.PodAffinityTerm) {
		t.MatchLabelKeys, t.NamespaceSelector = []string{"version"}, &metav1.LabelSelector{}
	})},
	{"podAntiAffinity mismatchLabelKeys", predicate.InterPodAffinity, podAntiAffinity(func(_ *gen, t *corev1.PodAffinityTerm) {
		t.MismatchLabelKeys, t.NamespaceSelector = []string{"version"}, &metav1.LabelSelector{}
	})},

	{"spread", predicate.PodTopologySpread, spread(func(*gen, *corev1.TopologySpreadConstraint) {})},
	{"spread minDomains", predicate.PodTopologySpread, spread(func(g *gen, c *corev1.TopologySpreadConstraint) { c.MinDomains = new(int32(g.between(2, 5))) })},
	{"spread nodeTaintsPolicy", predicate.PodTopologySpread, spread(func(_ *gen, c *corev1.TopologySpreadConstraint) {
		c.NodeTaintsPolicy = new(corev1.NodeInclusionPolicyHonor)
	})},
	{"spread nodeAffinityPolicy", predicate.PodTopologySpread, spread(func(_ *gen, c *corev1.TopologySpreadConstraint) {
		c.NodeAffinityPolicy = new(corev1.NodeInclusionPolicyIgnore)
	})},
	{"spread matchLabelKeys", predicate.PodTopologySpread, spread(func(_ *gen, c *corev1.TopologySpreadConstraint) { c.MatchLabelKeys = []string{"version"} })},

	{"hostPort", predicate.NodePorts, func(g *gen, b *build.PodBuilder) { b.HostPort(int32(g.between(8000, 8001))) }},
	{"hostPort hostIP", predicate.NodePorts, func(g *gen, b *build.PodBuilder) { port(g, b).HostIP = one(g, "127.0.0.1", "10.0.0.1", "0.0.0.0") }},
	{"hostPort protocol", predicate.NodePorts, func(g *gen, b *build.PodBuilder) {
		port(g, b).Protocol = one(g, corev1.ProtocolUDP, corev1.ProtocolTCP)
	}},

	{"bound volume of a zone", predicate.VolumeBinding, func(g *gen, b *build.PodBuilder) {
		g.mountBound(b, b.Obj().Namespace, one(g, zones...))
	}},
	{"zone label of a volume", predicate.VolumeZone, func(g *gen, b *build.PodBuilder) {
		_, volume := g.mountBound(b, b.Obj().Namespace, "")
		volume.Labels = map[string]string{corev1.LabelTopologyZone: one(g, "z1", "z2", "z1__z3")}
	}},
	{"unbound immediate claim", predicate.VolumeBinding, claim(classImmediate, nil)},
	{"claim of a class that is missing", predicate.VolumeBinding, claim("absent", nil)},
	{"missing claim", predicate.VolumeBinding, func(_ *gen, b *build.PodBuilder) { b.PVC("absent") }},
	{"claim whose volume is missing", predicate.VolumeBinding, func(g *gen, b *build.PodBuilder) {
		c := build.PVC(b.Obj().Namespace, g.name("claim"), classDynamic, "1Gi", "absent")
		g.add(c)
		b.PVC(c.Name)
	}},
	{"lost claim", predicate.VolumeBinding, func(g *gen, b *build.PodBuilder) {
		c, _ := g.bound(b.Obj().Namespace, "")
		c.Status.Phase = corev1.ClaimLost
		b.PVC(c.Name)
	}},
	{"WaitForFirstConsumer", predicate.VolumeBinding, claim(classStatic, func(g *gen) {
		for range g.between(0, 2) {
			volume := build.PV(g.name("local"), classStatic, one(g, "1Gi", "500Mi"), volumeDriver, one(g, zones...))
			g.add(volume)
		}
	})},
	{"WaitForFirstConsumer, provisioned", "", claim(classDynamic, nil)},
	{"WaitForFirstConsumer, allowed topologies", predicate.VolumeBinding, claim(classZonal, nil)},
	{"WaitForFirstConsumer, storage capacity", predicate.VolumeBinding, claim(classCapacity, func(g *gen) {
		for range g.between(0, 2) {
			g.add(&storagev1.CSIStorageCapacity{
				ObjectMeta:       metav1.ObjectMeta{Namespace: "default", Name: g.name("capacity")},
				StorageClassName: classCapacity,
				Capacity:         resource.NewQuantity(int64(g.between(0, 2))<<30, resource.BinarySI),
				NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelTopologyZone: one(g, zones...)}},
			})
		}
	})},
	{"ReadWriteOncePod", predicate.VolumeRestrictions, func(g *gen, b *build.PodBuilder) {
		c, volume := g.mountBound(b, b.Obj().Namespace, "")
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		volume.Spec.AccessModes = c.Spec.AccessModes
		if len(g.nodes) > 0 && g.chance(80) {
			user := build.Pod(c.Namespace, g.name("user")).Node(one(g, g.nodes...).Name).PVC(c.Name).Obj()
			user.Spec.Priority, user.Spec.PreemptionPolicy = nil, nil
			g.add(user)
		}
	}},
	{"disk in use", predicate.VolumeRestrictions, func(g *gen, b *build.PodBuilder) {
		disk := corev1.Volume{Name: "disk", VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "10.0.0.9", IQN: "iqn.2026-01.com.example:disk"}}}
		b.With(func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, disk) })
		if len(g.nodes) > 0 {
			user := build.Pod("batch", g.name("user")).Node(one(g, g.nodes...).Name).With(func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, disk) }).Obj()
			user.Spec.Priority, user.Spec.PreemptionPolicy = nil, nil
			g.add(user)
		}
	}},
	{"volume limit of a node", predicate.NodeVolumeLimits, func(g *gen, b *build.PodBuilder) {
		for range g.between(1, 3) {
			g.mountBound(b, b.Obj().Namespace, "")
		}
	}},

	{"driver that is not installed", predicate.NodeVolumeLimits, func(g *gen, b *build.PodBuilder) {
		_, volume := g.mountBound(b, b.Obj().Namespace, "")
		volume.Spec.CSI.Driver = strictDriver
	}},

	{"declared feature", "NodeDeclaredFeatures", func(_ *gen, b *build.PodBuilder) {
		b.Container(0, func(c *corev1.Container) {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyNever)
			c.RestartPolicyRules = []corev1.ContainerRestartRule{{
				Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{1}},
			}}
		})
	}},

	{"device claim", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) { devices(g, b, int64(g.between(1, 3)), "") }},
	{"device claim with a CEL selector", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		devices(g, b, 1, one(g,
			`device.attributes["`+deviceDriver+`"].model == "a100"`,
			`device.capacity["`+deviceDriver+`"].memory.compareTo(quantity("40Gi")) >= 0`,
			`device.attributes["`+deviceDriver+`"].model == "h100"`))
	}},
	{"device claim for all", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		request := devices(g, b, 1, "").Spec.Devices.Requests[0].Exactly
		request.AllocationMode, request.Count = resourcev1.DeviceAllocationModeAll, 0
	}},
	{"device claim with alternatives", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		request := &devices(g, b, 1, "").Spec.Devices.Requests[0]
		request.Exactly = nil
		for i, model := range []string{"h100", one(g, "a100", "b200")} {
			request.FirstAvailable = append(request.FirstAvailable, resourcev1.DeviceSubRequest{
				Name: fmt.Sprintf("choice-%d", i), DeviceClassName: deviceClass, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1,
				Selectors: celSelectors(`device.attributes["` + deviceDriver + `"].model == "` + model + `"`),
			})
		}
	}},
	{"device claim that tolerates", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		devices(g, b, 2, "").Spec.Devices.Requests[0].Exactly.Tolerations = []resourcev1.DeviceToleration{{Operator: resourcev1.DeviceTolerationOpExists}}
	}},
	{"allocated device claim", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		c := g.allocated(b.Obj().Namespace, g.someNode())
		if c == nil {
			devices(g, b, 4, "")
			return
		}
		if g.chance(70) && len(g.placed) > 0 { // Else it is free to be deallocated.
			c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "somebody"}}
		}
		b.ResourceClaim(c.Name)
	}},
	{"missing device claim", predicate.DynamicResources, func(_ *gen, b *build.PodBuilder) { b.ResourceClaim("absent") }},
	{"missing device class", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		devices(g, b, 1, "").Spec.Devices.Requests[0].Exactly.DeviceClassName = "absent"
	}},
	{"extended resource by devices", predicate.DynamicResources, func(g *gen, b *build.PodBuilder) {
		b.Request(fmt.Sprintf("%s=%d", draExtended, g.between(1, 3)))
	}},

	{"scheduling gate", predicate.SchedulingGates, func(_ *gen, b *build.PodBuilder) { b.Gate("example.com/wait") }},

	{"priority", "", priority("mid")},
	{"high priority", "", priority("high")},
	{"preemptionPolicy Never", "", priority("never")},
}

func matchFields(operator corev1.NodeSelectorOperator) func(*gen, *build.PodBuilder) {
	return func(g *gen, b *build.PodBuilder) {
		field := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: operator, Values: []string{g.someNode()}}
		affinity := b.Obj().Spec.Affinity
		if affinity == nil {
			affinity = &corev1.Affinity{}
			b.Obj().Spec.Affinity = affinity
		}
		affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{field}}},
		}}
	}
}

func priority(class string) func(*gen, *build.PodBuilder) {
	return func(_ *gen, b *build.PodBuilder) { b.Obj().Spec.PriorityClassName = class }
}

func podAffinity(edit func(*gen, *corev1.PodAffinityTerm)) func(*gen, *build.PodBuilder) {
	return func(g *gen, b *build.PodBuilder) {
		b.PodAffinity("app="+one(g, "a", "b", "c", "none"), one(g, corev1.LabelHostname, corev1.LabelTopologyZone))
		terms := b.Obj().Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		edit(g, &terms[len(terms)-1])
	}
}

func podAntiAffinity(edit func(*gen, *corev1.PodAffinityTerm)) func(*gen, *build.PodBuilder) {
	return func(g *gen, b *build.PodBuilder) {
		b.PodAntiAffinity("app="+one(g, apps...), one(g, corev1.LabelHostname, corev1.LabelTopologyZone))
		terms := b.Obj().Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		edit(g, &terms[len(terms)-1])
	}
}

func spread(edit func(*gen, *corev1.TopologySpreadConstraint)) func(*gen, *build.PodBuilder) {
	return func(g *gen, b *build.PodBuilder) {
		key := one(g, corev1.LabelHostname, corev1.LabelTopologyZone, diskLabel)
		for _, c := range b.Obj().Spec.TopologySpreadConstraints {
			if c.TopologyKey == key { // One key may be constrained once.
				return
			}
		}
		b.Spread(1, key, one(g, "", "app="+one(g, apps...))) // "" selects every pod
		constraints := b.Obj().Spec.TopologySpreadConstraints
		edit(g, &constraints[len(constraints)-1])
	}
}

// port adds a host port to the pod and returns it.
func port(g *gen, b *build.PodBuilder) *corev1.ContainerPort {
	b.HostPort(int32(g.between(8000, 8001)))
	ports := b.Obj().Spec.Containers[0].Ports
	return &ports[len(ports)-1]
}

// claim mounts a new unbound claim of a class.
func claim(class string, more func(*gen)) func(*gen, *build.PodBuilder) {
	return func(g *gen, b *build.PodBuilder) {
		c := build.PVC(b.Obj().Namespace, g.name("claim"), class, "1Gi", "")
		g.add(c)
		b.PVC(c.Name)
		if more != nil {
			more(g)
		}
	}
}

// devices adds a new claim for devices.
func devices(g *gen, b *build.PodBuilder, count int64, expression string) *resourcev1.ResourceClaim {
	c := build.ResourceClaim(b.Obj().Namespace, g.name("devices"), deviceClass, count)
	if expression != "" {
		c.Spec.Devices.Requests[0].Exactly.Selectors = celSelectors(expression)
	}
	g.add(c)
	b.ResourceClaim(c.Name)
	return c
}

func celSelectors(expression string) []resourcev1.DeviceSelector {
	return []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: expression}}}
}

// someNode names a node, or none that exists.
func (g *gen) someNode() string {
	if len(g.nodes) == 0 || g.chance(5) {
		return "elsewhere"
	}
	return one(g, g.nodes...).Name
}

// trial makes the n-th pod of a run: of the trait whose turn it is, and a few more.
func (g *gen) trial(n int) *trial {
	b := build.Pod(one(g, namespaces...), g.name("pod")).
		Request(fmt.Sprintf("cpu=%dm,memory=%dMi", 100*g.between(1, 10), 64*g.between(1, 10))).
		Label("app", one(g, apps...)).Label("version", one(g, versions...))
	pod := b.Obj()
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = nil, nil
	first := &traits[n%len(traits)]
	t := &trial{pod: pod, traits: []*trait{first}}
	more := one(g, 0, 0, 1, 1, 1, 2, 2, 3, 4)
	for _, i := range g.Perm(len(traits))[:more] {
		if other := &traits[i]; other != first && (other.plugin == "" || other.plugin != first.plugin || g.chance(40)) {
			t.traits = append(t.traits, other)
		}
	}
	if g.chance(30) { // No plugin reads it, but it takes an index of the pod's volumes.
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "settings", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}},
		}})
	}
	for _, trait := range t.traits {
		trait.give(g, b)
	}
	return t
}
