package quota

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// groupResource is the groups' plural with its API group.
const groupResource = quota.GroupResource

// groupSingular is how kubectl names one group's resource.
const groupSingular = "bizgroupresourcequota." + stowagev1alpha1.GroupName

// sourceFlags choose the snapshot, and what counts as a workload.
type sourceFlags struct {
	cli.SourceFlags
	workloadKinds string
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

// world is a cluster's groups and what charges them.
type world struct {
	snap  *snapshot.Snapshot
	kinds *workload.Kinds
	tree  *quota.Tree
	index *quota.Index
	// notes say what the answer stands on, for stderr.
	notes []string
}

// load reads the cluster or the dump: the groups, the workloads, and these further
// resources ("events").
func (f *sourceFlags) load(ctx context.Context, env cli.Env, resources ...string) (*world, error) {
	kinds, err := f.kinds()
	if err != nil {
		return nil, err
	}
	f.Kinds = append(resources, stowagev1alpha1.BizGroupResourceQuotaResource)
	f.Extra = nil
	for _, kind := range kinds.All() {
		if _, ok := known(kind); ok {
			f.Kinds = append(f.Kinds, kind.Resource)
		} else {
			f.Extra = append(f.Extra, snapshot.Labelled(kind.GroupVersionKind(), kind.Resource))
		}
	}
	return f.fetch(ctx, env, kinds)
}

// loadGroups reads the groups alone.
func (f *sourceFlags) loadGroups(ctx context.Context, env cli.Env) (*world, error) {
	f.Kinds = []string{stowagev1alpha1.BizGroupResourceQuotaResource}
	return f.fetch(ctx, env, workload.Default())
}

func (f *sourceFlags) fetch(ctx context.Context, env cli.Env, kinds *workload.Kinds) (*world, error) {
	progress := env.Progress()
	snap, err := f.LoadAny(ctx, env, progress)
	progress.Clear()
	if err != nil {
		return nil, err
	}
	for _, missing := range snap.Missing {
		if missing.Resource == groupResource && missing.Reason != cli.NotServed {
			return nil, fmt.Errorf("%s cannot be listed (%s): nothing can be said without them; ask for the right to list them", groupResource, missing.Reason)
		}
	}
	return newWorld(snap, kinds), nil
}

// known finds the snapshot's row of a workload kind.
func known(kind *workload.Kind) (snapshot.Kind, bool) {
	kinds := snapshot.Kinds()
	i := slices.IndexFunc(kinds, func(k snapshot.Kind) bool { return k.GroupKind() == kind.GroupKind() })
	if i < 0 {
		return snapshot.Kind{}, false
	}
	return kinds[i], true
}

func newWorld(snap *snapshot.Snapshot, kinds *workload.Kinds) *world {
	w := &world{snap: snap, kinds: kinds, tree: quota.NewTree(snap.BizGroupResourceQuotas), index: quota.NewIndex(kinds)}
	for _, missing := range snap.Missing {
		if missing.Reason != cli.NotServed {
			w.note("%s could not be listed (%s): %s", missing.Resource, missing.Reason, unknownWithout(missing.Resource))
		}
	}
	for _, node := range snap.Nodes {
		w.index.PutNode(node)
	}
	for _, kind := range makersFirst(kinds) {
		for _, object := range objects(snap, kind) {
			w.put(kind, object)
		}
	}
	return w
}

// unknownWithout says what cannot be known without a resource.
func unknownWithout(resource string) string {
	switch resource {
	case "nodes":
		return "what DaemonSets charge is unknown"
	case "namespaces":
		return "which namespaces require a group is unknown"
	case "resourcequotas":
		return "what namespaces may use is unknown"
	case "events":
		return "what was said of groups is unknown"
	case "pods":
		return "what bare pods charge, and how long hours last, is unknown"
	}
	return "what they charge is unknown"
}

// knowsPods says whether the pods were seen, those of a dump that holds none of
// them being unknown.
func (w *world) knowsPods() bool {
	forbidden := slices.ContainsFunc(w.snap.Missing, func(m snapshot.Missing) bool { return m.Resource == "pods" })
	return !forbidden && (len(w.snap.Pods) > 0 || w.snap.ServerVersion != "")
}

func (w *world) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// now is the instant that the world shows.
func (w *world) now() time.Time { return w.snap.Now().Time }

// objects are the snapshot's of a workload kind.
func objects(snap *snapshot.Snapshot, kind *workload.Kind) []snapshot.Object {
	if k, ok := known(kind); ok {
		return k.Objects(snap)
	}
	return snapshot.Labelled(kind.GroupVersionKind(), kind.Resource).Objects(snap)
}

// makersFirst are the kinds with those last that make nothing: of their objects,
// which are most, only those that no workload made need to be read whole.
func makersFirst(kinds *workload.Kinds) []*workload.Kind {
	all := kinds.All()
	slices.SortStableFunc(all, func(a, b *workload.Kind) int { return cmp.Compare(made(a), made(b)) })
	return all
}

func made(kind *workload.Kind) int {
	if len(kind.Makes) == 0 {
		return 1
	}
	return 0
}

// put indexes an object: by its metadata alone when it has no group, or is part of
// a workload that is charged for it.
func (w *world) put(kind *workload.Kind, object snapshot.Object) {
	found := kind.Meta(object)
	if charger, _ := w.index.Charger(found); charger == nil && found.Group != "" {
		read, err := kind.Read(object)
		if err != nil {
			w.note("%s %s/%s is not counted: %v", kind.Singular(), found.Namespace, found.Name, err)
			return
		}
		found = read
	}
	found.UID = uidOf(found)
	w.index.Put(found)
}

// uidOf is the workload's UID, or one of its own where it was written by hand.
func uidOf(w *workload.Workload) types.UID {
	if w.UID != "" {
		return w.UID
	}
	return types.UID("unnamed/" + w.Kind.Singular() + "/" + w.Namespace + "/" + w.Name)
}

// group finds a group by its name.
func (w *world) group(name string) (*quota.Group, error) {
	if group := w.tree.Group(name); group != nil {
		return group, nil
	}
	if len(w.snap.BizGroupResourceQuotas) == 0 {
		return nil, fmt.Errorf("%s %q not found: %s has no business groups", groupResource, name, w.snap.Source)
	}
	return nil, fmt.Errorf("%s %q not found%s", groupResource, name, nearest.DidYouMean(name, w.tree.Names()))
}

// runs are the pods on nodes that charge groups, by group; nil where pods are unknown.
func (w *world) runs() map[string][]quota.Run {
	if !w.knowsPods() {
		return nil
	}
	runs := map[string][]quota.Run{}
	for _, pod := range w.snap.Pods {
		if pod.Spec.NodeName == "" || snapshot.Finished(pod) {
			continue
		}
		self := w.index.Get(pod.UID)
		if self == nil {
			continue
		}
		if charger, _ := w.index.Charger(self); charger != nil {
			runs[charger.Group] = append(runs[charger.Group], quota.Run{Charge: quota.PodCharge(pod, charger.Models)})
		}
	}
	return runs
}
