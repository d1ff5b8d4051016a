package plan

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// place schedules pods, then the late ones, with whatever comes in the stead of those
// that they preempt.
func (p *Planner) place(ctx context.Context, now moment, queue, late []*corev1.Pod) error {
	for len(queue)+len(late) > 0 {
		if len(queue) == 0 {
			queue, late = late, nil
		}
		if err := p.claim(queue); err != nil {
			return err
		}
		placements, err := p.sim.Schedule(ctx, queue)
		if err != nil {
			return err
		}
		var victims []*move
		for _, placement := range placements {
			for _, victim := range placement.Victims {
				m := p.move(victim, now, taint.Eviction{}, placement.Pod)
				if err := p.leave(m); err != nil {
					return err
				}
				victims = append(victims, m)
			}
		}
		next, err := p.note(now, placements)
		if err != nil {
			return err
		}
		prompt, more, err := p.replace(now, victims)
		if err != nil {
			return err
		}
		queue, late = nil, slices.DeleteFunc(slices.Concat(late, next, more), func(pod *corev1.Pod) bool { return p.gone[pod.UID] })
		if len(victims) > 0 { // They may have freed more than was needed.
			queue = append(slices.Clone(p.waiting), prompt...)
		}
	}
	return nil
}

// claim makes the claims of pods that are new.
func (p *Planner) claim(pods []*corev1.Pod) error {
	for _, pod := range pods {
		if p.uid(pod) != "" || p.claimed[pod.UID] {
			continue
		}
		put(&p.log, p.claimed, pod.UID, true)
		if claims := p.explainer.Owners().Claims(pod); len(claims) > 0 {
			if err := p.sim.Apply(predicate.Objects(claims)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// note takes down who has a node now, and who waits. It returns what controllers make
// as soon as those are ready.
func (p *Planner) note(now moment, placements []simulate.Placement) (next []*corev1.Pod, err error) {
	placed, waits := map[types.UID]bool{}, map[types.UID]bool{}
	for _, pod := range p.waiting {
		waits[pod.UID] = true
	}
	waiting := slices.Clone(p.waiting)
	for _, placement := range placements {
		switch {
		case placement.Node != "":
			placed[placement.Pod.UID] = true
			if p.gone[placement.Pod.UID] {
				p.house(placement.Pod)
				continue // Another has preempted it at once.
			}
			pod, err := p.arrive(now, placement.Pod)
			if err != nil {
				return nil, err
			}
			if pod != nil {
				next = append(next, pod)
			}
		case !waits[placement.Pod.UID]:
			waiting = append(waiting, placement.Pod)
		}
	}
	set(&p.log, &p.waiting, slices.DeleteFunc(waiting, func(pod *corev1.Pod) bool { return placed[pod.UID] }))
	return next, nil
}

// arrive notes that a pod has a node, and returns what its controller makes next.
func (p *Planner) arrive(now moment, pod *corev1.Pod) (next *corev1.Pod, err error) {
	node := pod.Spec.NodeName
	set(&p.log, &p.arrivals, append(p.arrivals, &arrival{pod: pod, node: node, wave: now.wave, at: now.at}))
	if pods, changes := p.on[node]; changes {
		put(&p.log, p.on, node, append(slices.Clip(pods), pod))
	}
	m := p.house(pod)
	if m != nil {
		if _, returns := taint.Stays(pod, p.node(node).Spec.Taints); returns {
			p.mark(m, report.MarkReturns)
		}
	}
	made, missing := p.controllers.arrive(pod, m)
	switch {
	case made != nil:
		return made.replacement, nil
	case missing != nil:
		return p.follow(missing)
	}
	return nil, nil
}

// house notes the node of a pod for the move that it replaces, if it replaces one.
func (p *Planner) house(pod *corev1.Pod) *move {
	m := p.replaced[pod.UID]
	if m != nil {
		set(&p.log, &m.node, pod.Spec.NodeName)
		set(&p.log, &m.reason, "")
	}
	return m
}

// follow makes the first pod of a set that is not ready.
func (p *Planner) follow(o *ordered) (*corev1.Pod, error) {
	pod, claims, err := p.explainer.Owners().StatefulPod(o.set, o.first())
	if err != nil {
		return nil, err
	}
	put(&p.log, p.claimed, pod.UID, true)
	put(&p.log, p.followers, pod.UID, true)
	if len(claims) == 0 {
		return pod, nil
	}
	return pod, p.sim.Apply(predicate.Objects(claims)...)
}

// mark adds a mark.
func (p *Planner) mark(m *move, mark report.Mark) {
	set(&p.log, &m.marks, append(slices.Clip(m.marks), mark))
}

// node is a node as it is now.
func (p *Planner) node(name string) *corev1.Node {
	node, ok := p.explainer.Engine().Node(name)
	if !ok {
		return &corev1.Node{}
	}
	return node.Node
}

// replacement is the pod that a controller makes in place of another: the template's
// pod, as far as the other shows it. It has the name of the other, by which the plan
// speaks of it.
func (p *Planner) replacement(pod *corev1.Pod) *corev1.Pod {
	made := pod.DeepCopy()
	made.UID += "/replacement"
	made.CreationTimestamp = p.snap.Now()
	made.DeletionTimestamp, made.DeletionGracePeriodSeconds = nil, nil
	made.Spec.NodeName = ""
	made.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return made
}

// successor is replacement, where it is known better what the controller makes.
func (p *Planner) successor(pod *corev1.Pod) (*corev1.Pod, error) {
	made := p.replacement(pod)
	object := p.owners.Controller(pod)
	daemons, ok := object.(*appsv1.DaemonSet)
	if !ok {
		if w, ok := p.owners.Of(pod); ok && w.Template() != nil {
			made.Spec.SchedulingGates = w.Template().Spec.SchedulingGates // What runs has lost them.
		}
		return made, nil
	}
	daemon, err := p.explainer.Owners().DaemonPod(daemons, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	daemon.Name, daemon.UID, daemon.CreationTimestamp = made.Name, made.UID, made.CreationTimestamp
	return daemon, nil
}

// admitted are the waiting pods that nodes have kept away by their taints, and do not
// any more.
func (p *Planner) admitted(nodes []*tainted) []*corev1.Pod {
	return p.waitingFor(func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(nodes, func(node *tainted) bool {
			tolerations := pod.Spec.Tolerations
			return taint.Tolerates(tolerations, node.after.Spec.Taints) && !taint.Tolerates(tolerations, node.before.Spec.Taints)
		})
	})
}

// helped are the waiting pods that what others have left may help: the room on their
// nodes, or that they are not near.
func (p *Planner) helped(left []*move) []*corev1.Pod {
	nodes := map[string][]corev1.Taint{}
	for _, m := range left {
		if related(m.pod) {
			return slices.Clone(p.waiting)
		}
		if name := m.pod.Spec.NodeName; nodes[name] == nil {
			nodes[name] = p.node(name).Spec.Taints
		}
	}
	return p.waitingFor(func(pod *corev1.Pod) bool {
		if related(pod) {
			return true
		}
		for _, taints := range nodes {
			if taint.Tolerates(pod.Spec.Tolerations, taints) {
				return true
			}
		}
		return false
	})
}

// related says whether where a pod may be has to do with where others are.
func related(pod *corev1.Pod) bool {
	return attached(pod.Spec.Affinity) || slices.ContainsFunc(pod.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.WhenUnsatisfiable == corev1.DoNotSchedule
	}) || len(pod.Spec.ResourceClaims) > 0 ||
		slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })
}

// attached says whether a pod must be near others, or must not.
func attached(affinity *corev1.Affinity) bool {
	if affinity == nil {
		return false
	}
	near, far := affinity.PodAffinity, affinity.PodAntiAffinity
	return near != nil && len(near.RequiredDuringSchedulingIgnoredDuringExecution) > 0 ||
		far != nil && len(far.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

func (p *Planner) waitingFor(helps func(*corev1.Pod) bool) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range p.waiting {
		if helps(pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// startDaemons are the pods that the DaemonSet controller starts on nodes that admit
// them now.
func (p *Planner) startDaemons(nodes []*tainted) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	for _, daemons := range p.snap.DaemonSets {
		if daemons.DeletionTimestamp != nil {
			continue
		}
		template := &daemons.Spec.Template
		for _, node := range nodes {
			if workload.Eligible(template, node.before) || !workload.Eligible(template, node.after) || p.runs(daemons, node.before.Name) {
				continue
			}
			pod, err := p.explainer.Owners().DaemonPod(daemons, node.before.Name)
			if err != nil {
				return nil, err
			}
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// runs says whether a node has a pod of the set.
func (p *Planner) runs(daemons *appsv1.DaemonSet, node string) bool {
	wanted := controller{Kind: "DaemonSet", Namespace: daemons.Namespace, Name: daemons.Name}
	return slices.ContainsFunc(p.on[node], func(pod *corev1.Pod) bool { return controllerOf(pod) == wanted && !p.gone[pod.UID] })
}
