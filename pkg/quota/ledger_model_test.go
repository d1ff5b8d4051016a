package quota_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// The ledger's protocol is checked as a model: an API server, webhook processes and
// controllers of a few lines each that take every decision by this package, in any
// order of events that a cluster may see. It has what makes the protocol hard:
//
//   - a request's object is read, admitted and written at three times, and
//     compare-and-swap is all that ties them; requests fail in between, come again
//     after a conflict, and take up to their reservation's expiry;
//   - a webhook process judges by its own old copy of a group, and by the live one
//     only before it refuses;
//   - each controller has seen each kind up to a version of its own, starts anew from
//     an old list, and may take any time between reading a group and writing it, so
//     that all of them together are a leader and its deposed predecessors;
//   - several creations of one name are under way at once, and one comes true after
//     another was deleted; a group comes to have a key, or loses it.

const (
	cpu   = corev1.ResourceName("limits.cpu")
	cpuA4 = corev1.ResourceName("limits.cpu.A4")
	// ttl is how long a request may be under way.
	ttl = time.Minute
)

var modelKeys = []corev1.ResourceName{cpu, cpuA4}

// amounts are cores by key.
type amounts map[corev1.ResourceName]int64

func (a amounts) list() corev1.ResourceList {
	list := corev1.ResourceList{}
	for key, n := range a {
		list[key] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	return list
}

func amountsOf(list corev1.ResourceList) amounts {
	a := amounts{}
	for _, key := range modelKeys {
		quantity := list[key]
		a[key] = quantity.Value()
	}
	return a
}

// add adds n times b.
func (a amounts) add(b amounts, n int64) {
	for key := range b {
		a[key] += n * b[key]
	}
}

// raise is the larger of both, by key.
func (a amounts) raise(b amounts) {
	for key := range b {
		a[key] = max(a[key], b[key])
	}
}

// chargeOf is what a workload of this model's charges: a core a replica.
func chargeOf(w *workload.Workload) amounts {
	a := amounts{}
	if w == nil {
		return a
	}
	a[cpu] = w.PodSets[0].Replicas
	if w.Models.CPU == "A4" {
		a[cpuA4] = a[cpu]
	}
	return a
}

// growthOf is by how much b is more than a.
func growthOf(a, b amounts) amounts {
	grown := amounts{}
	for key := range b {
		grown[key] = max(0, b[key]-a[key])
	}
	return grown
}

// mutation breaks one rule of the protocol, to show that the model would notice.
type mutation struct {
	ignoreBehind, endAtSight, endAtExpiry, versionsTogether, blindCount, blindReserve, noReservation, trustUncounted bool
	lastAskedEndsAll, countNewKeys                                                                                   bool
}

// event is one change of one object, which is nil after its deletion.
type event struct {
	version  int64
	uid      types.UID
	workload *workload.Workload
	group    *quota.Group
}

// world is a cluster and its quota components.
type world struct {
	broken      mutation
	kinds       *workload.Kinds
	now         time.Time
	version     int64
	uids        int
	workloads   map[types.UID]*workload.Workload
	groups      map[string]*quota.Group
	log         map[string][]event // by resource
	requests    []*request
	webhooks    []*webhookProcess
	controllers []*controllerProcess
	potential   map[string]amounts // by group, before this step
	history     []string
	fault       string
}

// request is one request under way. read makes its change to the object as it is
// now; false when that is gone. check judges it, write persists it; false on a conflict.
type request struct {
	what      string
	uid       types.UID
	object    stowagev1alpha1.ObjectReference
	base      string
	payer     string
	growth    amounts
	read      func() bool
	check     func(*quota.Tree) (*report.QuotaCheck, corev1.ResourceList)
	write     func() bool
	admitted  bool
	expiry    time.Time // zero where there is no reservation
	withdrawn bool
}

// webhookProcess holds the groups as one process last saw them.
type webhookProcess struct {
	groups *quota.Tree
	at     int
}

// controllerProcess holds what one process has seen, each kind up to a position of its own.
type controllerProcess struct {
	index    *quota.Index
	tree     *quota.Tree
	uids     map[types.UID]string // of groups: their names
	at       map[string]int
	versions map[string]string
	latest   map[string]string // as versions, but only of what was seen
	departed map[types.UID]bool
	reading  *quota.Group // read, and not yet written
	gone     map[types.UID]bool
}

var modelResources = []string{"deployments.apps", "statefulsets.apps", quota.GroupResource}

func newWorld(broken mutation, webhooks, controllers int, hard amounts) *world {
	w := &world{
		broken: broken, kinds: table, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		version:   95, // versions are compared as numbers: "99" < "100"
		workloads: map[types.UID]*workload.Workload{}, groups: map[string]*quota.Group{}, log: map[string][]event{}, potential: map[string]amounts{},
	}
	root := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: "root", UID: w.newUID(), Generation: 1}}
	root.Spec.Hard = hard.list()
	w.putGroup(root)
	for range webhooks {
		w.webhooks = append(w.webhooks, &webhookProcess{groups: quota.NewTree(nil)})
	}
	for range controllers {
		c := &controllerProcess{}
		w.controllers = append(w.controllers, c)
		w.restart(c, func(string) int { return 0 })
	}
	w.seeAll(w.controllers[0])
	w.readGroup(w.controllers[0], root)
	w.count(w.controllers[0])
	return w
}

