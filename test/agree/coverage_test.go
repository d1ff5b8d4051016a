package agree

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// coverage counts, for each thing that can be refused, the pods for which it was.
type coverage map[string]int

// clusterReasons are the refusals that come from the cluster and not from a
// trait of the pod, by the scheduler's text.
var clusterReasons = map[string]string{
	"pod count":                          "Too many pods",
	"cordon":                             "node(s) were unschedulable",
	"existing pod's anti-affinity":       "node(s) didn't satisfy existing pods anti-affinity rules",
	"missing topology label of a spread": "node(s) didn't match pod topology spread constraints (missing required label)",
	"volume limit reached":               "node(s) exceed max volume count",
}

// taintEffects are counted by the nodes' taints: all nodes' refusals read alike.
var taintEffects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}

// newCoverage has an entry of zero for everything that must be covered.
func newCoverage() coverage {
	c := coverage{}
	for name := range clusterReasons {
		c[name] = 0
	}
	for _, t := range traits {
		if t.plugin != "" {
			c[t.name] = 0
		}
	}
	for _, effect := range taintEffects {
		c["taint "+string(effect)] = 0
	}
	for _, name := range []string{preempts, preemptsNot, preemptsNever, leftOut, nominatedRoom, severalFailures, fitsSomewhere} {
		c[name] = 0
	}
	return c
}

const (
	preempts        = "preemption helps"
	preemptsNot     = "preemption does not help"
	preemptsNever   = "preemptionPolicy Never"
	leftOut         = "nodes left out by a PreFilter"
	nominatedRoom   = "room of a nominated pod"
	severalFailures = "several failures on one node"
	fitsSomewhere   = "pod that fits on some nodes and not on others"
)

// count adds one compared pod. A trait counts where its plugin refused the pod
// and the pod has no other trait of that plugin.
func (c coverage) count(t *trial, a answer, snap *snapshot.Snapshot) {
	failed, reasons := failures(a.verdict)
	perPlugin := map[string]int{}
	for _, trait := range t.traits {
		perPlugin[trait.plugin]++
	}
	for _, trait := range t.traits {
		if trait.plugin != "" && failed[trait.plugin] && perPlugin[trait.plugin] == 1 {
			c[trait.name]++
		}
	}
	for name, text := range clusterReasons {
		if slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, text) }) {
			c[name]++
		}
	}
	c.countTaints(a.verdict, snap)
	c.countPreemption(a)
	if strings.Contains(a.messages[0], "node(s) didn't satisfy plugin") {
		c[leftOut]++
	}
	several, fits := false, 0
	for i := range a.verdict.Nodes {
		several = several || len(a.verdict.Failures[i]) > 1
		if a.verdict.Fits(i) {
			fits++
		}
	}
	if several {
		c[severalFailures]++
	}
	if fits > 0 && fits < len(a.verdict.Nodes) {
		c[fitsSomewhere]++
	}
	if slices.ContainsFunc(snap.Pods, func(p *corev1.Pod) bool { return p.Status.NominatedNodeName != "" }) && !a.verdict.Schedulable() {
		c[nominatedRoom]++
	}
}

// failures are the plugins and the reasons of a verdict.
func failures(v *predicate.Verdict) (plugins map[string]bool, reasons []string) {
	plugins = map[string]bool{}
	for _, list := range append(slices.Clone(v.Failures), v.Rejections, v.Gates) {
		for _, f := range list {
			plugins[f.Plugin] = true
			reasons = append(reasons, f.Status.Reasons()...)
		}
	}
	return plugins, reasons
}

func (c coverage) countTaints(v *predicate.Verdict, snap *snapshot.Snapshot) {
	seen := map[corev1.TaintEffect]bool{}
	for i, name := range v.Nodes {
		refused := slices.ContainsFunc(v.Failures[i], func(f predicate.Failure) bool { return f.Plugin == predicate.TaintToleration })
		node := snap.Node(name)
		if !refused || node == nil {
			continue
		}
		for _, taint := range node.Spec.Taints {
			seen[taint.Effect] = true
		}
	}
	for _, effect := range taintEffects {
		if seen[effect] {
			c["taint "+string(effect)]++
		}
	}
}

func (c coverage) countPreemption(a answer) {
	text := a.messages[0]
	switch {
	case strings.Contains(text, "found a potential placement"):
		c[preempts]++
	case strings.Contains(text, "not eligible due to preemptionPolicy=Never"):
		c[preemptsNever]++
	case strings.Contains(text, "preemption:"):
		c[preemptsNot]++
	}
}

// missing names what was never covered.
func (c coverage) missing() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// write prints the table.
func (c coverage) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REFUSED FOR\tPODS")
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(table, "%s\t%d\n", name, c[name])
	}
	return table.Flush()
}
