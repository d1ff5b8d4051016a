package quota

import (
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// View is what this process has seen of the cluster. It is safe for concurrent use.
type View struct {
	clock clock.PassiveClock
	log   logr.Logger

	mu       sync.Mutex
	index    *quota.Index
	names    names // of what is in the index
	tree     *quota.Tree
	groups   map[types.UID]string // the groups' names
	runs     *runs
	progress map[string]*progress    // by resource
	departed map[types.UID]time.Time // groups, and objects with one, that are gone, and since when
	unserved map[string]time.Time    // when a declared kind was last found not to be served, by resource
	changed  func(groups sets.Set[string])
}

// progress is how far one kind was seen.
type progress struct {
	// version is how far: nothing before it is missing. latest is the newest version
	// that something seen had.
	version, latest string
	// head is the version that was the newest when watching began: what comes up to
	// it has happened before.
	head string
	// listed says that the first list is in, at the wall clock's time of the last news.
	listed bool
	news   time.Time
	uids   sets.Set[types.UID]
}

// newView returns an empty view; clock times the pods.
func newView(kinds *workload.Kinds, clock clock.PassiveClock, log logr.Logger) *View {
	return &View{
		clock:    clock,
		log:      log,
		index:    quota.NewIndex(kinds),
		names:    names{},
		tree:     quota.NewTree(nil),
		groups:   map[types.UID]string{},
		runs:     newRuns(),
		progress: map[string]*progress{},
		departed: map[types.UID]time.Time{},
		unserved: map[string]time.Time{},
		changed:  func(sets.Set[string]) {},
	}
}

// begin registers a kind before its reflector starts: Synced waits for it.
func (v *View) begin(resource, head string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress[resource] = &progress{head: head, uids: sets.New[types.UID]()}
}

// absent registers that a declared kind is not served.
func (v *View) absent(resource string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.unserved[resource].IsZero() {
		v.log.Info("A declared workload kind is not served, and not enforced until it is", "resource", resource)
	}
	v.unserved[resource] = v.clock.Now()
}

// knows says whether the kind is watched.
func (v *View) knows(resource string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.progress[resource] != nil
}

// drop forgets a kind that the API server no longer serves, and its objects.
func (v *View) drop(s *store) {
	s.update(func(p *progress, t *touched) {
		for uid := range p.uids {
			s.remove(uid, nil, true, t)
		}
		delete(v.progress, s.resource)
		v.unserved[s.resource] = v.clock.Now()
	})
}

// Synced says whether every kind has been listed and what happened before the view
// began to watch has arrived.
func (v *View) Synced() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.progress {
		if !p.listed || !p.caughtUp() {
			return false
		}
	}
	return len(v.progress) > 0
}

// quiet is how long nothing must come for the past to be over, where the newest
// version was not one of this kind. The API server sends a watch its past at once.
const quiet = 2 * time.Second

func (p *progress) caughtUp() bool {
	return !quota.Newer(p.head, p.version) || time.Since(p.news) > quiet
}

// touched collects the groups to be counted anew.
type touched struct{ groups sets.Set[string] }

func (t *touched) add(groups ...string) {
	for _, group := range groups {
		if group != "" {
			t.groups.Insert(group)
		}
	}
}

// update runs do with the view locked, then tells of the groups it touched.
func (v *View) update(do func(*touched)) {
	t := &touched{groups: sets.New[string]()}
	v.mu.Lock()
	do(t)
	changed := v.changed
	v.mu.Unlock()
	if t.groups.Len() > 0 {
		changed(t.groups)
	}
}

// OnChange sets who is told of the groups that may have to be counted anew, and
// tells of all of them once.
func (v *View) OnChange(changed func(groups sets.Set[string])) {
	v.mu.Lock()
	v.changed = changed
	all := sets.New(v.tree.Names()...)
	v.mu.Unlock()
	changed(all)
}

// putWorkload takes in one object of a workload kind.
func (v *View) putWorkload(obj runtime.Object, w *workload.Workload, live bool, t *touched) {
	v.touch(w.UID, t)
	old := v.index.Put(w)
	v.names.put(w)
	v.touch(w.UID, t)
	if pod, ok := obj.(*corev1.Pod); ok {
		v.runs.observe(pod, live, v.clock.Now())
	}
	v.assign(w)
	if old == nil || old.Group != w.Group || old.Models != w.Models || !old.SameOwner(w) {
		v.assignMade(w.UID, t, 0)
	}
}

// touch touches the group that an object names, and the one that is charged for it.
func (v *View) touch(uid types.UID, t *touched) {
	w := v.index.Get(uid)
	if w == nil {
		return
	}
	t.add(w.Group)
	if charger, _ := v.index.Charger(w); charger != nil {
		t.add(charger.Group)
	}
}

// removeWorkload takes in one object's deletion; obj is nil when it was not seen.
func (v *View) removeWorkload(uid types.UID, obj runtime.Object, live bool, t *touched) {
	v.touch(uid, t)
	old := v.index.Remove(uid)
	if old == nil {
		return
	}
	v.names.remove(old)
	if old.Group != "" {
		v.departed[uid] = v.clock.Now()
	}
	v.assignMade(uid, t, 0)
	if !old.Kind.IsPod() {
		return
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}}
	}
	v.runs.end(pod, live, v.clock.Now())
	if r := v.runs.byPod[uid]; r != nil {
		t.add(r.group)
	}
}