func (w *world) newUID() types.UID {
	w.uids++
	return types.UID("uid-" + strconv.Itoa(w.uids))
}

func (w *world) nextVersion() string {
	w.version++
	return strconv.FormatInt(w.version, 10)
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

// The API server.

func (w *world) putWorkload(object *workload.Workload) {
	object.ResourceVersion = w.nextVersion()
	w.workloads[object.UID] = object
	w.append(object.Kind.GroupResource().String(), event{uid: object.UID, workload: object})
}

func (w *world) deleteWorkload(uid types.UID) {
	object := w.workloads[uid]
	delete(w.workloads, uid)
	w.nextVersion()
	w.append(object.Kind.GroupResource().String(), event{uid: uid})
}

func (w *world) putGroup(group *quota.Group) {
	group.ResourceVersion = w.nextVersion()
	w.groups[group.Name] = group
	w.append(quota.GroupResource, event{uid: group.UID, group: group})
}

func (w *world) deleteGroup(name string) {
	uid := w.groups[name].UID
	delete(w.groups, name)
	delete(w.potential, name)
	w.nextVersion()
	w.append(quota.GroupResource, event{uid: uid})
}

func (w *world) append(resource string, e event) {
	e.version = w.version
	w.log[resource] = append(w.log[resource], e)
}

// updateStatus writes a group's status by compare-and-swap; blind leaves that out.
func (w *world) updateStatus(group *quota.Group, blind bool) bool {
	live := w.groups[group.Name]
	if live == nil || live.UID != group.UID || live.ResourceVersion != group.ResourceVersion && !blind {
		return false
	}
	updated := live.DeepCopy()
	updated.Status = *group.Status.DeepCopy()
	w.putGroup(updated)
	group.ResourceVersion = updated.ResourceVersion
	return true
}

// The requests.

func (w *world) send(r *request) {
	if r.read() {
		r.uid, r.admitted, r.expiry = w.newUID(), false, time.Time{}
		return
	}
	r.withdrawn = true
}

func (w *world) start(r *request) {
	w.note("request %s", r.what)
	w.send(r)
	w.requests = append(w.requests, r)
}

// changeWorkload is a request that makes another workload of the current one, which
// is nil for a creation.
func (w *world) changeWorkload(what string, uid types.UID, change func(*workload.Workload) *workload.Workload) *request {
	r := &request{what: what}
	var before, after *workload.Workload
	r.read = func() bool {
		before = w.workloads[uid]
		if after = change(before); after == nil {
			return false
		}
		r.object, r.base, r.payer, r.growth = after.Reference(), "", after.Group, chargeOf(after)
		if before != nil {
			r.base = before.ResourceVersion
			if before.Group == after.Group {
				r.growth = growthOf(chargeOf(before), chargeOf(after))
			}
		}
		return true
	}
	r.check = func(tree *quota.Tree) (*report.QuotaCheck, corev1.ResourceList) {
		c := quota.Change{Old: before, New: after}
		check := tree.CheckWorkload(c)
		if payer := tree.Group(after.Group); payer != nil {
			return check, c.Growth(payer)
		}
		return check, nil
	}
	r.write = func() bool {
		if w.workloads[uid] != before {
			return false
		}
		if before == nil && w.named(r.object) != nil {
			w.note("exists: %s", r.what)
			return true
		}
		written := *after
		w.putWorkload(&written)
		return true
	}
	return r
}

// named is the workload that is there under an object's name; nil for none.
func (w *world) named(object stowagev1alpha1.ObjectReference) *workload.Workload {
	for _, other := range w.workloads {
		if named := other.Reference(); named.Resource == object.Resource && named.Name == object.Name {
			return other
		}
	}
	return nil
}

func (w *world) createWorkload(resource, name, group, model string, replicas int64) {
	uid := w.newUID()
	w.start(w.changeWorkload(fmt.Sprintf("create %s/%s of %d %s in %s", resource, name, replicas, model, group), uid, func(old *workload.Workload) *workload.Workload {
		if old != nil {
			return nil
		}
		return &workload.Workload{
			Kind: w.kinds.ForResource(schema.ParseGroupResource(resource)), Namespace: "default", Name: name, UID: uid,
			Group: group, Models: workload.Models{CPU: model}, PodSets: []workload.PodSet{{Replicas: replicas, Template: oneCore()}},
		}
	}))
}

func (w *world) editWorkload(what string, uid types.UID, edit func(*workload.Workload)) {
	w.start(w.changeWorkload(fmt.Sprintf("%s %s", what, uid), uid, func(old *workload.Workload) *workload.Workload {
		if old == nil {
			return nil
		}
		changed := *old
		changed.PodSets = slices.Clone(old.PodSets)
		edit(&changed)
		return &changed
	}))
}

// changeGroup is a request that makes another spec of the current one, which is nil
// for a creation.
func (w *world) changeGroup(what, name string, change func(*quota.Group) *quota.Group) *request {
	r := &request{what: what}
	var before, after *quota.Group
	r.read = func() bool {
		before = w.groups[name]
		if after = change(before.DeepCopy()); after == nil {
			return false
		}
		r.object, r.base, r.payer, r.growth = quota.ReferenceTo(after), "", after.Spec.ParentBizGroup, amountsOf(after.Spec.Hard)
		if before != nil {
			r.base = before.ResourceVersion
			r.growth = growthOf(amountsOf(before.Spec.Hard), amountsOf(after.Spec.Hard))
		}
		return true
	}
	r.check = func(tree *quota.Tree) (*report.QuotaCheck, corev1.ResourceList) {
		if before == nil {
			return tree.CheckCreate(after), quota.GroupGrowth(nil, after)
		}
		return tree.CheckUpdate(before, after), quota.GroupGrowth(before, after)
	}
	r.write = func() bool {
		if w.groups[name] != before {
			return false
		}
		written := after.DeepCopy()
		written.Generation++
		w.putGroup(written)
		return true
	}
	return r
}

func (w *world) createGroup(parent string, hard amounts) {
	uid := w.newUID()
	name := "group-" + strings.TrimPrefix(string(uid), "uid-")
	w.start(w.changeGroup(fmt.Sprintf("create %s of %v in %s", name, hard, parent), name, func(old *quota.Group) *quota.Group {
		if old != nil {
			return nil
		}
		group := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
		group.Spec = stowagev1alpha1.BizGroupResourceQuotaSpec{ParentBizGroup: parent, Hard: hard.list()}
		return group
	}))
}

func (w *world) setHard(name string, hard amounts) {
	w.start(w.changeGroup(fmt.Sprintf("set %s to %v", name, hard), name, func(old *quota.Group) *quota.Group {
		if old != nil {
			old.Spec.Hard = hard.list()
		}
		return old
	}))
}

// removeGroup is a request that deletes a group: judged by its live state, and
// written whenever.
func (w *world) removeGroup(name string) {
	r := &request{what: "delete " + name}
	var group *quota.Group
	r.read = func() bool {
		group = w.groups[name]
		return group != nil
	}
	r.check = func(tree *quota.Tree) (*report.QuotaCheck, corev1.ResourceList) {
		tree.Put(group)
		return tree.CheckDelete(group), nil
	}
	r.write = func() bool {
		if live := w.groups[name]; live != nil && live.UID == group.UID {
			w.deleteGroup(name)
		}
		return true
	}
	w.start(r)
}

// persist writes an admitted request, or sends it anew when its object has changed.
func (w *world) persist(r *request) {
	switch late := !r.expiry.IsZero() && !w.now.Before(r.expiry); {
	case late:
		w.note("too late: %s", r.what)
		r.withdrawn = true
	case r.write():
		w.note("written %d: %s", w.version, r.what)
		r.withdrawn = true
	default:
		w.note("conflict: %s", r.what)
		w.send(r)
	}
}

// The webhook processes.

// admit judges a request by the process's copy of the payer and, before a refusal or
// after a conflict, by the live one. lost says that the answer does not arrive.
func (w *world) admit(p *webhookProcess, r *request, lost bool) {
	for _, live := range []bool{false, true} {
		payer := p.groups.Group(r.payer)
		if live {
			payer = w.groups[r.payer].DeepCopy()
		}
		if r.payer != "" && !w.broken.trustUncounted {
			if counted := payer != nil && quota.Counted(payer); !counted && (!live || payer != nil) {
				continue // to be asked again where live
			}
		}
		besides := payer
		if payer != nil {
			besides = quota.Besides(payer, r.object, r.base)
		}
		check, growth := r.check(p.around(r.payer, besides))
		switch {
		case !check.Allowed && live:
			w.note("refused: %s: %s", r.what, quota.Text(check))
			r.withdrawn = true
			return
		case !check.Allowed:
			continue
		case payer == nil || len(growth) == 0:
			w.note("allowed as it is: %s", r.what)
			r.admitted = true
			return
		case w.reserve(p, payer.DeepCopy(), r, growth):
			w.note("reserved at %d by %s (live %t, lost %t): %s", w.version, r.uid, live, lost, r.what)
			r.admitted = !lost
			return
		}
	}
}

// reserve writes the request's reservation into the ledger.
func (w *world) reserve(p *webhookProcess, payer *quota.Group, r *request, growth corev1.ResourceList) bool {
	quota.Reserve(payer, stowagev1alpha1.Reservation{
		UID: r.uid, Object: r.object, BaseResourceVersion: r.base, Amounts: growth, Expiry: metav1.NewMicroTime(w.now.Add(ttl)),
	})
	if last := len(payer.Status.Reservations) - 1; w.broken.lastAskedEndsAll {
		payer.Status.Reservations[last].Object.UID = r.object.UID
	}
	if w.broken.noReservation {
		payer.Status = p.groups.Group(payer.Name).DeepCopy().Status
	}
	if !w.updateStatus(payer, w.broken.blindReserve) {
		return false
	}
	r.expiry = w.now.Add(ttl)
	for _, standing := range payer.Status.Reservations {
		if standing.UID == r.uid {
			r.expiry = standing.Expiry.Time // written by an attempt whose answer was lost
		}
	}
	p.groups.Put(payer)
	return true
}

// around is the process's tree with a state of the payer; nil where there is none.
func (p *webhookProcess) around(name string, payer *quota.Group) *quota.Tree {
	tree := quota.NewTree(nil)
	for _, other := range p.groups.Names() {
		tree.Put(p.groups.Group(other))
	}
	if tree.Remove(name); payer != nil {
		tree.Put(payer)
	}
	return tree
}

// see lets the process see n more changes of groups.
func (w *world) see(p *webhookProcess, n int) {
	for _, e := range w.log[quota.GroupResource][p.at:min(p.at+n, len(w.log[quota.GroupResource]))] {
		p.at++
		if e.group != nil {
			p.groups.Put(e.group)
			continue
		}
		for _, name := range p.groups.Names() {
			if p.groups.Group(name).UID == e.uid {
				p.groups.Remove(name)
			}
		}
	}
}

// The controllers.

// restart begins a process's view anew with a list of each kind at a version of its own.
func (w *world) restart(c *controllerProcess, list func(resource string) int) {
	*c = controllerProcess{
		index: quota.NewIndex(w.kinds), tree: quota.NewTree(nil), uids: map[types.UID]string{}, at: map[string]int{}, versions: map[string]string{}, latest: map[string]string{},
		departed: map[types.UID]bool{},
	}
	for _, resource := range modelResources {
		c.versions[resource] = ""
		w.deliver(c, resource, list(resource))
		w.relisted(c, resource, "")
	}
}

// relisted is what a controller knows when it has listed a kind, in place of what came
// since the newest version it had seen: what is there, but of deletions nothing.
func (w *world) relisted(c *controllerProcess, resource, before string) {
	there := map[types.UID]int64{}
	for _, e := range w.log[resource][:c.at[resource]] {
		if there[e.uid] = e.version; e.workload == nil && e.group == nil {
			delete(there, e.uid)
		}
	}
	c.latest[resource] = before
	for _, version := range there {
		c.saw(resource, version)
	}
}

func (c *controllerProcess) saw(resource string, version int64) {
	if latest, _ := strconv.ParseInt(c.latest[resource], 10, 64); version > latest {
		c.latest[resource] = strconv.FormatInt(version, 10)
	}
}

// deliver lets a controller see n more changes of one kind and, where there are none
// left, that there are none.
func (w *world) deliver(c *controllerProcess, resource string, n int) {
	log := w.log[resource]
	for _, e := range log[c.at[resource]:min(c.at[resource]+n, len(log))] {
		c.at[resource]++
		c.versions[resource] = strconv.FormatInt(e.version, 10)
		c.saw(resource, e.version)
		switch {
		case e.workload != nil:
			c.index.Put(e.workload)
		case e.group != nil:
			c.tree.Put(e.group)
			c.uids[e.uid] = e.group.Name
		case resource == quota.GroupResource:
			c.tree.Remove(c.uids[e.uid])
			delete(c.uids, e.uid)
		default:
			c.index.Remove(e.uid)
			c.departed[e.uid] = true
		}
	}
	if n > 0 && c.at[resource] == len(log) {
		c.versions[resource] = strconv.FormatInt(w.version, 10) // a bookmark
	}
}

func (w *world) seeAll(c *controllerProcess) {
	for _, resource := range modelResources {
		w.deliver(c, resource, 1<<30)
	}
}

// seen is what a controller counts by.
func (w *world) seen(c *controllerProcess, group *quota.Group, gone map[types.UID]bool) quota.Seen {
	seen := quota.Seen{
		Self: c.index.SelfUsed(group), Children: c.tree.ChildrenHard(group.Name), Versions: maps.Clone(c.versions), Gone: gone,
		Latest:   maps.Clone(c.latest),
		Departed: func(uid types.UID) bool { return c.departed[uid] },
		Version:  c.version,
	}
	if w.broken.endAtSight {
		version := seen.Version
		seen.Version = func(uid types.UID) string {
			if version(uid) == "" {
				return ""
			}
			return strconv.FormatInt(w.version, 10)
		}
	}
	if w.broken.versionsTogether {
		latest := slices.MaxFunc(slices.Collect(maps.Values(c.versions)), func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		})
		for resource := range seen.Versions {
			seen.Versions[resource], seen.Latest[resource] = latest, latest
		}
	}
	return seen
}

