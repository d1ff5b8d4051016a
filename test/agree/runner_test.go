package agree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// runner compares generated pods and counts.
type runner struct {
	t        *testing.T
	world    *world
	config   *predicate.Config
	wanted   int
	seed     uint64
	began    time.Time
	coverage coverage
	counts   counts
}

// counts are the figures of a run.
type counts struct {
	clusters, pods, refused int
	// schedulable, unschedulable and silent are the scheduler's answers.
	schedulable, unschedulable, silent int
	// late are the comparisons that agreed only at the second try: the scheduler
	// had not yet seen the whole cluster.
	late int
	// nodes are the nodes' verdicts that were compared by cordoning the others.
	nodes int
	// remedies and commands are those applied, by kind; without counts the pods
	// that have none.
	remedies, commands map[report.RemedyKind]int
	without            int
	differences        int
}

// How the pods are spread over clusters, and how many comparisons are taken deeper.
const (
	podsPerCluster = 6
	cordonEvery    = 8
	commandEvery   = 10 // of the remedies
	progressEvery  = 10 * time.Second
	settle         = 10 * time.Millisecond
	settleLonger   = 300 * time.Millisecond
	maxDifferences = 10
	coverageRounds = 3
)

// done says whether enough pods are compared: as many as wanted, and, from the
// default number on, more until everything has been a reason once.
func (r *runner) done() bool {
	switch n := r.counts.pods; {
	case r.counts.differences >= maxDifferences:
		return true
	case n < r.wanted:
		return false
	case r.wanted < defaultPods || n >= coverageRounds*r.wanted:
		return true
	}
	return len(r.coverage.missing()) == 0
}

// run compares until enough pods are.
func (r *runner) run(ctx context.Context) error {
	said := time.Now()
	for i := uint64(0); !r.done(); i++ {
		if err := r.runCase(ctx, newCase(r.seed, i, podsPerCluster)); err != nil {
			return fmt.Errorf("seed %d, cluster %d: %w", r.seed, i, err)
		}
		r.counts.clusters++
		if time.Since(said) > progressEvery {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "agree: %d of %d pods, %d clusters, %d differences, %s\n",
				r.counts.pods, r.wanted, r.counts.clusters, r.counts.differences, time.Since(r.began).Round(time.Second))
		}
	}
	return r.world.clear(ctx)
}

