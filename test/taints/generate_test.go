package taints

import (
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// Keys of the taints that are generated.
const (
	// holdKey is a NoSchedule taint that nobody tolerates.
	holdKey = "hold"
	// lateKey is a NoExecute taint that comes late, and all tolerate for some seconds at least.
	lateKey = "late"
)

var (
	keys    = []string{"k0", "k1", "k2"}
	values  = []string{"a", "b"}
	effects = []corev1.TaintEffect{
		corev1.TaintEffectNoExecute, corev1.TaintEffectNoExecute, corev1.TaintEffectNoExecute, corev1.TaintEffectNoExecute,
		corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule,
	}
)

// longest is the longest time in seconds that a pod tolerates a taint for.
const longest = 8

// gen makes one world. Every choice comes from its random source.
type gen struct {
	*rand.Rand
	world *world
	// there are the taints that the changed nodes have when they are changed.
	there []string
}

// newWorld makes the i-th world of a seed.
func newWorld(seed uint64, i int) *world {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, uint64(i))), world: &world{Seed: seed, Number: i}}
	if g.chance(35) {
		g.tight()
	} else {
		g.slack()
	}
	return g.world
}

// chance is true p times of 100.
func (g *gen) chance(p int) bool { return g.IntN(100) < p }

// between is from low to high, both included.
func (g *gen) between(low, high int) int { return low + g.IntN(high-low+1) }

// one picks one of the values.
func one[T any](g *gen, values ...T) T { return values[g.IntN(len(values))] }

// addNodes makes nodes, some of which are to be changed.
func (g *gen) addNodes(count int, cpu string) {
	changed := g.between(1, count-1)
	if g.chance(8) {
		changed = count
	}
	for i := range count {
		g.world.Nodes = append(g.world.Nodes, node{
			Name: fmt.Sprintf("n%d", i), CPU: cpu, Half: one(g, "left", "right"), Changed: i < changed,
		})
	}
}

// onChanged gives every node that is to be changed these taints.
func (g *gen) onChanged(give func(*node)) {
	for i := range g.world.Nodes {
		if g.world.Nodes[i].Changed {
			give(&g.world.Nodes[i])
		}
	}
}

// slack makes a world with room on every node.
func (g *gen) slack() {
	g.addNodes(g.between(2, 6), "100")
	for range g.between(0, 2) {
		g.there = withTaint(g.there, g.taint())
	}
	g.onChanged(func(n *node) { n.Taints = slices.Clone(g.there) })
	for i := range g.world.Nodes {
		if n := &g.world.Nodes[i]; !n.Changed && g.chance(20) {
			n.Taints = []string{g.taint()}
		}
	}
	late := g.chance(20)
	if late {
		g.late()
	}
	for i := range g.between(4, 8) {
		g.world.Loads = append(g.world.Loads, g.load(i, late))
	}
	g.change()
}

// late lets the changed nodes have a taint whose time runs when they are changed.
func (g *gen) late() {
	taints := []string{lateKey + "=1:NoExecute"}
	if g.chance(60) {
		taints = append(taints, holdKey+":NoSchedule")
	}
	g.onChanged(func(n *node) { n.Late = taints })
	g.there = append(g.there, taints...)
}

// taint is a taint of any key, value and effect.
func (g *gen) taint() string {
	key := one(g, keys...)
	if g.chance(80) {
		key += "=" + one(g, values...)
	}
	return key + ":" + string(one(g, effects...))
}

// withTaint adds a taint unless there is one of its key and effect.
func withTaint(taints []string, taint string) []string {
	if indexOf(taints, taint) < 0 {
		taints = append(taints, taint)
	}
	return taints
}

// indexOf finds the taint of the same key and effect.
func indexOf(taints []string, text string) int {
	wanted := build.Taint(text)
	return slices.IndexFunc(taints, func(other string) bool {
		have := build.Taint(other)
		return have.MatchTaint(&wanted)
	})
}

// change makes the arguments of kubectl taint.
func (g *gen) change() {
	switch kind := g.IntN(100); {
	case len(g.there) == 0 || kind < 60:
		g.adds(g.between(1, 2))
	case kind < 70:
		g.overwrites()
	case kind < 88:
		g.removes()
	default:
		g.removes()
		g.adds(1)
	}
}