// readGroup reads a group live, and whether its expired reservations led to anything.
func (w *world) readGroup(c *controllerProcess, group *quota.Group) {
	c.reading, c.gone = group.DeepCopy(), map[types.UID]bool{}
	for _, reservation := range group.Status.Reservations {
		if !w.now.Before(reservation.Expiry.Time) {
			c.gone[reservation.UID] = w.broken.endAtExpiry || w.ledToNothing(c, reservation)
		}
	}
}

func (w *world) ledToNothing(c *controllerProcess, reservation stowagev1alpha1.Reservation) bool {
	uid, version := types.UID(""), ""
	if reservation.Object.Resource == quota.GroupResource {
		if group := w.groups[reservation.Object.Name]; group != nil {
			uid, version = group.UID, group.ResourceVersion
		}
	} else if object := w.named(reservation.Object); object != nil {
		uid, version = object.UID, object.ResourceVersion
	}
	switch reservation.Object.UID {
	case uid:
		return version == reservation.BaseResourceVersion
	case "":
		return version == "" || c.version(uid) != ""
	}
	return true
}

// version is that at which a controller has seen an object; "" when it is not there.
func (c *controllerProcess) version(uid types.UID) string {
	if object := c.index.Get(uid); object != nil {
		return object.ResourceVersion
	}
	if group := c.tree.Group(c.uids[uid]); group != nil {
		return group.ResourceVersion
	}
	return ""
}

