package agree

import (
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// kase is one cluster and the pods that are tried on it, one after another.
type kase struct {
	name    string
	objects []snapshot.Object
	pods    []*trial
}

// trial is a pod with the names of the traits that it was made of.
type trial struct {
	pod    *corev1.Pod
	traits []*trait
}

// Names that clusters and pods share.
const (
	volumeDriver   = "csi.example.com"
	capacityDriver = "capacity.example.com"
	strictDriver   = "strict.example.com" // keeps its pods off nodes without it
	deviceDriver   = "gpu.example.com"

	classImmediate = "immediate"
	classStatic    = "static-wait"
	classDynamic   = "dynamic-wait"
	classZonal     = "zonal-wait"
	classCapacity  = "capacity-wait"

	deviceClass = "gpu"
	// draExtended is an extended resource that devices of a class stand in for.
	draExtended = corev1.ResourceName("example.com/dra-gpu")
	gpu         = corev1.ResourceName("example.com/gpu")
	hugepages   = corev1.ResourceName("hugepages-2Mi")
	diskLabel   = "example.com/disk"
	genLabel    = "example.com/generation"
)

var (
	zones    = []string{"z1", "z2", "z3"}
	apps     = []string{"a", "b", "c"}
	versions = []string{"v1", "v2"}
	// Most pods are neighbours: what looks at other pods looks at its own namespace first.
	namespaces = []string{"default", "default", "default", "team-a", "team-b", "batch"}
)

// sharedObjects exist on every generated cluster and are made once.
func sharedObjects() []snapshot.Object {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	zonal := build.StorageClass(classZonal, volumeDriver, wait)
	zonal.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
		{Key: corev1.LabelTopologyZone, Values: []string{"z1"}},
	}}}
	never := build.PriorityClass("never", 1000)
	never.PreemptionPolicy = new(corev1.PreemptNever)
	byName := build.DeviceClass(deviceClass, deviceDriver)
	stands := build.DeviceClass("stands-in", deviceDriver)
	stands.Spec.ExtendedResourceName = new(string(draExtended))
	return []snapshot.Object{
		build.Namespace("team-a", "team=a,tier=front"), build.Namespace("team-b", "team=b,tier=back"), build.Namespace("batch", "tier=back"),
		build.PriorityClass("low", -10), build.PriorityClass("mid", 100), build.PriorityClass("high", 1000), never,
		&nodev1.RuntimeClass{
			ObjectMeta: metav1.ObjectMeta{Name: "heavy"}, Handler: "heavy",
			Overhead: &nodev1.Overhead{PodFixed: build.Resources("cpu=1500m,memory=2Gi")},
		},
		build.StorageClass(classImmediate, volumeDriver, storagev1.VolumeBindingImmediate),
		build.StorageClass(classStatic, "kubernetes.io/no-provisioner", wait),
		build.StorageClass(classDynamic, volumeDriver, wait),
		build.StorageClass(classCapacity, capacityDriver, wait),
		zonal,
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: capacityDriver}, Spec: storagev1.CSIDriverSpec{StorageCapacity: new(true)}},
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: strictDriver}, Spec: storagev1.CSIDriverSpec{PreventPodSchedulingIfMissing: new(true)}},
		byName, stands,
	}
}

// gen makes one case. Every choice comes from its random source.
type gen struct {
	*rand.Rand
	id      string
	objects []snapshot.Object
	nodes   []*corev1.Node
	placed  []*corev1.Pod
	slices  []*resourcev1.ResourceSlice
	taken   map[string]bool // devices that are allocated, by pool/name
	names   int
}

// newCase makes the i-th case of a seed, with that many pods.
func newCase(seed, i uint64, pods int) *kase {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, i)), id: fmt.Sprint(i), taken: map[string]bool{}}
	g.cluster()
	c := &kase{name: fmt.Sprintf("seed %d, cluster %d", seed, i)}
	for k := range pods {
		c.pods = append(c.pods, g.trial(int(i)*pods+k))
	}
	c.objects = slices.Clone(g.objects)
	return c
}

// chance is true p times of 100.
func (g *gen) chance(p int) bool { return g.IntN(100) < p }

// between is from low to high, both included.
func (g *gen) between(low, high int) int { return low + g.IntN(high-low+1) }

// one picks one of the values.
func one[T any](g *gen, values ...T) T { return values[g.IntN(len(values))] }

// name is a new name within the case, and across the cases of a run: the
// scheduler has seen the earlier ones.
func (g *gen) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s-%s-%d", prefix, g.id, g.names)
}