// adds sets taints that are not there.
func (g *gen) adds(count int) {
	var added []string
	for range count {
		if text := g.taint(); indexOf(g.there, text) < 0 {
			added = withTaint(added, text)
		}
	}
	if g.chance(30) && indexOf(g.there, holdKey+":NoSchedule") < 0 {
		added = append(added, holdKey+":NoSchedule")
	}
	if len(added) == 0 && len(g.world.Change) == 0 {
		added = []string{"k9=a:" + string(one(g, effects...))}
	}
	g.world.Change = append(g.world.Change, added...)
}

// overwrites gives a taint another value.
func (g *gen) overwrites() {
	taint := build.Taint(one(g, g.there...))
	taint.Value = one(g, "a", "b", "c")
	g.world.Change = append(g.world.Change, taint.ToString(), "--overwrite")
}

// removes takes taints away, by key and effect or by key alone. What is removed is
// not there for what is added with it: kubectl does not do both to one taint.
func (g *gen) removes() {
	gone := build.Taint(one(g, g.there...))
	if g.chance(50) {
		g.world.Change = append(g.world.Change, gone.Key+":"+string(gone.Effect)+"-")
		return
	}
	g.world.Change = append(g.world.Change, gone.Key+"-")
	for _, effect := range effects { // none of this key may be set by the same command
		g.there = withTaint(g.there, gone.Key+":"+string(effect))
	}
}

// load is any workload for a slack world.
func (g *gen) load(i int, late bool) workload {
	l := workload{
		Name: fmt.Sprintf("l%d", i), Replicas: int32(g.between(1, 5)), CPU: one(g, "", "100m", "500m", "1"), Priority: g.IntN(priorities),
		Kind: one(g, "Deployment", "Deployment", "Deployment", "StatefulSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", bare, bare, mirror),
	}
	if g.chance(35) {
		l.Half = one(g, "left", "right")
	}
	l.EmptyDir = g.chance(15)
	switch l.Kind {
	case "Deployment":
		l.Apart = g.chance(15)
		if g.chance(15) {
			l.Local, l.Replicas, l.Half, l.Apart = true, 1, "", false
			l.Node = one(g, g.world.Nodes...).Name
		}
	case "StatefulSet":
		l.Apart, l.Ordered = g.chance(15), g.chance(60)
	case "Job":
		l.Replicas, l.BackoffLimit, l.Ignores = one[int32](g, 1, 1, 2), one[int32](g, 0, 1, 6), g.chance(40)
		if g.chance(20) {
			l.Ends = corev1.PodSucceeded
		}
	case bare:
		switch {
		case g.chance(20):
			l.Ends = one(g, corev1.PodSucceeded, corev1.PodFailed)
		case g.chance(10):
			l.Held = true
		case late:
			l.Late = g.chance(50)
		}
	case mirror:
		l.Replicas, l.Half, l.CPU, l.Node = 1, "", "", one(g, g.world.Nodes...).Name
	}
	switch g.IntN(8) {
	case 0:
		l.MinAvailable = one(g, "1", "50%", "100%")
	case 1:
		l.MaxUnavailable = one(g, "0", "1", "30%")
	}
	g.tolerate(&l, late)
	return l
}

// tolerate gives a load tolerations with which it stays where it is until the
// change comes.
func (g *gen) tolerate(l *workload, late bool) {
	for range 20 {
		l.Tolerations = nil
		if g.chance(70) {
			for range g.between(1, 4) {
				l.Tolerations = append(l.Tolerations, g.toleration())
			}
		}
		if late {
			toleration := corev1.Toleration{Key: lateKey, Operator: corev1.TolerationOpExists}
			if g.chance(60) {
				toleration.Effect, toleration.TolerationSeconds = corev1.TaintEffectNoExecute, new(int64(g.between(15, 20)))
			}
			l.Tolerations = append([]corev1.Toleration{toleration}, l.Tolerations...)
		}
		if !slices.ContainsFunc(g.world.Nodes, func(n node) bool { return unstable(l, n) }) {
			return
		}
	}
	if l.Kind == mirror { // it would be there whatever the node's taints
		l.Kind = bare
	}
	l.Tolerations = slices.DeleteFunc(l.Tolerations, func(t corev1.Toleration) bool { return t.Key != lateKey })
}

