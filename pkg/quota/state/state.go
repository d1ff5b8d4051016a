package state

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// State is a cluster's groups and what charges them. The objects in it are shared
// with the snapshot and must not be changed (DeepCopy first). Not safe for
// concurrent use.
type State struct {
	Snapshot *snapshot.Snapshot
	// Kinds are the kinds of workloads that were looked for.
	Kinds *workload.Kinds
	// Groups is the tree, Workloads the index of what charges it.
	Groups    *quota.Tree
	Workloads *quota.Index
	// Unread are the workloads that are tied to a group and not counted.
	Unread []Unread
	// Now is the instant that the snapshot shows.
	Now time.Time

	runs      func() map[string][]quota.Run
	versions  func() map[types.UID]string
	uncharged func() map[string][]report.QuotaUncharged
}

// Unread is a workload that cannot be read.
type Unread struct {
	// Workload is what its metadata says.
	Workload *workload.Workload
	// Err says what is wrong with it, without naming it.
	Err error
}

// New returns the state that a snapshot shows of workloads of these kinds.
func New(snap *snapshot.Snapshot, kinds *workload.Kinds) *State {
	s := &State{
		Snapshot:  snap,
		Kinds:     kinds,
		Groups:    quota.NewTree(snap.BizGroupResourceQuotas),
		Workloads: quota.NewIndex(kinds),
		Now:       snap.Now().Time,
	}
	s.runs, s.versions, s.uncharged = sync.OnceValue(s.findRuns), sync.OnceValue(s.findVersions), sync.OnceValue(s.findUncharged)
	for _, node := range snap.Nodes {
		s.Workloads.PutNode(node)
	}
	for _, limits := range snap.LimitRanges {
		s.Workloads.PutLimitRange(limits)
	}
	for _, class := range snap.RuntimeClasses {
		s.Workloads.PutRuntimeClass(class)
	}
	for _, kind := range makersFirst(kinds) {
		for _, object := range s.Objects(kind) {
			s.put(kind, object)
		}
	}
	return s
}

// Resources are what New reads of a cluster: the plurals of kinds that every
// snapshot knows, and the kinds that it must be told of. Nodes are not among them:
// they matter to workloads with a pod on each.
func Resources(kinds *workload.Kinds) (known []string, further []snapshot.Kind) {
	known = []string{stowagev1alpha1.BizGroupResourceQuotaResource, "limitranges", "runtimeclasses"}
	for _, kind := range kinds.All() {
		if row := rowOf(kind); row.Label == "" {
			known = append(known, row.Resource)
		} else {
			further = append(further, row)
		}
	}
	return known, further
}

// rowOf is what a snapshot holds of a workload kind.
func rowOf(kind *workload.Kind) snapshot.Kind {
	return snapshot.Workload(kind.GroupVersionKind(), kind.Resource, kind.AllVersions()[1:]...)
}

// Objects are the snapshot's objects of a workload kind.
func (s *State) Objects(kind *workload.Kind) []snapshot.Object {
	return rowOf(kind).Objects(s.Snapshot)
}

// makersFirst are the kinds with those last that make nothing: of their objects,
// which are most, only those that no workload made need to be read whole.
func makersFirst(kinds *workload.Kinds) []*workload.Kind {
	all := kinds.All()
	slices.SortStableFunc(all, func(a, b *workload.Kind) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

func rank(kind *workload.Kind) int {
	if len(kind.Makes) == 0 {
		return 1
	}
	return 0
}

// put indexes an object, by its metadata alone where that is enough, or all that can be
// read of what a workload is charged for.
func (s *State) put(kind *workload.Kind, object snapshot.Object) {
	found := kind.Meta(object)
	if quota.Whole(found) {
		read, err := kind.Read(object)
		charger, _ := s.Workloads.Charger(found)
		switch {
		case err == nil:
			found = read
		case charger == nil && found.Group != "":
			s.Unread = append(s.Unread, Unread{Workload: found, Err: err})
			return
		}
	}
	found.UID = uidOf(found)
	s.Workloads.Put(found)
}

// uidOf is the workload's UID, or one of its own where it was written by hand.
func uidOf(w *workload.Workload) types.UID {
	if w.UID != "" {
		return w.UID
	}
	return types.UID("unnamed/" + w.Kind.Singular() + "/" + w.Namespace + "/" + w.Name)
}

// Group finds a group by its name. The error names the nearest one.
func (s *State) Group(name string) (*quota.Group, error) {
	if group := s.Groups.Group(name); group != nil {
		return group, nil
	}
	if len(s.Snapshot.BizGroupResourceQuotas) == 0 {
		return nil, fmt.Errorf("%s %q not found: %s has no business groups", quota.GroupResource, name, s.Snapshot.Source)
	}
	return nil, fmt.Errorf("%s %q not found%s", quota.GroupResource, name, nearest.DidYouMean(name, s.Groups.Names()))
}

// named are the group of that name alone, or all groups by name where it is empty.
func (s *State) named(name string) ([]*quota.Group, error) {
	if name == "" {
		return s.Snapshot.BizGroupResourceQuotas, nil
	}
	group, err := s.Group(name)
	if err != nil {
		return nil, err
	}
	return []*quota.Group{group}, nil
}

// Uncounted are the groups, by name, whose status does not count their spec: they
// may use more than it says.
func (s *State) Uncounted() []*quota.Group {
	var groups []*quota.Group
	for _, group := range s.Snapshot.BizGroupResourceQuotas {
		if !quota.Counted(group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// KnowsPods says whether the pods were seen. Those of a dump that holds none of
// them, and does not say that it was taken of a whole cluster, were not.
func (s *State) KnowsPods() bool {
	unlisted := slices.ContainsFunc(s.Snapshot.Missing, func(m snapshot.Missing) bool { return m.Resource == "pods" })
	return !unlisted && (len(s.Snapshot.Pods) > 0 || s.Snapshot.ServerVersion != "")
}

// findRuns are the pods on nodes that charge groups, by group; nil where pods are
// unknown.
func (s *State) findRuns() map[string][]quota.Run {
	if !s.KnowsPods() {
		return nil
	}
	runs := map[string][]quota.Run{}
	for _, pod := range s.Snapshot.Pods {
		if pod.Spec.NodeName == "" || snapshot.Finished(pod) {
			continue
		}
		self := s.Workloads.Get(pod.UID)
		if self == nil {
			continue
		}
		if charger, _ := s.Workloads.Charger(self); charger != nil {
			runs[charger.Group] = append(runs[charger.Group], quota.Run{Charge: s.Workloads.PodCharge(pod.UID, charger)})
		}
	}
	return runs
}

// findVersions are the resource versions of what charges groups, by UID.
func (s *State) findVersions() map[types.UID]string {
	versions := map[types.UID]string{}
	for _, group := range s.Snapshot.BizGroupResourceQuotas {
		versions[group.UID] = group.ResourceVersion
	}
	for _, kind := range s.Kinds.All() {
		for _, object := range s.Objects(kind) {
			versions[object.GetUID()] = object.GetResourceVersion()
		}
	}
	return versions
}
