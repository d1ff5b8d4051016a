package predicate

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/component-helpers/node/topology"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// nodeList is the nodes with their pods as the plugins see them, sorted by name.
// It implements the framework's SharedLister. Its NodeInfos are shared between
// copies and never changed in place: replace puts a changed clone. What changes the
// list returns what takes that back, to be called in the reverse order.
type nodeList struct {
	infos  []fwk.NodeInfo
	byName map[string]int
	// claimUsers counts the pods that use a persistent volume claim, by namespace/name.
	claimUsers map[string]int
	// index is computed on the first use after a change that may touch it.
	index *affinityIndex
	// labels is filled as it is asked; copies have their own.
	labels *labelIndex
	// rotation is computed on the first use after a node was added or has changed zone.
	rotation []int
	// sharesMaps is true while byName and claimUsers belong to another list too;
	// most what-ifs never write to them.
	sharesMaps bool
}

// affinityIndex names the nodes that hold pods with (anti-)affinity.
type affinityIndex struct {
	affinity, antiAffinity, nonHostAntiAffinity []fwk.NodeInfo
}

// newNodeList distributes the pods over their nodes. As in the scheduler's
// cache, finished pods do not count, and a pod on a node that is not there
// counts nowhere.
func newNodeList(nodes []*corev1.Node, pods []*corev1.Pod) *nodeList {
	nodes = slices.Clone(nodes)
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	list := &nodeList{
		infos:      make([]fwk.NodeInfo, len(nodes)),
		byName:     make(map[string]int, len(nodes)),
		claimUsers: map[string]int{},
	}
	for i, node := range nodes {
		list.byName[node.Name] = i
	}
	perNode := make([][]*podInfo, len(nodes))
	var known replicas
	for _, pod := range pods {
		if i, ok := list.byName[pod.Spec.NodeName]; ok && !snapshot.Finished(pod) {
			perNode[i] = append(perNode[i], known.info(pod))
			list.countClaims(pod, 1)
		}
	}
	inParallel(len(nodes), runtime.GOMAXPROCS(0), func(i int) {
		info := framework.NewNodeInfo()
		for _, pod := range perNode[i] {
			info.AddPodInfo(pod)
		}
		info.SetNode(nodes[i])
		list.infos[i] = info
	})
	return list
}

func (l *nodeList) countClaims(pod *corev1.Pod, delta int) {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		l.ownMaps()
		key := pod.Namespace + "/" + volume.PersistentVolumeClaim.ClaimName
		if l.claimUsers[key] += delta; l.claimUsers[key] == 0 {
			delete(l.claimUsers, key)
		}
	}
}

// clone copies the list; the NodeInfos, and the maps until written to, are shared.
func (l *nodeList) clone() *nodeList {
	l.sharesMaps = true
	copied := *l
	copied.infos, copied.labels = slices.Clone(l.infos), nil
	return &copied
}

// ownMaps makes the maps safe to write to.
func (l *nodeList) ownMaps() {
	if l.sharesMaps {
		l.byName, l.claimUsers, l.sharesMaps = maps.Clone(l.byName), maps.Clone(l.claimUsers), false
	}
}

// replace puts a changed clone of a node in its place. The affinity index stays
// when neither the node nor the pod that changed it is of interest to it.
func (l *nodeList) replace(i int, changed fwk.NodeInfo) {
	if l.index != nil && (hasAffinity(l.infos[i]) || hasAffinity(changed)) {
		l.index = nil
	}
	l.infos[i] = changed
}

func hasAffinity(info fwk.NodeInfo) bool {
	return len(info.GetPodsWithAffinity()) > 0 || len(info.GetPodsWithRequiredAntiAffinity()) > 0
}

// setNode replaces the node of that name, keeping its pods, or adds an empty one
// at the end.
func (l *nodeList) setNode(node *corev1.Node) (undo func()) {
	if i, ok := l.byName[node.Name]; ok {
		before, changed := l.infos[i].Node(), l.infos[i].Snapshot()
		changed.SetNode(node)
		back := l.swap(i, changed)
		if topology.GetZoneKey(before) == topology.GetZoneKey(node) {
			return back
		}
		l.rotation = nil
		return func() {
			back()
			l.rotation = nil
		}
	}
	info := framework.NewNodeInfo()
	info.SetNode(node)
	l.ownMaps()
	l.byName[node.Name] = len(l.infos)
	l.infos, l.rotation = append(l.infos, info), nil
	return func() {
		l.ownMaps()
		delete(l.byName, node.Name)
		l.infos, l.rotation, l.index = l.infos[:len(l.infos)-1], nil, nil
	}
}

