package taintplan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/print"
)

// open reads a saved plan; "-" is stdin.
func (o *Options) open(path string, read func(name string, rd io.Reader) (*report.TaintPlan, error)) (*report.TaintPlan, error) {
	if path == "-" {
		return read("stdin", o.In)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(path, file)
}

// applySaved carries out a plan, unless the cluster has drifted from what it saw.
func (o *Options) applySaved(ctx context.Context) error {
	p, err := o.open(o.Apply, saved.Read)
	if err != nil {
		return err
	}
	snap, err := o.load(ctx)
	if err != nil {
		return err
	}
	if err := saved.Check(p, snap.Cluster(), snap.ServerVersion); err != nil {
		return fmt.Errorf("%s: %w", o.Apply, err)
	}
	observer := o.observer()
	err = apply.Compare(ctx, p, snap, o.applying(observer))
	observer.progress.Clear()
	drifted, refused := errors.AsType[*apply.DriftError](err)
	switch {
	case refused:
		p.Drift = drifted.Drift
	case err != nil:
		return err
	}
	if err := o.show(p); err != nil {
		return err
	}
	if refused {
		return fmt.Errorf("%s: %w; make the plan again", o.Apply, drifted)
	}
	return o.carryOut(ctx, p)
}

// applying says how a plan is applied, or undone.
func (o *Options) applying(observer apply.Observer) apply.Options {
	return apply.Options{
		DryRun: o.dryRun == cmdutil.DryRunServer, Timeout: o.Timeout, Plan: o.plan, Load: o.load, File: o.file(), Observer: observer,
	}
}

// carryOut taints wave by wave what was shown, after asking.
func (o *Options) carryOut(ctx context.Context, p *report.TaintPlan) error {
	switch {
	case len(p.Nodes) == 0:
		return nil
	case o.dryRun == cmdutil.DryRunClient:
		return o.pretend(p, "tainted")
	}
	client, err := o.client()
	if err == nil {
		err = o.ask(fmt.Sprintf("Change the taints of %s in %s?", print.Count(len(p.Nodes), "node"), print.Count(len(p.Waves), "wave")))
	}
	if err != nil {
		return errors.Join(err, o.discard())
	}
	observer := o.observer()
	err = apply.Run(ctx, client, p, o.applying(observer))
	observer.progress.Clear()
	if drifted, ok := errors.AsType[*apply.DriftError](err); ok && o.Output.Human() {
		o.human().drift(drifted.Drift)
	}
	return o.interrupted(ctx, err)
}

// undo undoes a saved plan, after asking.
func (o *Options) undo(ctx context.Context) error {
	p, err := o.open(o.Rollback, saved.ReadToUndo)
	if err != nil {
		return err
	}
	if o.dryRun == cmdutil.DryRunClient {
		return o.pretend(p, "restored")
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	system, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil && !apierrors.IsForbidden(err) { // what may not be seen is not compared
		return err
	}
	if err := saved.Check(p, system.UID, ""); err != nil {
		return fmt.Errorf("%s: %w", o.Rollback, err)
	}
	if o.asks() {
		if err := o.showRollback(ctx, client, p); err != nil {
			return err
		}
	}
	if err := o.ask(fmt.Sprintf("Undo %s on %s?", changeText(p.Change), print.Count(len(p.Nodes), "node"))); err != nil {
		return err
	}
	return o.interrupted(ctx, apply.Rollback(ctx, client, p, o.applying(o.observer())))
}

// file is where the plan is that is applied or rolled back; empty when stdin was.
func (o *Options) file() string {
	if path := cmp.Or(o.saved(), o.Save); path != "-" {
		return path
	}
	return ""
}

// pretend says what would be done, in kubectl's words of a client's dry run.
func (o *Options) pretend(p *report.TaintPlan, done string) error {
	for _, node := range p.Nodes {
		fmt.Fprintf(o.steps(), "node/%s %s (dry run)\n", print.Escape(node.Name), done)
	}
	return nil
}

// showRollback shows what undoing a plan would do to each node, as the API server says
// in a dry run.
func (o *Options) showRollback(ctx context.Context, client kubernetes.Interface, p *report.TaintPlan) error {
	steps := rehearsal{}
	if err := apply.Rollback(ctx, client, p, apply.Options{DryRun: true, Observer: steps}); err != nil {
		return o.interrupted(ctx, err)
	}
	h := o.human()
	h.Writer = o.steps()
	h.rollback(p.Nodes, steps)
	return h.err
}

// rehearsal keeps the steps, by their objects.
type rehearsal map[string]apply.Step

// Step keeps a step.
func (r rehearsal) Step(step apply.Step) { r[step.Object] = step }

// Planning keeps nothing.
func (rehearsal) Planning(_, _ int) {}

// asks says whether there is a question: not when nothing will be changed or --yes was
// given.
func (o *Options) asks() bool { return o.dryRun == cmdutil.DryRunNone && !o.Yes }

// ask asks the question, if there is one.
func (o *Options) ask(question string) error {
	if !o.asks() {
		return nil
	}
	return o.Confirm(question)
}

// client is a client without a rate limit: apply bounds what it does at a time.
func (o *Options) client() (kubernetes.Interface, error) {
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

// observer writes what is done, line by line: the objects beside the plan, what is
// waited for on stderr, each time that it is something else.
type observer struct {
	steps, notes io.Writer
	progress     *print.Progress
	waiting      string
}

func (o *Options) observer() *observer {
	return &observer{steps: o.steps(), notes: o.ErrOut, progress: o.Progress()}
}

// Step writes a step.
func (o *observer) Step(step apply.Step) {
	o.progress.Clear()
	if step.Done != "" {
		fmt.Fprintf(o.steps, "%s %s\n", print.Escape(step.Object), print.Escape(step.Done))
	}
	if now := strings.Join(cut(step.Waiting, 3), "; "); now != o.waiting {
		o.waiting = now
		if now != "" {
			fmt.Fprintf(o.notes, "wave %d waits: %s\n", step.Wave, print.Escape(now))
		}
	}
}

// Planning draws how far the planning is.
func (o *observer) Planning(done, total int) { o.progress.Update("Planning again", done, total) }

// steps is where the objects that are done are named: stdout, unless a machine
// reads a report there.
func (o *Options) steps() io.Writer {
	if o.Output.Human() {
		return o.Out
	}
	return o.ErrOut
}

// interrupted writes what an interrupted command has done: of such an error the exit
// code alone would be left.
func (o *Options) interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		fmt.Fprintln(o.ErrOut, "interrupted:", print.Escape(err.Error()))
	}
	return err
}

// cut shortens a list to n texts and the number of the others.
func cut(texts []string, n int) []string {
	if len(texts) <= n {
		return texts
	}
	return append(texts[:n:n], fmt.Sprintf("and %d more", len(texts)-n))
}
