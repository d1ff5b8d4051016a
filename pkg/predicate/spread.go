package predicate

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/helper"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread"
)

// spread is PodTopologySpread, which scores by counting the pods that a selector
// selects, on all nodes, for every pod that is placed: in a large cluster that is
// most of the work of placing one. It is shown only the nodes with such pods, by an
// index of the pods' labels; where there are none, there is nothing to count.
type spread struct {
	*podtopologyspread.PodTopologySpread
	lister  *sharedLister
	objects informers.SharedInformerFactory
	// counted are the nodes that hold pods to be counted for the pod being scored; nil
	// is all.
	counted sets.Set[string]
}

// PreScore counts the pods of each domain.
func (s *spread) PreScore(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	s.counted = nil
	if holding, known := s.holding(pod); known {
		s.counted = sets.New[string]()
		// Without any node the plugin would not score at all.
		s.lister.narrowed = s.lister.current.infos[:1:1]
		for i := range holding {
			info := s.lister.current.infos[i]
			s.counted.Insert(info.Node().Name)
			if i != 0 {
				s.lister.narrowed = append(s.lister.narrowed, info)
			}
		}
		defer func() { s.lister.narrowed = nil }()
	}
	return s.PodTopologySpread.PreScore(ctx, state, pod, nodes)
}

// Score counts the pods on one node.
func (s *spread) Score(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	if s.counted != nil && !s.counted.Has(node.Node().Name) {
		node = uncounted{node}
	}
	return s.PodTopologySpread.Score(ctx, state, pod, node)
}

// uncounted is a node none of whose pods is to be counted.
type uncounted struct{ fwk.NodeInfo }

// GetPods returns none.
func (uncounted) GetPods() []fwk.PodInfo { return nil }

// holding are the indices of the nodes with pods that any of the pod's soft
// constraints counts, and maybe more; known is false where it may be any node.
func (s *spread) holding(pod *corev1.Pod) (nodes map[int]int, known bool) {
	nodes = map[int]int{}
	for _, selector := range s.selectors(pod) {
		holding, known := s.lister.current.labelled(pod.Namespace, selector)
		if !known {
			return nil, false
		}
		maps.Copy(nodes, holding)
	}
	return nodes, len(s.lister.current.infos) > 0
}

// selectors are those of the pod's soft constraints or, as it has no constraints, of
// the default ones.
func (s *spread) selectors(pod *corev1.Pod) []labels.Selector {
	if len(pod.Spec.TopologySpreadConstraints) == 0 {
		return []labels.Selector{helper.DefaultSelector(pod, s.objects.Core().V1().Services().Lister(),
			s.objects.Core().V1().ReplicationControllers().Lister(), s.objects.Apps().V1().ReplicaSets().Lister(),
			s.objects.Apps().V1().StatefulSets().Lister())}
	}
	var selectors []labels.Selector
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		if constraint.WhenUnsatisfiable != corev1.ScheduleAnyway {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
		if err != nil {
			selector = labels.Everything() // The plugin says what is wrong with it.
		}
		selectors = append(selectors, selector)
	}
	return selectors
}

// label is a label of a pod, in a namespace.
type label struct{ namespace, key, value string }

// labelIndex counts, for pods' labels, the pods that have one on each node that has
// such pods. It holds the keys that have been asked for.
type labelIndex struct {
	keys   sets.Set[string]
	counts map[label]map[int]int
}

// labelled are the nodes that hold pods in the namespace with a label that the
// selector asks for, the rarest; known is false where it asks for none.
func (l *nodeList) labelled(namespace string, selector labels.Selector) (nodes map[int]int, known bool) {
	requirements, selectable := selector.Requirements()
	if !selectable {
		return nil, true
	}
	for _, requirement := range requirements {
		value, exact := selector.RequiresExactMatch(requirement.Key())
		if !exact {
			continue
		}
		holding := l.indexed(requirement.Key()).counts[label{namespace, requirement.Key(), value}]
		if !known || len(holding) < len(nodes) {
			nodes, known = holding, true
		}
	}
	return nodes, known
}

// indexed is the index of labels with at least that key.
func (l *nodeList) indexed(key string) *labelIndex {
	if l.labels == nil {
		l.labels = &labelIndex{keys: sets.New[string](), counts: map[label]map[int]int{}}
	}
	if !l.labels.keys.Has(key) {
		l.labels.keys.Insert(key)
		for i, info := range l.infos {
			for _, pod := range info.GetPods() {
				l.labels.count(key, i, pod.GetPod(), 1)
			}
		}
	}
	return l.labels
}

// countLabels keeps the index in step with a pod more (1) or less (-1) on the i-th
// node.
func (l *nodeList) countLabels(i int, pod *corev1.Pod, delta int) {
	if l.labels == nil {
		return
	}
	for key := range l.labels.keys {
		l.labels.count(key, i, pod, delta)
	}
}

func (x *labelIndex) count(key string, i int, pod *corev1.Pod, delta int) {
	value, ok := pod.Labels[key]
	if !ok {
		return
	}
	at := label{pod.Namespace, key, value}
	if x.counts[at] == nil {
		x.counts[at] = map[int]int{}
	}
	if x.counts[at][i] += delta; x.counts[at][i] == 0 {
		delete(x.counts[at], i)
	}
}