// count counts the group that was read by what has been seen by now, and writes it.
// It says whether enough had been seen.
func (w *world) count(c *controllerProcess) bool {
	group := c.reading
	c.reading = nil
	if group == nil {
		return true
	}
	seen := w.seen(c, group, c.gone)
	if behind := seen.Behind(group); behind != "" && !w.broken.ignoreBehind {
		w.note("behind in %s: not counted: %s", behind, group.Name)
		return false
	}
	counted := group.DeepCopy()
	quota.Accrue(counted, nil, w.now)
	counted.Status = quota.Settle(counted, seen, metav1.NewTime(w.now))
	if w.broken.countNewKeys {
		counted.Status.ObservedGeneration, counted.Status.Hard = counted.Generation, counted.Spec.Hard
	}
	if !w.updateStatus(counted, w.broken.blindCount) {
		w.note("conflict: count of %s", group.Name)
		return true
	}
	w.note("counted at %d: %s: used %v, %d reservations", w.version, group.Name, amountsOf(counted.Status.Used), len(counted.Status.Reservations))
	return true
}

// The invariants.

// persisted is what a group's workloads and children are.
func (w *world) persisted(name string) amounts {
	sum := amounts{cpu: 0, cpuA4: 0}
	for _, object := range w.workloads {
		if object.Group == name {
			sum.add(chargeOf(object), 1)
		}
	}
	for _, group := range w.groups {
		if group.Spec.ParentBizGroup == name {
			sum.add(amountsOf(group.Spec.Hard), 1)
		}
	}
	return sum
}

