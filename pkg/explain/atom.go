package explain

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// atom is one smallest change that would remove one reason on some node.
type atom struct {
	kind report.RemedyKind
	// key tells atoms apart in the search: equal keys are the same change, but for
	// how much.
	key string
	// what is what the change is done to, and how much: with the kind it is the ID of
	// the remedy.
	what string
	// text says what to do, as a clause in the imperative.
	text string
	// disturbance ranks: smaller is gentler (see the kinds below).
	disturbance int
	// loss is, for a lowered request, the part of it that is given up (0..1). Of
	// atoms with the same key the one with the least loss is tried.
	loss float64

	// spec, when set, changes the pod; else edits, changes and command change the
	// cluster.
	spec specPatch
	// node and change edit a node; several atoms may edit one.
	node    *corev1.Node
	change  func(*corev1.Node)
	edits   []predicate.Edit
	changes []report.Change
	command string
}

// The disturbance of each kind of remedy. What only widens where a pod may go
// comes before what takes something away from it, then what changes a node for
// everybody, what costs money, and what stops somebody else's pods.
const (
	disturbClaim       = 5
	disturbSelectorFix = 8
	disturbToleration  = 10
	disturbSpread      = 20
	disturbSelector    = 25
	disturbRequest     = 30
	disturbAffinity    = 35
	disturbPort        = 36
	disturbUncordon    = 40
	disturbLabel       = 42
	disturbUntaint     = 45
	disturbAddNode     = 60
	disturbEvict       = 70
)

// candidate is a set of atoms that may let the pod onto some nodes.
type candidate struct {
	atoms []atom
	nodes []string
}

func (c candidate) key() string {
	keys := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		keys[i] = a.key
	}
	return strings.Join(keys, " + ")
}

// id is the ID of the remedy.
func (c candidate) id() string {
	ids := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		ids[i] = string(a.kind) + ":" + a.what
	}
	return strings.Join(ids, "+")
}

// kind tells candidates that are the same advice, but for the node or the amount.
func (c candidate) kind() string {
	kinds := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		kinds[i] = string(a.kind)
	}
	return strings.Join(kinds, "+")
}

func (c candidate) disturbance() int {
	sum := 0
	for _, a := range c.atoms {
		sum += a.disturbance
	}
	return sum
}

func (c candidate) loss() float64 {
	var sum float64
	for _, a := range c.atoms {
		sum += a.loss
	}
	return sum
}

// changesPod says whether any atom changes the pod's spec.
func (c candidate) changesPod() bool {
	for _, a := range c.atoms {
		if a.spec != nil {
			return true
		}
	}
	return false
}

// ops are all operations on a pod spec. Each atom edits a part of its own, and
// removals of one list come from one atom, so indices stay valid.
func (c candidate) ops(spec *corev1.PodSpec) []op {
	var ops []op
	appended := map[string]bool{}
	for _, a := range c.atoms {
		if a.spec == nil {
			continue
		}
		for _, o := range a.spec(spec) {
			// Two atoms that each create the same absent list: the second appends.
			if list, ok := o.Value.([]any); ok && o.Op == report.OpAdd {
				if appended[o.Path] {
					o = op{Op: report.OpAdd, Path: o.Path + "/-", Value: list[0]}
				}
				appended[o.Path] = true
			}
			ops = append(ops, o)
		}
	}
	return ops
}

// changed is a pod with the candidate's changes of it done.
func (c candidate) changed(pod *corev1.Pod) (*corev1.Pod, error) {
	if !c.changesPod() {
		return pod, nil
	}
	return applyOps(pod, c.ops(&pod.Spec))
}

// edits are all changes to the cluster; those of one node are made to one copy.
func (c candidate) edits() []predicate.Edit {
	var edits []predicate.Edit
	copies := map[string]*corev1.Node{}
	for _, a := range c.atoms {
		edits = append(edits, a.edits...)
		if a.node == nil {
			continue
		}
		if copies[a.node.Name] == nil {
			copies[a.node.Name] = a.node.DeepCopy()
			edits = append(edits, predicate.Edit{Node: copies[a.node.Name]})
		}
		a.change(copies[a.node.Name])
	}
	return edits
}

// fix is a set of atoms that together remove one failure on one node.
type fix []atom

// union joins two fixes; the same atom counts once. The result is sorted by key.
func union(a, b fix) fix {
	merged := slices.Clone(a)
	for _, other := range b {
		if !slices.ContainsFunc(merged, func(x atom) bool { return x.key == other.key }) {
			merged = append(merged, other)
		}
	}
	slices.SortFunc(merged, func(x, y atom) int { return cmp.Compare(x.key, y.key) })
	return merged
}

// verified is a candidate that helps, with the nodes that the pod then fits on.
type verified struct {
	candidate
	fits []string
}
