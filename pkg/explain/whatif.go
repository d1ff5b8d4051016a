package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// maxPlaced bounds how many replicas of a set a what-if places; more are said as "at
// least".
const maxPlaced = 5000

// WouldFit explains a pod or workload that is not in the cluster (`-f`), of any kind of
// the table: defaults are applied as the API server does, and FitReplicas says how many
// of its replicas find a place one after another, one set of pods after the other.
func (e *Explainer) WouldFit(ctx context.Context, object runtime.Object, namespace string) (report.PendingItem, error) {
	w, err := e.readPlanned(object, namespace)
	if err != nil {
		return report.PendingItem{}, err
	}
	if reason := unknown(w); reason != "" {
		return e.unknownPods(w, reason), nil
	}
	simulation := simulate.New(e.engine)
	defer simulation.Undo()
	fits := make([]fit, len(w.Sets))
	for i := range w.Sets {
		if fits[i], err = e.place(ctx, simulation, planned{w, &w.Sets[i]}); err != nil {
			return report.PendingItem{}, err
		}
	}
	item := e.noPods(w)
	if asked := askedAbout(fits); asked != nil {
		pod := asked.refused
		if pod == nil { // All fit: the answer is where the first one may go.
			pod = asked.pod
			simulation.UndoTo(asked.withClaims)
		}
		if item, err = e.named(ctx, asked.of, pod); err != nil {
			return item, err
		}
	}
	count(&item, fits)
	return item, nil
}

// askedAbout is the first set of which a pod has no place, or else the first one with pods;
// nil without pods.
func askedAbout(fits []fit) *fit {
	for _, found := range []func(fit) bool{
		func(f fit) bool { return f.refused != nil },
		func(f fit) bool { return f.pod != nil },
	} {
		if i := slices.IndexFunc(fits, found); i >= 0 {
			return &fits[i]
		}
	}
	return nil
}

// fit says how many pods of a set fit.
type fit struct {
	of                planned
	replicas, fitting int32
	// pod is the first one, refused the first that has no place; nil for none.
	pod, refused *corev1.Pod
	// withClaims is the mark of the simulation with the claims of the first one.
	withClaims int
}

// count puts the numbers of all sets into an item.
func count(item *report.PendingItem, fits []fit) {
	fitting := int32(0)
	item.Replicas = 0
	for _, f := range fits {
		item.Replicas += f.replicas
		fitting += f.fitting
		if len(fits) > 1 {
			item.PodSets = append(item.PodSets, report.PodSetFit{Name: f.of.set.Name, Replicas: f.replicas, FitReplicas: f.fitting})
		}
	}
	item.FitReplicas = &fitting
}

// place places the pods of a set one after another, until one has no place.
func (e *Explainer) place(ctx context.Context, simulation *simulate.Simulation, p planned) (fit, error) {
	if p.set.PerNode {
		return e.placeDaemons(ctx, simulation, p)
	}
	f := fit{of: p, replicas: int32(p.set.Replicas)}
	if len(p.Sets) == 1 {
		f.replicas = max(f.replicas, 1) // Of a workload that is scaled down, one is asked about.
	}
	for ; f.fitting < min(f.replicas, maxPlaced); f.fitting++ {
		pod := e.world.maker.Replica(p.Workload, p.set, int(f.fitting))
		if err := simulation.Apply(predicate.Objects(e.world.maker.ReplicaClaims(p.Workload, pod))...); err != nil {
			return f, err
		}
		if f.pod == nil {
			f.pod, f.withClaims = pod, simulation.Mark()
		}
		node, err := simulation.Place(ctx, pod)
		if err != nil && f.fitting > 0 {
			return f, err
		}
		if err != nil || node == "" { // Of an error, Pod says what it is.
			f.refused = pod
			return f, nil
		}
	}
	return f, nil
}

// placeDaemons counts the nodes that would run a daemon's pod, of those that it is meant
// for.
func (e *Explainer) placeDaemons(ctx context.Context, simulation *simulate.Simulation, p planned) (fit, error) {
	pod := e.world.maker.Replica(p.Workload, p.set, 0)
	if err := simulation.Apply(predicate.Objects(e.world.maker.ReplicaClaims(p.Workload, pod))...); err != nil {
		return fit{}, err
	}
	verdict, err := e.engine.Evaluate(ctx, pod)
	if err != nil {
		return fit{}, err
	}
	f := fit{of: p, pod: pod, withClaims: simulation.Mark()}
	fitting := verdict.Fitting()
	for node := range e.engine.Nodes() {
		if workload.Eligible(p.set.Template, node.Node) {
			f.replicas++
			if slices.Contains(fitting, node.Name) {
				f.fitting++
			}
		}
	}
	if f.fitting < f.replicas {
		f.refused = pod
	}
	return f, nil
}