// underWay is by how much admitted requests may still make a group grow: of those
// that change one version of one object, or create one of one name, one can be written
// at a time. A creation can once what has the name is gone.
func (w *world) underWay(name string) amounts {
	byObject := map[stowagev1alpha1.ObjectReference]amounts{}
	for _, r := range w.requests {
		if !r.admitted || r.withdrawn || r.payer != name || !w.canBeWritten(r) {
			continue
		}
		object, growth := r.object, r.growth
		if r.base == "" {
			object.UID = ""
			if there := w.named(object); there != nil && there.Group == name {
				growth = growthOf(chargeOf(there), growth)
			}
		}
		if byObject[object] == nil {
			byObject[object] = amounts{}
		}
		byObject[object].raise(growth)
	}
	sum := amounts{cpu: 0, cpuA4: 0}
	for _, growth := range byObject {
		sum.add(growth, 1)
	}
	return sum
}

func (w *world) canBeWritten(r *request) bool {
	if !r.expiry.IsZero() && !w.now.Before(r.expiry) {
		return false
	}
	version := ""
	if group := w.groups[r.object.Name]; r.object.Resource == quota.GroupResource && group != nil {
		version = group.ResourceVersion
	} else if object := w.workloads[r.object.UID]; object != nil {
		version = object.ResourceVersion
	}
	return version == r.base
}