// unstable says whether a pod of the load would be put on the node and evicted before
// the change.
func unstable(l *workload, n node) bool {
	var taints []corev1.Taint
	for _, text := range n.Taints {
		taints = append(taints, build.Taint(text))
	}
	if l.Kind == mirror {
		if l.Node != n.Name {
			return false
		}
	} else if !taint.Tolerates(l.Tolerations, taints) {
		return false
	}
	_, evicted := taint.Stays(&corev1.Pod{Spec: corev1.PodSpec{Tolerations: l.Tolerations}}, taints)
	return evicted
}

// toleration is one of any shape that the API server lets in.
func (g *gen) toleration() corev1.Toleration {
	t := corev1.Toleration{Key: one(g, keys...), Operator: corev1.TolerationOpExists}
	switch g.IntN(10) {
	case 0:
		t.Key = "" // all of them
	case 1, 2, 3:
		t.Operator, t.Value = corev1.TolerationOpEqual, one(g, values...)
	case 4:
		t.Operator, t.Value = "", one(g, values...) // the default is Equal
	case 5:
		t.Operator = corev1.TolerationOpEqual // no value
	}
	switch g.IntN(10) {
	case 0, 1:
	case 2:
		t.Effect = one(g, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule)
	case 3, 4, 5:
		t.Effect = corev1.TaintEffectNoExecute
	default:
		t.Effect, t.TolerationSeconds = corev1.TaintEffectNoExecute, new(int64(g.between(1, longest)))
		if g.chance(12) {
			t.TolerationSeconds = new(one[int64](g, 0, -1, -3600))
		}
	}
	return t
}

// tight makes a world with fewer homes than pods: see doc.go for what makes it
// independent of chance.
func (g *gen) tight() {
	slots := g.between(2, 5)
	g.addNodes(g.between(2, 5), fmt.Sprint(slots))
	homes := slots * len(g.world.Nodes)
	removes := g.chance(35)
	if removes {
		g.there = []string{holdKey + ":NoSchedule"}
		g.onChanged(func(n *node) { n.Taints = g.there })
		g.world.Change = []string{one(g, holdKey+"-", holdKey+":NoSchedule-")}
	} else {
		g.world.Change = []string{holdKey + ":NoSchedule", one(g, keys...) + "=" + one(g, values...) + ":NoExecute"}
	}
	wanted := homes * g.between(70, 100) / 100
	if removes {
		wanted = homes * g.between(70, 130) / 100
	}
	ranks := g.Perm(priorities)
	for i := 0; wanted > 0 && i < priorities-1; i++ {
		l := g.tightLoad(i, min(wanted, g.between(1, 4)), removes)
		l.Priority = ranks[i]
		wanted -= int(l.Replicas)
		g.world.Loads = append(g.world.Loads, l)
	}
	if g.chance(40) {
		g.world.Loads = append(g.world.Loads, workload{Name: "daemon", Kind: "DaemonSet", Replicas: 1, Priority: ranks[priorities-1]})
	}
}

func (g *gen) tightLoad(i, replicas int, removes bool) workload {
	l := workload{Name: fmt.Sprintf("l%d", i), Replicas: int32(replicas), CPU: "1"}
	l.Kind = one(g, "Deployment", "Deployment", "StatefulSet", "ReplicationController")
	if !removes && g.chance(15) { // a Job that is preempted at the start would wait for its backoff
		l.Kind, l.Replicas, l.BackoffLimit = "Job", min(l.Replicas, 2), 6
	}
	l.Ordered = l.Kind == "StatefulSet" && g.chance(60)
	for range g.between(0, 3) {
		if t := g.toleration(); t.Key != "" && t.Effect == corev1.TaintEffectNoExecute {
			l.Tolerations = append(l.Tolerations, t)
		}
	}
	return l
}