// named is the answer for one pod, in the name of the workload.
func (e *Explainer) named(ctx context.Context, p planned, pod *corev1.Pod) (report.PendingItem, error) {
	item, err := e.pod(ctx, pod, &p, true)
	of := itemKey(&item)
	p.name(&item)
	for _, remedy := range item.Remedies {
		if plan, ok := e.shared.plan(of, remedy.ID); ok {
			e.shared.keepPlan(itemKey(&item), plan)
		}
	}
	item.Agrees, item.Disagreement = report.AgreesUnknown, "it is not in the cluster"
	return item, err
}

// name gives an item the name of the workload.
func (p planned) name(item *report.PendingItem) {
	item.Kind, item.Namespace, item.Name = p.Kind.Kind, p.Object.GetNamespace(), p.Object.GetName()
	item.UID, item.Workload, item.PendingSince = "", "", nil
	if isPod(p.Workload) {
		item.Kind = ""
	}
}

func isPod(w *owner.Workload) bool { _, pod := w.Object.(*corev1.Pod); return pod }

// readPlanned reads an object of -f; the namespace is for one that names none.
func (e *Explainer) readPlanned(object runtime.Object, namespace string) (*owner.Workload, error) {
	w, err := owner.Read(e.opts.Kinds, object)
	if errors.Is(err, owner.ErrNoPods) {
		return nil, fmt.Errorf("%w: expected a Pod or a workload that makes pods (%s)", err, strings.Join(e.kindNames(), ", "))
	}
	if err != nil {
		return nil, err
	}
	for i := range w.Sets {
		if set := &w.Sets[i]; len(set.Template.Spec.Containers) == 0 {
			return nil, fmt.Errorf("%s %q: the pod spec has no containers", w.Kind.Kind, w.Object.GetName())
		}
	}
	w.Object = w.Object.DeepCopyObject().(snapshot.Object)
	w.Object.SetNamespace(cmp.Or(w.Object.GetNamespace(), namespace))
	w.Object.SetName(cmp.Or(w.Object.GetName(), w.Object.GetGenerateName(), unnamed))
	return w, nil
}

// unnamed stands for the name of an object that has none yet; no object can have it.
const unnamed = "(unnamed)"

func (e *Explainer) kindNames() []string {
	var names []string
	for _, kind := range e.opts.Kinds.All() {
		if kind.Kind != "Pod" {
			names = append(names, kind.Kind)
		}
	}
	return names
}

// unknown says why the pods of a workload are not known from the object; empty when
// they are.
func unknown(w *owner.Workload) string {
	for _, set := range w.Sets {
		if set.Elsewhere {
			return "its pods are made of the template of another object; here are only the resources that they ask for"
		}
	}
	if len(w.Sets) > 0 {
		return ""
	}
	if of := w.Referred(); of != "" {
		return fmt.Sprintf("its pods are made of the template of %s: ask about that one", of)
	}
	return "it declares no pods"
}

// unknownPods answers for a workload whose pods are not known: whether they fit is not
// either.
func (e *Explainer) unknownPods(w *owner.Workload, reason string) report.PendingItem {
	item := e.unplaced(w, report.VerdictUnknown, reason)
	item.Causes = []report.Cause{{Reason: "pods not known", Plugin: w.Kind.Kind, Detail: reason}}
	item.RemedyNote = "nothing can be verified for pods that are not known"
	for _, set := range w.Sets {
		item.Replicas += int32(set.Replicas)
	}
	return item
}

// noPods answers for a workload that is scaled down to nothing.
func (e *Explainer) noPods(w *owner.Workload) report.PendingItem {
	return e.unplaced(w, report.VerdictSchedulable, "it asks for no pods")
}

// unplaced is an answer for which no pod was tried.
func (e *Explainer) unplaced(w *owner.Workload, verdict report.Verdict, message string) report.PendingItem {
	item := report.PendingItem{
		Verdict: verdict, Message: message,
		Nodes: []report.NodeVerdict{}, Causes: []report.Cause{}, Remedies: []report.Remedy{},
		Agrees: report.AgreesUnknown, Disagreement: "it is not in the cluster", Confidence: e.confidence(),
	}
	planned{w, nil}.name(&item)
	return item
}