// check compares every ledger with what is there. What is there and admitted is
// never more than used, and never grows above hard: where hard was lowered below
// it, it does not grow at all.
func (w *world) check() {
	for name, group := range w.groups {
		used, hard := amountsOf(group.Status.Used), amountsOf(group.Spec.Hard)
		persisted, potential := w.persisted(name), w.underWay(name)
		potential.add(persisted, 1)
		for _, key := range modelKeys {
			before, known := w.potential[name][key]
			if _, limited := group.Spec.Hard[key]; !limited {
				continue
			}
			if potential[key] > max(hard[key], before) && (known || potential[key] > 0) {
				w.fail("group %s: %s: grew to %d (%d persisted), above hard %d", name, key, potential[key], persisted[key], hard[key])
			}
			if _, counted := group.Status.Hard[key]; counted && potential[key] > used[key] {
				w.fail("group %s: %s: %d are there or admitted (%d persisted), used says %d", name, key, potential[key], persisted[key], used[key])
			}
		}
		w.potential[name] = potential
	}
}

// settleAll lets everything arrive and every reservation expire, and expects
// every ledger to be what is there.
func (w *world) settleAll() {
	w.requests = nil
	w.now = w.now.Add(2 * ttl)
	for _, c := range w.controllers {
		for _, name := range slices.Sorted(maps.Keys(w.groups)) {
			w.seeAll(c)
			w.readGroup(c, w.groups[name])
			if !w.count(c) {
				w.fail("group %s: a controller that has seen everything is behind", name)
			}
		}
	}
	for name, group := range w.groups {
		used, persisted := amountsOf(group.Status.Used), w.persisted(name)
		for _, key := range modelKeys {
			if _, limited := group.Spec.Hard[key]; limited && used[key] != persisted[key] {
				w.fail("group %s: %s: in the end used says %d, %d are there", name, key, used[key], persisted[key])
			}
		}
		if n := len(group.Status.Reservations); n > 0 {
			w.fail("group %s: in the end %d reservations are left: %+v", name, n, group.Status.Reservations)
		}
		c := w.controllers[0]
		w.seeAll(c)
		if drifts := quota.Drifts(group, w.seen(c, group, nil)); len(drifts) > 0 {
			w.fail("group %s: in the end drifts: %v", name, drifts)
		}
	}
}

// The runs.

// pick draws one of a map's keys, in order; false when there is none.
func pick[K cmp.Ordered, V any](t *rapid.T, label string, from map[K]V) (K, bool) {
	keys := slices.Sorted(maps.Keys(from))
	if len(keys) == 0 {
		var none K
		return none, false
	}
	return rapid.SampledFrom(keys).Draw(t, label), true
}

// some draws one of the requests that are admitted, or not.
func (w *world) some(t *rapid.T, admitted bool) *request {
	w.requests = slices.DeleteFunc(w.requests, func(r *request) bool { return r.withdrawn })
	var among []*request
	for _, r := range w.requests {
		if r.admitted == admitted {
			among = append(among, r)
		}
	}
	if len(among) == 0 {
		return nil
	}
	return among[rapid.IntRange(0, len(among)-1).Draw(t, "request")]
}