// addPod puts a pod on its spec.nodeName.
func (l *nodeList) addPod(pod *corev1.Pod) (undo func(), err error) {
	i, ok := l.byName[pod.Spec.NodeName]
	if !ok {
		return nil, fmt.Errorf("placing pod %s: no node %q", podKey(pod), pod.Spec.NodeName)
	}
	podInfo, err := framework.NewPodInfo(pod)
	if err != nil {
		return nil, fmt.Errorf("placing pod %s: %w", podKey(pod), err)
	}
	changed := l.infos[i].Snapshot()
	changed.AddPodInfo(podInfo)
	return l.swapPod(i, changed, pod, 1), nil
}

// removePod takes a pod off its node.
func (l *nodeList) removePod(pod *corev1.Pod) (undo func(), err error) {
	i, ok := l.byName[pod.Spec.NodeName]
	if !ok {
		return nil, fmt.Errorf("removing pod %s: no node %q", podKey(pod), pod.Spec.NodeName)
	}
	changed := l.infos[i].Snapshot()
	if err := changed.RemovePod(logr.Discard(), pod); err != nil {
		return nil, err
	}
	return l.swapPod(i, changed, pod, -1), nil
}

// swap replaces the i-th node until undo.
func (l *nodeList) swap(i int, changed fwk.NodeInfo) (undo func()) {
	before, index := l.infos[i], l.index
	l.replace(i, changed)
	return func() { l.infos[i], l.index = before, index }
}

// swapPod is swap for a node with a pod more (1) or less (-1).
func (l *nodeList) swapPod(i int, changed fwk.NodeInfo, pod *corev1.Pod, delta int) (undo func()) {
	back := l.swap(i, changed)
	l.countClaims(pod, delta)
	l.countLabels(i, pod, delta)
	return func() {
		back()
		l.countClaims(pod, -delta)
		l.countLabels(i, pod, -delta)
	}
}

func (l *nodeList) affinityIndex() *affinityIndex {
	if l.index != nil {
		return l.index
	}
	index := &affinityIndex{}
	for _, info := range l.infos {
		if len(info.GetPodsWithAffinity()) > 0 {
			index.affinity = append(index.affinity, info)
		}
		if len(info.GetPodsWithRequiredAntiAffinity()) > 0 {
			index.antiAffinity = append(index.antiAffinity, info)
		}
		if len(info.GetPodsWithRequiredNonHostScopedAntiAffinity()) > 0 {
			index.nonHostAntiAffinity = append(index.nonHostAntiAffinity, info)
		}
	}
	l.index = index
	return index
}

// rotated are the indices of the nodes in the order in which the scheduler looks for
// feasible ones: by turns from each zone (k8s.io/kubernetes
// pkg/scheduler/backend/cache, nodeTree), there in the order of their coming, here
// by name.
func (l *nodeList) rotated() []int {
	if l.rotation != nil {
		return l.rotation
	}
	zones := map[string]int{}
	var perZone [][]int
	for i, info := range l.infos {
		key := topology.GetZoneKey(info.Node())
		if _, ok := zones[key]; !ok {
			zones[key] = len(perZone)
			perZone = append(perZone, nil)
		}
		perZone[zones[key]] = append(perZone[zones[key]], i)
	}
	order := make([]int, 0, len(l.infos))
	for turn := 0; len(order) < len(l.infos); turn++ {
		for _, zone := range perZone {
			if turn < len(zone) {
				order = append(order, zone[turn])
			}
		}
	}
	l.rotation = order
	return order
}

// List returns the nodes, by name.
func (l *nodeList) List() ([]fwk.NodeInfo, error) { return l.infos, nil }

// HavePodsWithAffinityList returns the nodes with pods that declare affinity terms.
func (l *nodeList) HavePodsWithAffinityList() ([]fwk.NodeInfo, error) {
	return l.affinityIndex().affinity, nil
}

// HavePodsWithRequiredAntiAffinityList returns the nodes with pods that require anti-affinity.
func (l *nodeList) HavePodsWithRequiredAntiAffinityList() ([]fwk.NodeInfo, error) {
	return l.affinityIndex().antiAffinity, nil
}

// HavePodsWithRequiredNonHostScopedAntiAffinityList is the same without terms by host name.
func (l *nodeList) HavePodsWithRequiredNonHostScopedAntiAffinityList() ([]fwk.NodeInfo, error) {
	return l.affinityIndex().nonHostAntiAffinity, nil
}