func (g *gen) add(objects ...snapshot.Object) { g.objects = append(g.objects, objects...) }

// cluster makes the nodes and what runs on them.
func (g *gen) cluster() {
	count := g.between(1, 6)
	if g.chance(2) {
		count = 0
	}
	devices, limits := g.chance(50), g.chance(50)
	for range count {
		node := g.node()
		g.nodes = append(g.nodes, node)
		g.add(node)
		if devices && g.chance(80) {
			g.deviceSlice(node.Name)
		}
		if limits && g.chance(80) {
			drivers := build.CSINode(node.Name, volumeDriver, int32(g.between(0, 2)))
			if g.chance(50) {
				drivers.Spec.Drivers = append(drivers.Spec.Drivers, storagev1.CSINodeDriver{Name: strictDriver, NodeID: node.Name})
			}
			g.add(drivers)
		}
	}
	for _, node := range g.nodes {
		for range g.between(0, 4) {
			g.place(node.Name)
		}
		if g.chance(10) {
			g.fill(node)
		}
	}
	if g.chance(40) {
		g.budgets()
	}
	if g.chance(15) && len(g.nodes) > 0 {
		g.nominate()
	}
}

func (g *gen) node() *corev1.Node {
	amounts := fmt.Sprintf("cpu=%d,memory=%dGi,ephemeral-storage=%dGi,pods=%d",
		g.between(1, 8), g.between(2, 16), g.between(5, 50), g.between(4, 20))
	if g.chance(50) {
		amounts += fmt.Sprintf(",%s=%d", gpu, g.between(0, 4))
	}
	if g.chance(30) {
		amounts += fmt.Sprintf(",%s=%dMi", hugepages, 2*g.between(0, 64))
	}
	b := build.Node(g.name("node")).Capacity(amounts)
	if g.chance(90) {
		b.Zone(one(g, zones...))
	}
	if g.chance(80) {
		b.Label(diskLabel, one(g, "ssd", "hdd"))
	}
	if g.chance(80) {
		b.Label(genLabel, one(g, "1", "3", "5", "7", "x"))
	}
	for _, taint := range []string{"dedicated=" + one(g, "a", "b") + ":NoSchedule", "flaky:NoExecute", "old=yes:PreferNoSchedule", "level=5:NoSchedule"} {
		if g.chance(9) {
			b.Taint(taint)
		}
	}
	if g.chance(12) {
		b.Cordon()
	}
	node := b.Obj()
	if g.chance(50) {
		node.Status.DeclaredFeatures = []string{"RestartAllContainersOnContainerExits"}
	}
	return node
}

// deviceSlice gives a node some devices.
func (g *gen) deviceSlice(node string) {
	slice := build.ResourceSlice(node, deviceDriver)
	for i := range g.between(0, 3) {
		device := resourcev1.Device{
			Name:       fmt.Sprintf("gpu-%d", i),
			Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: new(one(g, "a100", "t4"))}},
			Capacity:   map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse(one(g, "16Gi", "80Gi"))}},
		}
		if g.chance(15) {
			device.Taints = []resourcev1.DeviceTaint{{Key: "broken", Effect: resourcev1.DeviceTaintEffectNoSchedule}}
		}
		slice.Spec.Devices = append(slice.Spec.Devices, device)
	}
	g.slices = append(g.slices, slice)
	g.add(slice)
}

// place puts a pod on a node.
func (g *gen) place(node string) *corev1.Pod {
	b := build.Pod(one(g, namespaces...), g.name("placed")).Node(node).
		Request(fmt.Sprintf("cpu=%dm,memory=%dMi", 100*g.between(0, 20), 128*g.between(0, 20))).
		Label("app", one(g, apps...)).Label("version", one(g, versions...))
	pod := b.Obj()
	pod.Spec.Priority = nil
	pod.Spec.PriorityClassName = one(g, "", "", "low", "mid", "high")
	pod.Spec.PreemptionPolicy = nil
	pod.Status.StartTime = new(metav1.Unix(build.Epoch.Unix()+int64(g.IntN(100000)), 0))
	if g.chance(35) {
		b.HostPort(int32(g.between(8000, 8001)))
	}
	if g.chance(20) {
		affinity := &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{g.affinityTerm()}}
		pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: affinity}
	}
	if g.chance(10) {
		b.Sidecar("cpu=200m")
	}
	if g.chance(15) {
		g.mountBound(b, pod.Namespace, "")
	}
	if g.chance(25) {
		g.allocate(b, pod.Namespace, node)
	}
	if g.chance(8) { // It is being resized: what it holds still counts.
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: pod.Spec.Containers[0].Name, AllocatedResources: build.Resources(fmt.Sprintf("cpu=%d,memory=1Gi", g.between(1, 3))),
		}}
	}
	switch {
	case g.chance(4):
		b.Phase(corev1.PodSucceeded)
	case g.chance(5):
		pod.DeletionTimestamp = &build.Epoch
	}
	g.placed = append(g.placed, pod)
	g.add(pod)
	return pod
}