// drawRoot draws the root's hard at first.
func drawRoot(t *rapid.T) amounts {
	return rapid.SampledFrom([]amounts{{cpu: 12, cpuA4: 5}, {cpu: 12}}).Draw(t, "root")
}

// drawHard draws a hard of cores and, mostly, of such on A4.
func drawHard(t *rapid.T) amounts {
	hard := amounts{cpu: rapid.Int64Range(0, 8).Draw(t, "cpu")}
	if rapid.IntRange(0, 3).Draw(t, "limits A4") > 0 {
		hard[cpuA4] = rapid.Int64Range(0, 4).Draw(t, "A4")
	}
	return hard
}

const (
	mostWorkloads, mostGroups, mostRequests = 7, 4, 8
)

// actions are what may happen, each about as often; what cannot happen now does nothing.
func (w *world) actions() map[string]func(*rapid.T) {
	admit := func(t *rapid.T) {
		if r := w.some(t, false); r != nil {
			w.admit(rapid.SampledFrom(w.webhooks).Draw(t, "webhook"), r, rapid.IntRange(0, 7).Draw(t, "lost") == 7)
		}
	}
	persist := func(t *rapid.T) {
		if r := w.some(t, true); r != nil {
			w.persist(r)
		}
	}
	scale := func(t *rapid.T) {
		if uid, ok := pick(t, "object", w.workloads); ok && len(w.requests) < mostRequests {
			replicas := rapid.Int64Range(0, 6).Draw(t, "replicas")
			w.editWorkload(fmt.Sprintf("scale to %d", replicas), uid, func(changed *workload.Workload) { changed.PodSets[0].Replicas = replicas })
		}
	}
	count := func(t *rapid.T) {
		if name, ok := pick(t, "group", w.groups); ok {
			c := rapid.SampledFrom(w.controllers).Draw(t, "controller")
			w.readGroup(c, w.groups[name])
			w.count(c)
		}
	}
	deliver := func(t *rapid.T) {
		c := rapid.SampledFrom(w.controllers).Draw(t, "controller")
		w.deliver(c, rapid.SampledFrom(modelResources).Draw(t, "resource"), rapid.SampledFrom([]int{1, 2, 1000}).Draw(t, "changes"))
	}
	return map[string]func(*rapid.T){
		"admit": admit, "admit another": admit, "persist": persist, "persist another": persist,
		"count": count, "count again": count, "deliver": deliver, "deliver more": deliver, "scale": scale, "scale another": scale,
		"create": func(t *rapid.T) {
			if group, ok := pick(t, "group", w.groups); ok && len(w.workloads) < mostWorkloads && len(w.requests) < mostRequests {
				resource := rapid.SampledFrom(modelResources[:2]).Draw(t, "resource")
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "name")
				w.createWorkload(resource, name, group, rapid.SampledFrom([]string{"", "A4"}).Draw(t, "model"), rapid.Int64Range(1, 6).Draw(t, "replicas"))
			}
		},
		"move": func(t *rapid.T) {
			uid, ok := pick(t, "object", w.workloads)
			group, there := pick(t, "group", w.groups)
			if ok && there && len(w.requests) < mostRequests {
				w.editWorkload("move to "+group, uid, func(changed *workload.Workload) { changed.Group = group })
			}
		},
		"change model": func(t *rapid.T) {
			if uid, ok := pick(t, "object", w.workloads); ok && len(w.requests) < mostRequests {
				w.editWorkload("change model", uid, func(changed *workload.Workload) {
					changed.Models.CPU = rapid.SampledFrom([]string{"", "A4"}).Draw(t, "model")
				})
			}
		},
		"delete": func(t *rapid.T) {
			if uid, ok := pick(t, "object", w.workloads); ok {
				w.note("delete %s", uid)
				w.deleteWorkload(uid)
			}
		},
		"create group": func(t *rapid.T) {
			if parent, ok := pick(t, "parent", w.groups); ok && len(w.groups) < mostGroups && len(w.requests) < mostRequests {
				w.createGroup(parent, drawHard(t))
			}
		},
		"set hard": func(t *rapid.T) {
			if name, ok := pick(t, "group", w.groups); ok && len(w.requests) < mostRequests {
				w.setHard(name, drawHard(t))
			}
		},
		"delete group": func(t *rapid.T) {
			if name, ok := pick(t, "group", w.groups); ok && name != "root" && len(w.requests) < mostRequests {
				w.removeGroup(name)
			}
		},
		"fail": func(t *rapid.T) {
			if r := w.some(t, rapid.Bool().Draw(t, "admitted")); r != nil {
				w.note("failed: %s", r.what)
				r.withdrawn = true
			}
		},
		"webhook sees": func(t *rapid.T) {
			w.see(rapid.SampledFrom(w.webhooks).Draw(t, "webhook"), rapid.SampledFrom([]int{1, 2, 1000}).Draw(t, "changes"))
		},
		"webhook restarts": func(t *rapid.T) {
			p := rapid.SampledFrom(w.webhooks).Draw(t, "webhook")
			*p = webhookProcess{groups: quota.NewTree(nil)}
			w.see(p, rapid.IntRange(0, len(w.log[quota.GroupResource])).Draw(t, "list"))
		},
		"read group": func(t *rapid.T) {
			if name, ok := pick(t, "group", w.groups); ok {
				w.readGroup(rapid.SampledFrom(w.controllers).Draw(t, "controller"), w.groups[name])
			}
		},
		"write group": func(t *rapid.T) { w.count(rapid.SampledFrom(w.controllers).Draw(t, "controller")) },
		"controller restarts": func(t *rapid.T) {
			w.note("restart")
			w.restart(rapid.SampledFrom(w.controllers).Draw(t, "controller"), func(resource string) int {
				all := len(w.log[resource])
				return all - min(all, rapid.SampledFrom([]int{0, 1, 5, 1000}).Draw(t, "missing"))
			})
		},
		"controller lists anew": func(t *rapid.T) {
			c := rapid.SampledFrom(w.controllers).Draw(t, "controller")
			resource := rapid.SampledFrom(modelResources).Draw(t, "resource")
			before := c.latest[resource]
			w.deliver(c, resource, rapid.SampledFrom([]int{2, 5, 1000}).Draw(t, "changes"))
			w.relisted(c, resource, before)
		},
		"time passes": func(t *rapid.T) {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, ttl / 2, ttl}).Draw(t, "time"))
			w.note("it is %s", w.now.Format(time.TimeOnly))
		},
	}
}

