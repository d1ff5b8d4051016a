package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// run lets the waves happen, and returns their nodes.
func (p *Planner) run(ctx context.Context, nodes []*tainted) (waves [][]*tainted, err error) {
	// What fits anyway, the scheduler is about to place.
	if err := p.place(ctx, point{}, p.waiting, nil); err != nil {
		return nil, err
	}
	switch {
	case p.opts.Split != nil:
		waves, err = split(nodes, p.opts.Split)
	case p.opts.AutoWaves:
		return p.auto(ctx, nodes)
	case p.opts.Waves > 0:
		waves = evenly(nodes, p.opts.Waves)
	default:
		return [][]*tainted{nodes}, p.wave(ctx, 1, nodes)
	}
	if err != nil {
		return nil, err
	}
	p.count()
	for i, wave := range waves {
		start := p.here()
		if err := p.wave(ctx, i+1, wave); err != nil {
			return nil, err
		}
		if err := p.conclude(ctx, start, i+1); err != nil {
			return nil, err
		}
	}
	return waves, nil
}

// evenly splits the nodes, in their order, into at most so many waves.
func evenly(nodes []*tainted, number int) (waves [][]*tainted) {
	number = min(number, len(nodes))
	for i := range number {
		waves = append(waves, nodes[i*len(nodes)/number:(i+1)*len(nodes)/number])
	}
	return waves
}

// split puts the nodes into the waves that name them. Other names are those of nodes
// whose taints do not change. The error names a node that is in no wave.
func split(nodes []*tainted, names [][]string) (waves [][]*tainted, err error) {
	byName := map[string]*tainted{}
	for _, node := range nodes {
		byName[node.before.Name] = node
	}
	for _, wave := range names {
		var found []*tainted
		for _, name := range wave {
			if node := byName[name]; node != nil {
				found = append(found, node)
				delete(byName, name)
			}
		}
		if len(found) > 0 {
			waves = append(waves, found)
		}
	}
	for _, node := range nodes {
		if byName[node.before.Name] != nil {
			return nil, fmt.Errorf("node %s is in no wave: the waves must name every node that changes", node.before.Name)
		}
	}
	return waves, nil
}

// auto makes the waves: each takes, of the nodes that are left, in their order, all
// with which it is sound. When a wave would take none, the rest is the last one.
func (p *Planner) auto(ctx context.Context, nodes []*tainted) (waves [][]*tainted, err error) {
	p.count()
	for len(nodes) > 0 {
		number := len(waves) + 1
		wave, err := p.gather(ctx, number, nodes)
		if err != nil {
			return nil, err
		}
		start := p.here()
		if len(wave) == 0 {
			wave, err = nodes, p.wave(ctx, number, nodes)
		} else {
			wave, err = p.shrink(ctx, number, wave)
		}
		if err != nil {
			return nil, err
		}
		if err := p.conclude(ctx, start, number); err != nil {
			return nil, err
		}
		waves = append(waves, wave)
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(node *tainted) bool { return slices.Contains(wave, node) })
	}
	return waves, nil
}

// gather picks nodes for a wave, by adding one after another. Budgets, which are
// cheap to ask, come first.
func (p *Planner) gather(ctx context.Context, number int, nodes []*tainted) (wave []*tainted, err error) {
	start := p.here()
	p.trying = true
	defer func() {
		p.backTo(start)
		p.trying = false
	}()
	for _, node := range nodes {
		if len(p.budgets.sound(slices.Concat(p.moves[start.moves:], p.leaving(number, node)))) > 0 {
			continue
		}
		before := p.here()
		if err := p.wave(ctx, number, []*tainted{node}); err != nil {
			return nil, err
		}
		if p.sound(start) {
			wave = append(wave, node)
		} else {
			p.backTo(before)
		}
	}
	return wave, nil
}

// shrink lets a wave happen at once, and with half of its nodes as long as it is then
// not sound, as the order of its evictions is another than that of its gathering. One
// node is sound if it was so alone.
func (p *Planner) shrink(ctx context.Context, number int, wave []*tainted) ([]*tainted, error) {
	start := p.here()
	for {
		if err := p.wave(ctx, number, wave); err != nil {
			return nil, err
		}
		if len(wave) == 1 || p.sound(start) {
			return wave, nil
		}
		p.backTo(start)
		wave = wave[:(len(wave)+1)/2]
	}
}

// count begins to count the budgets, from what was before the change.
func (p *Planner) count() {
	p.budgets = newBudgets(p.snap, p.owners)
	p.advance(waypoint{})
}

// advance makes the state at the end of what has happened since start the one to count
// from: its ready pods are those that budgets have, here and for preemption.
func (p *Planner) advance(start waypoint) {
	came := p.arrivals[start.arrivals:]
	p.budgets.advance(p.moves[start.moves:], came)
	for _, a := range came {
		if p.budgets.healthy[a.pod.UID] {
			p.sim.Ready(a.pod)
		}
	}
}

// sound says whether a wave that has happened since is: all that it displaces have
// homes, nothing that it preempts is lost, and no budget breaks. What is lost on its own
// nodes is so in whatever wave.
func (p *Planner) sound(start waypoint) bool {
	moves := p.moves[start.moves:]
	avoidable := func(m *move) bool { return m.fate().Homeless() || m.by != nil && m.fate() == report.FateLost }
	return !slices.ContainsFunc(moves, avoidable) && len(p.budgets.sound(moves)) == 0
}

// conclude takes down what a wave that has happened since is short of, and makes its
// end what the next one counts from.
func (p *Planner) conclude(ctx context.Context, start waypoint, number int) error {
	moves := p.moves[start.moves:]
	if err := p.reasons(ctx, moves); err != nil {
		return err
	}
	p.lack(number, moves)
	for _, broken := range p.budgets.sound(moves) {
		p.short = append(p.short, report.WaveShortage{Wave: int32(number), Reason: broken})
	}
	p.advance(start)
	return nil
}

// lack takes down which pods have no home, by the reason. Which node it is for which a
// pod is preempted is not known.
func (p *Planner) lack(number int, moves []*move) {
	pods, nodes := map[string][]string{}, map[string][]string{}
	for _, m := range moves {
		if reason := shortOf(m); reason != "" {
			pods[reason] = append(pods[reason], m.pod.Namespace+"/"+m.pod.Name)
			node := m.pod.Spec.NodeName
			if m.by != nil {
				node = ""
			}
			nodes[reason] = append(nodes[reason], node)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(pods)) {
		shortage := report.WaveShortage{Wave: int32(number), Reason: some(pods[reason]) + reason}
		if names := slices.Compact(slices.Sorted(slices.Values(nodes[reason]))); len(names) == 1 {
			shortage.Node = names[0]
		}
		p.short = append(p.short, shortage)
	}
}

// shortOf says what a pod that has left its node is short of; empty for nothing.
func shortOf(m *move) string {
	switch m.fate() {
	case report.FateLost:
		if m.marked(report.MarkJobFails) {
			return " would fail its Job, which bears no more failures"
		}
		return " would be lost: nothing replaces what has no controller"
	case report.FatePending:
		reason, _, _ := strings.Cut(m.reason, ". ") // without what preemption adds
		return " would have no node: " + reason
	case report.FateReturns:
		return " may come back to a node that evicts it again"
	}
	return ""
}

// maxNamed is how many pods a shortage names.
const maxNamed = 3

// some names the first few pods, and counts the others.
func some(pods []string) string {
	text := "pod " + strings.Join(pods[:min(len(pods), maxNamed)], ", ")
	if more := len(pods) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