// Get returns the node of that name.
func (l *nodeList) Get(name string) (fwk.NodeInfo, error) {
	if i, ok := l.byName[name]; ok {
		return l.infos[i], nil
	}
	return nil, fmt.Errorf("node %q not found in the snapshot", name)
}

// IsPVCUsedByPods says whether a pod on a node uses the claim namespace/name.
func (l *nodeList) IsPVCUsedByPods(key string) bool { return l.claimUsers[key] > 0 }

// sharedLister is what the framework holds for good; current is what it sees now.
type sharedLister struct {
	current *nodeList
	// narrowed, when set, is what List returns instead of all nodes.
	narrowed []fwk.NodeInfo
}

var _ fwk.MutableSnapshotSharedLister = (*sharedLister)(nil)

func (s *sharedLister) NodeInfos() fwk.NodeInfoLister       { return currentNodes{s} }
func (s *sharedLister) StorageInfos() fwk.StorageInfoLister { return currentNodes{s} }

// currentNodes follows the lister: plugins keep what NodeInfos returns.
type currentNodes struct{ lister *sharedLister }

func (c currentNodes) List() ([]fwk.NodeInfo, error) {
	if c.lister.narrowed != nil {
		return c.lister.narrowed, nil
	}
	return c.lister.current.List()
}

func (c currentNodes) HavePodsWithAffinityList() ([]fwk.NodeInfo, error) {
	return c.lister.current.HavePodsWithAffinityList()
}
func (c currentNodes) HavePodsWithRequiredAntiAffinityList() ([]fwk.NodeInfo, error) {
	return c.lister.current.HavePodsWithRequiredAntiAffinityList()
}
func (c currentNodes) HavePodsWithRequiredNonHostScopedAntiAffinityList() ([]fwk.NodeInfo, error) {
	return c.lister.current.HavePodsWithRequiredNonHostScopedAntiAffinityList()
}
func (c currentNodes) Get(name string) (fwk.NodeInfo, error) { return c.lister.current.Get(name) }
func (c currentNodes) IsPVCUsedByPods(key string) bool       { return c.lister.current.IsPVCUsedByPods(key) }

// Pod groups (the GenericWorkload gate, off by default in 1.37) are not part of a
// snapshot; the listers say that there are none.

func (s *sharedLister) PodGroupStates() fwk.PodGroupStateLister { return noGroups{} }
func (s *sharedLister) PodGroups() fwk.PodGroupLister           { return noPodGroups{} }
func (s *sharedLister) CompositePodGroupStates() fwk.CompositePodGroupStateLister {
	return noComposites{}
}
func (s *sharedLister) CompositePodGroups() fwk.CompositePodGroupLister { return noCompositeGroups{} }

var errNoPodGroups = errors.New("a snapshot holds no pod groups")

type (
	noGroups          struct{}
	noPodGroups       struct{}
	noComposites      struct{}
	noCompositeGroups struct{}
)

func (noGroups) Get(string, string) (fwk.PodGroupState, error) { return nil, errNoPodGroups }
func (noPodGroups) Get(string, string) (*schedulingv1beta1.PodGroup, error) {
	return nil, errNoPodGroups
}
func (noComposites) Get(string, string) (fwk.CompositePodGroupState, error) {
	return nil, errNoPodGroups
}
func (noCompositeGroups) Get(string, string) (*schedulingv1alpha3.CompositePodGroup, error) {
	return nil, errNoPodGroups
}

// The mutations of MutableSnapshotSharedLister belong to pod-group preemption too.

func (s *sharedLister) StartMutations() error                            { return errNoPodGroups }
func (s *sharedLister) EndMutations() error                              { return errNoPodGroups }
func (s *sharedLister) AddPod(fwk.PodInfo, string) error                 { return errNoPodGroups }
func (s *sharedLister) RemovePod(klog.Logger, *corev1.Pod, string) error { return errNoPodGroups }

func podKey(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// inParallel calls work for 0..n-1 on that many goroutines, the caller's among them,
// each taking chunk after chunk, and returns when all are done.
func inParallel(n, workers int, work func(i int)) {
	const smallest = 64
	workers = min(workers, (n+smallest-1)/smallest)
	var next atomic.Int64
	share := func() {
		for begin := int(next.Add(smallest)) - smallest; begin < n; begin = int(next.Add(smallest)) - smallest {
			for i := begin; i < min(begin+smallest, n); i++ {
				work(i)
			}
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(share)
	}
	share()
	wg.Wait()
}