// run lets a random history happen, checked after each step and in the end, until a fault.
func (w *world) run(t *rapid.T, checked func(*rapid.T)) {
	actions := w.actions()
	for name, action := range actions {
		actions[name] = func(t *rapid.T) {
			if w.fault == "" {
				action(t)
				w.check()
			}
		}
	}
	actions[""] = checked
	const stretches = 6 // of as many steps as -rapid.steps says
	for range stretches {
		t.Repeat(actions)
	}
	if w.fault == "" {
		w.settleAll()
	}
	checked(t)
}

func TestLedgerProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(mutation{}, rapid.IntRange(1, 3).Draw(t, "webhooks"), rapid.IntRange(1, 3).Draw(t, "controllers"), drawRoot(t))
		w.run(t, func(t *rapid.T) {
			if w.fault != "" {
				t.Fatalf("%s\n%s", w.fault, strings.Join(w.history, "\n"))
			}
		})
	})
}

// TestLedgerProtocolNoticesFaults breaks the protocol's rules one by one: each of
// them is needed, and the model sees when it is missing.
func TestLedgerProtocolNoticesFaults(t *testing.T) {
	for name, broken := range map[string]mutation{
		"a view that is behind counts":                  {ignoreBehind: true},
		"reservations end when their object is seen":    {endAtSight: true},
		"reservations end with their expiry":            {endAtExpiry: true},
		"one version stands for all kinds":              {versionsTogether: true},
		"a count is written without optimistic locking": {blindCount: true},
		"reservations are, too":                         {blindReserve: true},
		"nothing is reserved":                           {noReservation: true},
		"a group that is not counted yet admits":        {trustUncounted: true},
		"what was asked for last ends what was before":  {lastAskedEndsAll: true},
		"a new key counts while reservations lack it":   {countNewKeys: true},
	} {
		t.Run(name, func(t *testing.T) {
			runs := rapid.Custom(func(t *rapid.T) string {
				w := newWorld(broken, 2, 2, drawRoot(t))
				w.run(t, func(*rapid.T) {})
				return w.fault
			})
			const most = 500
			for seed := range most {
				if fault := runs.Example(seed); fault != "" {
					t.Logf("noticed in run %d: %s", seed, fault)
					return
				}
			}
			t.Errorf("nothing noticed in %d runs", most)
		})
	}
}

// oneCore is the template of pods with one core.
func oneCore() *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
	}}}}
}