// fill puts as many pods on a node as it may run, or nearly.
func (g *gen) fill(node *corev1.Node) {
	running := 0
	for _, pod := range g.placed {
		if pod.Spec.NodeName == node.Name && pod.Status.Phase != corev1.PodSucceeded {
			running++
		}
	}
	for range int(node.Status.Allocatable.Pods().Value()) - running - g.between(0, 1) {
		pod := build.Pod("batch", g.name("filler")).Node(node.Name).Obj()
		pod.Spec.PreemptionPolicy = nil
		g.placed = append(g.placed, pod)
		g.add(pod)
	}
}

func (g *gen) budgets() {
	for _, namespace := range slices.Compact(slices.Clone(namespaces)) {
		if g.chance(60) {
			g.add(build.PDB(namespace, g.name("budget"), "1", "app="+one(g, apps...), int32(g.between(0, 1))))
		}
	}
}

// nominate makes a pending pod for which room was made on a node. A gate keeps it
// as it is; the scheduler reserves its room all the same, if the pod is its own.
func (g *gen) nominate() {
	pod := build.Pod(one(g, namespaces...), g.name("nominated")).Request(fmt.Sprintf("cpu=%d", g.between(1, 4))).
		Label("app", one(g, apps...)).Gate("example.com/room").Nominated(one(g, g.nodes...).Name).Obj()
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = nil, nil
	pod.Spec.PriorityClassName = one(g, "mid", "high")
	if g.chance(30) {
		pod.Spec.SchedulerName = "another"
	}
	g.add(pod)
}

// affinityTerm is a random term over the pods of the cluster.
func (g *gen) affinityTerm() corev1.PodAffinityTerm {
	term := corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": one(g, apps...)}},
		TopologyKey:   one(g, corev1.LabelHostname, corev1.LabelTopologyZone, diskLabel),
	}
	switch g.IntN(6) {
	case 0:
		term.Namespaces = []string{one(g, namespaces...), one(g, namespaces...)}
	case 1:
		term.NamespaceSelector = g.namespaceSelector()
	case 2:
		term.LabelSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: "version", Operator: one(g, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist),
		}}}
	}
	return term
}

func (g *gen) namespaceSelector() *metav1.LabelSelector {
	if g.chance(30) {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": one(g, "front", "back")}}
}

// mountBound mounts a claim that is bound, to a volume of a zone where one is
// named, and returns both.
func (g *gen) mountBound(b *build.PodBuilder, namespace, zone string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	claim, volume := g.bound(namespace, zone)
	b.PVC(claim.Name)
	return claim, volume
}

func (g *gen) bound(namespace, zone string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	volume := build.PV(g.name("volume"), classDynamic, "1Gi", volumeDriver, zone)
	claim := build.PVC(namespace, g.name("claim"), classDynamic, "1Gi", volume.Name)
	volume.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: namespace, Name: claim.Name}
	volume.Status.Phase = corev1.VolumeBound
	g.add(claim, volume)
	return claim, volume
}

// allocate gives the pod a claim with a device of the node, if one is free.
func (g *gen) allocate(b *build.PodBuilder, namespace, node string) {
	if claim := g.allocated(namespace, node); claim != nil {
		b.ResourceClaim(claim.Name)
		claim.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: b.Obj().Name}}
	}
}

// allocated is a claim that holds a free device of a node; nil when there is none.
func (g *gen) allocated(namespace, node string) *resourcev1.ResourceClaim {
	for _, slice := range g.slices {
		if *slice.Spec.NodeName != node {
			continue
		}
		for _, device := range slice.Spec.Devices {
			key := slice.Spec.Pool.Name + "/" + device.Name
			if g.taken[key] {
				continue
			}
			g.taken[key] = true
			claim := allocation(build.ResourceClaim(namespace, g.name("devices"), deviceClass, 1), slice.Spec.Pool.Name, device.Name)
			g.add(claim)
			return claim
		}
	}
	return nil
}