// runCase builds one cluster and tries its pods one after another.
func (r *runner) runCase(ctx context.Context, c *kase) error {
	if err := r.world.build(ctx, c.objects); err != nil {
		return err
	}
	snap, err := r.world.settled(ctx)
	if err != nil {
		return err
	}
	for _, trial := range c.pods {
		if r.done() {
			return nil
		}
		changed, err := r.runTrial(ctx, c, trial, snap)
		if err != nil {
			return fmt.Errorf("pod %s (%s): %w", trial.pod.Name, trial, err)
		}
		if changed {
			if snap, err = r.world.snapshot(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// runTrial compares one pod; changed says that the cluster's objects were made anew.
func (r *runner) runTrial(ctx context.Context, c *kase, t *trial, snap *snapshot.Snapshot) (changed bool, err error) {
	oracle := oracle{snap, r.config}
	a, s, difference, err := r.world.compare(ctx, oracle, t.pod)
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
		r.counts.refused++ // The traits do not go together.
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if difference != "" {
		time.Sleep(settleLonger)
		if err := r.world.afterwards(ctx, t.pod); err != nil {
			return true, err
		}
		if oracle.snapshot, err = r.world.snapshot(ctx); err != nil {
			return true, err
		}
		if a, s, difference, err = r.world.compare(ctx, oracle, t.pod); err != nil {
			return true, err
		}
		if difference == "" {
			r.counts.late++
		}
	}
	r.count(t, a, s, oracle.snapshot)
	if err := r.world.afterwards(ctx, t.pod); err != nil {
		return true, err
	}
	if difference != "" {
		r.differ(c, t, a, difference)
		return true, r.keep(ctx, c, t, r.messageDiffers)
	}
	if r.counts.pods%cordonEvery == 0 {
		if err := r.compareNodes(ctx, c, t, a); err != nil {
			return true, fmt.Errorf("with the other nodes cordoned: %w", err)
		}
	}
	changed, err = r.compareReport(ctx, c, t, a, s, oracle.snapshot)
	return changed || usesClaims(t.pod), err
}

// compareNodes compares each node's verdict: with every other node cordoned, the
// pod is bound to it or is not. The engine is asked about the cordoned cluster too,
// whose message is another.
func (r *runner) compareNodes(ctx context.Context, c *kase, t *trial, a answer) error {
	for i, node := range a.verdict.Nodes {
		difference, err := r.compareNode(ctx, t, node, a.verdict.Fits(i) && !a.quiet())
		if err != nil {
			return err
		}
		r.counts.nodes++
		if difference != "" {
			r.differ(c, t, a, "with every node but "+node+" cordoned, "+difference)
			return errors.Join(r.keep(ctx, cordoned(c, node), t, r.messageDiffers), r.world.build(ctx, c.objects))
		}
	}
	return nil
}

// cordoned is the case with every other node cordoned.
func cordoned(c *kase, node string) *kase {
	copied := *c
	copied.objects = slices.Clone(c.objects)
	for i, o := range copied.objects {
		if n, ok := o.(*corev1.Node); ok && n.Name != node {
			n = n.DeepCopy()
			n.Spec.Unschedulable = true
			copied.objects[i] = n
		}
	}
	return &copied
}

func (r *runner) compareNode(ctx context.Context, t *trial, node string, fits bool) (difference string, err error) {
	uncordon, err := r.world.cordonOthers(ctx, node)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, uncordon(ctx), r.world.afterwards(ctx, t.pod))
	}()
	for _, pause := range []time.Duration{settle, settleLonger} {
		time.Sleep(pause)
		snap, err := r.world.snapshot(ctx)
		if err != nil {
			return "", err
		}
		_, s, found, err := r.world.compare(ctx, oracle{snap, r.config}, t.pod)
		if err != nil {
			return "", err
		}
		if difference = found; difference == "" && (s.Node == node) != fits && !toleratesCordon(t.pod) {
			difference = fmt.Sprintf("the scheduler: %s; we say that it fits: %t", s, fits)
		}
		if difference == "" {
			return "", nil
		}
		if err := r.world.afterwards(ctx, t.pod); err != nil {
			return "", err
		}
	}
	return difference, nil
}

// toleratesCordon says whether cordoning the other nodes does not keep the pod off.
func toleratesCordon(pod *corev1.Pod) bool {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return t.ToleratesTaint(klog.Background(), &taint, false) })
}

// compareReport compares the report on a pod and tries each of its remedies.
func (r *runner) compareReport(ctx context.Context, c *kase, t *trial, a answer, s said, snap *snapshot.Snapshot) (changed bool, err error) {
	item, err := explained(ctx, snap, a.pod, s)
	if err != nil {
		return false, err
	}
	if difference := itemDiffers(item, s); difference != "" {
		r.differ(c, t, a, difference)
		return true, r.keep(ctx, c, t, r.reportDiffers(""))
	}
	if s.Node == "" && len(item.Remedies) == 0 {
		r.counts.without++
	}
	for _, remedy := range item.Remedies {
		if remedy.Kind == report.RemedyRaiseQuota { // No matter of the scheduler.
			continue
		}
		wrong, err := r.world.remedied(ctx, a.pod, remedy)
		if err != nil {
			return true, fmt.Errorf("remedy %q: %w", remedy.Description, err)
		}
		r.counts.remedies[remedy.Kind]++
		if wrong != "" {
			r.differ(c, t, a, fmt.Sprintf("remedy %s, %q (%s): %s\n%s", remedy.Kind, remedy.Description, text(remedy.Changes), wrong, s))
			return true, r.keep(ctx, c, t, r.reportDiffers(remedy.Kind))
		}
		if err := r.compareCommand(ctx, c, t, a, remedy); err != nil {
			return true, fmt.Errorf("command %q: %w", remedy.Command, err)
		}
	}
	return len(item.Remedies) > 0, nil
}

// reportDiffers compares a pod's report and remedies of a kind, for the shrinker.
func (r *runner) reportDiffers(kind report.RemedyKind) differs {
	return func(ctx context.Context, pod *corev1.Pod) (string, error) {
		return r.world.reportDiffers(ctx, r.config, pod, kind)
	}
}

// messageDiffers compares a pod's verdict and message, for the shrinker.
func (r *runner) messageDiffers(ctx context.Context, pod *corev1.Pod) (string, error) {
	return r.world.differs(ctx, r.config, pod)
}

