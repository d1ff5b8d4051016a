package quota

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// groupResource is the groups' plural with its API group.
const groupResource = quota.GroupResource

// groupSingular is how kubectl names one group's resource.
const groupSingular = quota.GroupSingular

// sourceFlags choose the snapshot, and what counts as a workload.
type sourceFlags struct {
	cli.SourceFlags
	workloadKinds string
	// named are the groups that are asked for: who may not list groups may be allowed to
	// get these.
	named []string
}

// AddFlags binds --snapshot, --chunk-size and --workload-kinds.
func (f *sourceFlags) AddFlags(cmd *cobra.Command) {
	f.SourceFlags.AddFlags(cmd)
	cmd.Flags().StringVar(&f.workloadKinds, "workload-kinds", f.workloadKinds, "File that declares further kinds of workloads, as the in-cluster component's configuration does.")
	cobra.CheckErr(cmd.MarkFlagFilename("workload-kinds", "yaml", "yml", "json"))
}

// kinds are the kinds of workloads.
func (f *sourceFlags) kinds() (*workload.Kinds, error) {
	kinds, err := workload.ReadFile(f.workloadKinds)
	if err != nil {
		return nil, fmt.Errorf("--workload-kinds: %w", err)
	}
	return kinds, nil
}

// load reads the cluster or the dump: the groups, the workloads, and these further
// resources ("events"). What could not be seen is told on stderr.
func (f *sourceFlags) load(ctx context.Context, env cli.Env, resources ...string) (*state.State, error) {
	kinds, err := f.choose(resources)
	if err != nil {
		return nil, err
	}
	groups, err := f.fetch(ctx, env, kinds)
	if err != nil {
		return nil, err
	}
	cli.Warn(env.ErrOut, notes(groups))
	return groups, nil
}

// watch reads the cluster as load does and watches it: next returns it as it is and,
// at each later call, when groups have changed.
func (f *sourceFlags) watch(ctx context.Context, env cli.Env, resources ...string) (next func(context.Context) (*state.State, error), err error) {
	kinds, err := f.choose(resources)
	if err != nil {
		return nil, err
	}
	changes, err := f.Watch(ctx, env, stowagev1alpha1.BizGroupResourceQuotaResource)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*state.State, error) {
		snap, err := changes.Next(ctx)
		if err != nil {
			return nil, err
		}
		groups, err := read(snap, kinds)
		if err != nil {
			return nil, err
		}
		cli.Warn(env.ErrOut, notes(groups))
		return groups, nil
	}, nil
}

// choose chooses what is loaded: the groups, the workloads, and these further
// resources. It returns the kinds of workloads.
func (f *sourceFlags) choose(resources []string) (*workload.Kinds, error) {
	kinds, err := f.kinds()
	if err != nil {
		return nil, err
	}
	known, further := state.Resources(kinds)
	f.Kinds, f.Extra = append(resources, known...), further
	return kinds, nil
}

// loadGroups reads the groups alone.
func (f *sourceFlags) loadGroups(ctx context.Context, env cli.Env) (*state.State, error) {
	f.Kinds = []string{stowagev1alpha1.BizGroupResourceQuotaResource}
	return f.fetch(ctx, env, workload.Default())
}

func (f *sourceFlags) fetch(ctx context.Context, env cli.Env, kinds *workload.Kinds) (*state.State, error) {
	progress := env.Progress()
	snap, err := f.LoadAny(ctx, env, progress)
	progress.Clear()
	if err != nil {
		return nil, err
	}
	if len(f.named) > 0 && !f.Offline() && forbidsGroups(snap) {
		if err := getGroups(ctx, env, snap, f.named); err != nil {
			return nil, err
		}
	}
	return read(snap, kinds)
}

// read reads a snapshot, unless nobody may see the groups of its cluster.
func read(snap *snapshot.Snapshot, kinds *workload.Kinds) (*state.State, error) {
	for _, missing := range snap.Unknown() {
		if missing.Resource == groupResource && len(snap.BizGroupResourceQuotas) == 0 {
			return nil, unlisted{missing}
		}
	}
	return state.New(snap, kinds), nil
}

// unlisted is the error that the groups may not be seen.
type unlisted struct{ missing snapshot.Missing }

// Error implements error.
func (u unlisted) Error() string {
	return fmt.Sprintf("%s cannot be listed (%s): nothing can be said without them; ask for the right to list them, or to get the one that you name", groupResource, u.missing.Why())
}

// notes say what could not be listed or read, and what is unknown for it.
func notes(groups *state.State) []string {
	var notes []string
	for _, missing := range groups.Snapshot.Unknown() {
		notes = append(notes, missing.Note(snapshot.Charges))
	}
	for _, unread := range groups.Unread {
		w := unread.Workload
		notes = append(notes, fmt.Sprintf("%s %s/%s is not counted: %v", w.Kind.Singular(), w.Namespace, w.Name, unread.Err))
	}
	return slices.Concat(notes, groups.Strangers(), groups.Broken())
}

// uncounted warns of groups whose status is not of their spec.
func uncounted(groups *state.State) []string {
	uncounted := groups.Uncounted()
	if len(uncounted) == 0 {
		return nil
	}
	const most = 3
	var names []string
	for _, group := range uncounted {
		names = append(names, group.Name)
	}
	return []string{fmt.Sprintf("%s: not counted yet, so what is used may be more than is shown; is the in-cluster component running? (kubectl quota status, for who may see it)", quota.Few(names, most))}
}