// assign says who pays for the run of a pod: the group of the workload that it is
// charged as. While some maker of it is not there, who paid before goes on.
func (v *View) assign(w *workload.Workload) {
	r := v.runs.byPod[w.UID]
	if r == nil {
		return
	}
	charger, broken := v.index.Charger(w)
	switch {
	case charger != nil:
		v.runs.assign(w.UID, charger.Group, v.index.PodCharge(w.UID, charger), v.clock.Now())
	case !broken || r.group == "":
		v.runs.assign(w.UID, "", r.Charge, v.clock.Now())
	}
}

// assignMade does so for the pods that an object made, itself or through others,
// and touches the groups of all objects between: they may be counted now, or not.
func (v *View) assignMade(uid types.UID, t *touched, depth int) {
	const deepest = 8
	if depth == deepest {
		return
	}
	for _, made := range v.index.Made(uid) {
		t.add(made.Group)
		v.assign(made)
		v.assignMade(made.UID, t, depth+1)
	}
}

// putGroup takes in one group.
func (v *View) putGroup(group *quota.Group, t *touched) {
	v.tree.Put(group)
	v.groups[group.UID] = group.Name
	t.add(group.Name, group.Spec.ParentBizGroup)
	if last := group.Status.LastReconcileTime; last != nil {
		v.runs.forget(group.Name, last.Time)
	}
}

func (v *View) removeGroup(uid types.UID, t *touched) {
	group := v.tree.Group(v.groups[uid])
	delete(v.groups, uid)
	v.departed[uid] = v.clock.Now()
	if group != nil && group.UID == uid {
		v.tree.Remove(group.Name)
		t.add(group.Name, group.Spec.ParentBizGroup)
	}
}

// sweep forgets what is long gone: objects whose reservations have ended, and ended
// pods that no group pays for, whose owners have had time to be seen.
func (v *View) sweep() {
	const patience = 10 * time.Minute
	v.mu.Lock()
	defer v.mu.Unlock()
	for uid, since := range v.departed {
		if v.clock.Since(since) > patience {
			delete(v.departed, uid)
		}
	}
	for uid, r := range v.runs.byPod {
		if r.ended() && v.tree.Group(r.group) == nil && v.clock.Since(r.To) > patience {
			v.runs.drop(uid)
		}
	}
}

// Lookup returns the object of that UID as far as quota is concerned, or nil. One
// without a group has no pod sets. It must not be changed.
func (v *View) Lookup(uid types.UID) *workload.Workload {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.Get(uid)
}

// Living returns what stands of what the object of that UID has made.
func (v *View) Living(uid types.UID) []quota.Part {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.Living(uid)
}

// Defaults are what the API server adds to the pods of the namespace's templates.
func (v *View) Defaults(namespace string) workload.Defaults {
	v.mu.Lock()
	defer v.mu.Unlock()
	defaults := v.index.Defaults(namespace)
	defaults.Classes = maps.Clone(defaults.Classes) // the index goes on
	return defaults
}

// Users returns the workloads that use some of the group's key, the largest first.
func (v *View) Users(group *quota.Group, key corev1.ResourceName) []quota.User {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.Users(group, key)
}

// Nodes returns the nodes, by name. They must not be changed.
func (v *View) Nodes() []*corev1.Node {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.Nodes()
}

// group returns the group of that name as seen last, or nil. It must not be changed.
func (v *View) group(name string) *quota.Group {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tree.Group(name)
}

// Count returns group's status as of now: hours charged, workloads counted, ended
// reservations gone. gone holds the reservations that the API server says led to
// nothing. When the ledger already counts more of some kind than was seen here,
// behind names it, and there is nothing to write yet.
func (v *View) Count(group *quota.Group, gone map[types.UID]bool) (counted *quota.Group, drifts []quota.Drift, behind string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock.Now()
	seen := v.seen(group, gone)
	if behind := seen.Behind(group); behind != "" {
		return nil, nil, behind
	}
	counted = group.DeepCopy()
	quota.Accrue(counted, v.runs.of(group.Name), now)
	counted.Status = quota.Settle(counted, seen, metav1.NewTime(now))
	return counted, quota.Drifts(group, seen), ""
}

func (v *View) seen(group *quota.Group, gone map[types.UID]bool) quota.Seen {
	versions, latest := make(map[string]string, len(v.progress)), make(map[string]string, len(v.progress))
	for resource, p := range v.progress {
		versions[resource] = p.version
		if p.latest != "" {
			latest[resource] = p.latest
		}
	}
	return quota.Seen{
		Self:      v.index.SelfUsed(group),
		Workloads: v.index.Len(group),
		Children:  v.tree.ChildrenHard(group.Name),
		Versions:  versions,
		Latest:    latest,
		Version:   v.version,
		Departed:  func(uid types.UID) bool { return !v.departed[uid].IsZero() },
		Unserved: func(resource string) bool {
			found, declared := v.unserved[resource]
			last := group.Status.LastReconcileTime
			return !declared || last == nil || found.After(last.Time)
		},
		Gone: gone,
	}
}

// version is the version at which an object was seen last; "" when it is not there.
func (v *View) version(uid types.UID) string {
	if w := v.index.Get(uid); w != nil {
		return w.ResourceVersion
	}
	if group := v.tree.Group(v.groups[uid]); group != nil {
		return group.ResourceVersion
	}
	return ""
}

// sees says whether an object was seen, and not seen to go.
func (v *View) sees(uid types.UID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version(uid) != ""
}

// pace is what the group's pods use an hour now.
func (v *View) pace(group string) corev1.ResourceList {
	v.mu.Lock()
	defer v.mu.Unlock()
	return quota.Pace(v.runs.of(group))
}