// compareCommand runs the command of every so many remedies, and of the first of
// each kind.
func (r *runner) compareCommand(ctx context.Context, c *kase, t *trial, a answer, remedy report.Remedy) error {
	if !runnable(remedy) || (r.counts.commands[remedy.Kind] > 0 && r.counts.remedies[remedy.Kind]%commandEvery != 0) {
		return nil
	}
	wrong, err := r.world.commanded(ctx, t.pod, remedy)
	if err != nil {
		return err
	}
	r.counts.commands[remedy.Kind]++
	if wrong != "" {
		r.differ(c, t, a, fmt.Sprintf("remedy %s, command %q: %s", remedy.Kind, remedy.Command, wrong))
	}
	return nil
}

// text is the changes, one after another.
func text(changes []report.Change) string {
	var parts []string
	for _, change := range changes {
		parts = append(parts, fmt.Sprintf("%s %s %s %s", change.Op, change.Object, change.Path, change.Value))
	}
	return strings.Join(parts, "; ")
}

// compare tries a pod on the cluster as it is and says how the scheduler and the
// engine differ. The pod is gone afterwards.
func (w *world) compare(ctx context.Context, o oracle, pod *corev1.Pod) (answer, said, string, error) {
	// The engine is asked about the pod as generated first, to know whether to expect silence.
	expected, err := o.ask(ctx, pod)
	if err != nil {
		return answer{}, said{}, "", err
	}
	created, s, err := w.try(ctx, pod, expected.quiet())
	if created != nil {
		if err := w.retract(ctx, created); err != nil {
			return answer{}, said{}, "", err
		}
	}
	if err != nil {
		return answer{}, said{}, "", err
	}
	a, err := o.ask(ctx, created)
	if err != nil {
		return answer{}, said{}, "", err
	}
	return a, s, a.differs(s), nil
}

// afterwards undoes what scheduling the pod has done to the cluster.
func (w *world) afterwards(ctx context.Context, pod *corev1.Pod) error {
	if !usesClaims(pod) {
		return nil
	}
	return w.heal(ctx)
}

func (r *runner) count(t *trial, a answer, s said, snap *snapshot.Snapshot) {
	r.counts.pods++
	switch {
	case s.Node != "":
		r.counts.schedulable++
	case s.Silent || s.Reason == corev1.PodReasonSchedulingGated:
		r.counts.silent++
	default:
		r.counts.unschedulable++
	}
	r.coverage.count(t, a, snap)
}

// differ reports a difference.
func (r *runner) differ(c *kase, t *trial, a answer, difference string) {
	r.counts.differences++
	r.t.Errorf("%s: pod %s/%s (%s): %s\n%s", c.name, t.pod.Namespace, t.pod.Name, t, difference, a.nodeVerdicts())
}

// String names the traits.
func (t *trial) String() string {
	var names []string
	for _, trait := range t.traits {
		names = append(names, trait.name)
	}
	return fmt.Sprintf("%q", names)
}

// report prints the figures.
func (r *runner) report(w io.Writer) error {
	if err := r.coverage.write(w); err != nil {
		return err
	}
	c := r.counts
	fmt.Fprintf(w, "agree: seed %d, %s: %d pods on %d clusters: %d bound, %d unschedulable, %d gated or passed over\n",
		r.seed, time.Since(r.began).Round(time.Second), c.pods, c.clusters, c.schedulable, c.unschedulable, c.silent)
	fmt.Fprintf(w, "agree: %d agreed at the second try only; %d more pods were refused by the API server\n", c.late, c.refused)
	fmt.Fprintf(w, "agree: %d nodes' verdicts by cordoning the others\n", c.nodes)
	fmt.Fprintf(w, "agree: %s applied; %d pods had none\n", kinds("remedies", c.remedies), c.without)
	fmt.Fprintf(w, "agree: %s run; after %d of them the scheduler bound only a fresh copy of the pod\n", kinds("commands", c.commands), r.world.slept)
	_, err := fmt.Fprintf(w, "agree: %d differences\n", c.differences)
	return err
}

// kinds is "12 remedies (AddToleration 3, ...)".
func kinds(what string, byKind map[report.RemedyKind]int) string {
	total, parts := 0, []string(nil)
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		total += byKind[kind]
		parts = append(parts, fmt.Sprintf("%s %d", kind, byKind[kind]))
	}
	return fmt.Sprintf("%d %s (%s)", total, what, strings.Join(parts, ", "))
}
