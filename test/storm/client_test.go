package storm

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// autoscaler is who the HPA controller is to the API server. Without metrics it scales nothing, so the storm sends
// the requests that it would.
const autoscaler = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"

// editor is who the clients are to the API server: somebody who may edit the namespace, and is no controller.
const editor = "storm-editor"

var groupsResource = schema.GroupVersionResource{Group: "stowage.dev", Version: "v1alpha1", Resource: "bizgroupresourcequotas"}

// kinds of workloads, as the pool and the operations name them.
const (
	deployments  = "deployments"
	statefulSets = "statefulsets"
	replicaSets  = "replicasets"
	jobs         = "jobs"
	pods         = "pods"
)

// pool is the workloads that clients believe are there.
type pool struct {
	mu    sync.Mutex
	names map[string][]string // by kind
}

// pick draws one of the kinds' workloads; false when there is none.
func (p *pool) pick(rng *rand.Rand, kinds ...string) (kind, name string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind = kinds[rng.IntN(len(kinds))]
	names := p.names[kind]
	if len(names) == 0 {
		return "", "", false
	}
	return kind, names[rng.IntN(len(names))], true
}

func (p *pool) add(kind, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[kind] = append(p.names[kind], name)
}

func (p *pool) remove(kind, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[kind] = slices.DeleteFunc(p.names[kind], func(n string) bool { return n == name })
}

// tally counts outcomes by operation.
type tally struct {
	mu       sync.Mutex
	outcomes map[string]map[outcome]int
	texts    map[outcome][]string // the first ones of what should not be
	slowest  time.Duration        // request
}

// count counts a request that began at start.
func (t *tally) count(operation string, start time.Time, err error) outcome {
	const most = 20
	is := outcomeOf(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.outcomes[operation] == nil {
		t.outcomes[operation] = map[outcome]int{}
	}
	t.outcomes[operation][is]++
	t.slowest = max(t.slowest, time.Since(start))
	if (is == unexpected || is == conflict) && len(t.texts[is]) < most {
		t.texts[is] = append(t.texts[is], operation+": "+err.Error())
	}
	return is
}

// user is one client of the storm.
type user struct {
	id         int
	rng        *rand.Rand
	made       int // workloads so far
	last       outcome
	kube       kubernetes.Interface
	autoscaler kubernetes.Interface
	groups     dynamic.ResourceInterface
	pool       *pool
	tally      *tally
}

// requestTimeout bounds a client's patience with one request.
const requestTimeout = 30 * time.Second

// newUser connects a client. Its connections are its own, and it has no rate limit.
func newUser(id int, seed uint64, pool *pool, tally *tally) (*user, error) {
	u := &user{id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), pool: pool, tally: tally}
	own := cluster.RESTConfig()
	own.Timeout = requestTimeout
	own.WarningHandler = rest.NoWarnings{}
	own.Dial = (&net.Dialer{Timeout: requestTimeout}).DialContext // client-go shares connections but of clients that dial themselves
	edits := rest.CopyConfig(own)
	edits.Impersonate = rest.ImpersonationConfig{UserName: editor, Groups: []string{"system:authenticated"}}
	var err error
	if u.kube, err = kubernetes.NewForConfig(edits); err != nil {
		return nil, err
	}
	groups, err := dynamic.NewForConfig(own)
	if err != nil {
		return nil, err
	}
	u.groups = groups.Resource(groupsResource)
	other := rest.CopyConfig(own)
	other.Impersonate = rest.ImpersonationConfig{UserName: autoscaler, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}}
	u.autoscaler, err = kubernetes.NewForConfig(other)
	return u, err
}

// operation is one thing that clients do; its share is of all the operations'.
type operation struct {
	share int
	do    func(*user, context.Context)
}

// operations are those of honest users, and then those by which a namespace's user would have more than the group.
var operations = []operation{
	{26, (*user).create},
	{4, (*user).dryRun},
	{12, (*user).scale},
	{4, (*user).autoscale},
	{12, (*user).setReplicas},
	{8, (*user).changeTemplate},
	{8, (*user).move},
	{2, (*user).resize},
	{3, (*user).suspend},
	{15, (*user).delete},
	{2, (*user).createKid},
	{1, (*user).deleteKid},
	{3, (*user).changeHard},

	{4, (*user).forgeOwner},
	{2, (*user).forgeAbroad},
	{3, (*user).partition},
	{2, (*user).onDelete},
	{3, (*user).pauseRollout},
	{3, (*user).stickRollout},
	{3, (*user).orphan},
	{3, (*user).adopt},
	{2, (*user).linger},
	{3, (*user).duplicate},
	{2, (*user).debug},
}

// run does one thing after the other until ctx ends.
func (u *user) run(ctx context.Context) {
	total := 0
	for _, operation := range operations {
		total += operation.share
	}
	for ; ctx.Err() == nil; sleep(ctx, u.pause()) {
		draw := u.rng.IntN(total)
		for _, operation := range operations {
			if draw -= operation.share; draw < 0 {
				operation.do(u, context.WithoutCancel(ctx)) // a request under way when time is up is ended
				break
			}
		}
	}
}

// pause is none, or a moment after a request that nobody could answer: what starts must get to it.
func (u *user) pause() time.Duration {
	if u.last == unavailable {
		return time.Second
	}
	return 0
}

// count counts a request that began at start.
func (u *user) count(operation string, start time.Time, err error) outcome {
	u.last = u.tally.count(operation, start, err)
	return u.last
}

// anyGroup is a group that may be there.
func (u *user) anyGroup() string {
	i := u.rng.IntN(len(tree) + kids)
	if i < len(tree) {
		return tree[i].name
	}
	return kidName(i - len(tree))
}

// create creates a workload of any kind.
func (u *user) create(ctx context.Context) {
	u.made++
	kind, name := []string{deployments, statefulSets, jobs, pods, pods}[u.rng.IntN(5)], fmt.Sprintf("w-%d-%d", u.id, u.made)
	is := u.createOne(ctx, "create "+kind, kind, name, metav1.CreateOptions{})
	if is == admitted || is == unavailable { // then it may be there
		u.pool.add(kind, name)
	}
}

// dryRun creates nothing.
func (u *user) dryRun(ctx context.Context) {
	u.createOne(ctx, "dry run", []string{deployments, pods}[u.rng.IntN(2)], fmt.Sprintf("dry-%d", u.id), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func (u *user) createOne(ctx context.Context, operation, kind, name string, opts metav1.CreateOptions) outcome {
	labels := labels(u.rng, u.anyGroup())
	var err error
	start := time.Now()
	switch kind {
	case deployments:
		_, err = u.kube.AppsV1().Deployments(namespace).Create(ctx, newDeployment(u.rng, name, labels), opts)
	case statefulSets:
		_, err = u.kube.AppsV1().StatefulSets(namespace).Create(ctx, newStatefulSet(u.rng, name, labels), opts)
	case jobs:
		_, err = u.kube.BatchV1().Jobs(namespace).Create(ctx, newJob(u.rng, name, labels), opts)
	case pods:
		_, err = u.kube.CoreV1().Pods(namespace).Create(ctx, newPod(u.rng, name, labels), opts)
	}
	return u.count(operation, start, err)
}

// scale is kubectl scale.
func (u *user) scale(ctx context.Context) { u.scaleAs(ctx, "scale", u.kube) }

// autoscale is a scale by the HPA controller.
func (u *user) autoscale(ctx context.Context) { u.scaleAs(ctx, "scale as HPA", u.autoscaler) }

// tries is how often a client comes again after a conflict of its own.
const tries = 4

// scaleAs scales through the subresource, based on a version or, every other time, on whichever is there.
func (u *user) scaleAs(ctx context.Context, operation string, by kubernetes.Interface) {
	kind, name, ok := u.pool.pick(u.rng, deployments, statefulSets)
	if !ok {
		return
	}
	replicas, unconditional := u.rng.Int32N(mostReplicas+1), u.rng.IntN(2) == 0
	for range tries {
		start := time.Now()
		scale, err := getScale(ctx, by, kind, name)
		if err == nil {
			scale.Spec.Replicas = replicas
			if unconditional {
				scale.ResourceVersion = ""
			}
			err = updateScale(ctx, by, kind, name, scale)
		}
		if u.note(operation, kind, name, start, err) != ownConflict {
			return
		}
	}
}

func getScale(ctx context.Context, by kubernetes.Interface, kind, name string) (*autoscalingv1.Scale, error) {
	if kind == deployments {
		return by.AppsV1().Deployments(namespace).GetScale(ctx, name, metav1.GetOptions{})
	}
	return by.AppsV1().StatefulSets(namespace).GetScale(ctx, name, metav1.GetOptions{})
}

func updateScale(ctx context.Context, by kubernetes.Interface, kind, name string, scale *autoscalingv1.Scale) (err error) {
	if kind == deployments {
		_, err = by.AppsV1().Deployments(namespace).UpdateScale(ctx, name, scale, metav1.UpdateOptions{})
	} else {
		_, err = by.AppsV1().StatefulSets(namespace).UpdateScale(ctx, name, scale, metav1.UpdateOptions{})
	}
	return err
}

// note counts a request about a workload, and forgets the workload when it is gone.
func (u *user) note(operation, kind, name string, start time.Time, err error) outcome {
	is := u.count(operation, start, err)
	if apierrors.IsNotFound(err) {
		u.pool.remove(kind, name)
	}
	return is
}

// setReplicas updates a whole object: replicas of Deployments and StatefulSets, parallelism of Jobs.
func (u *user) setReplicas(ctx context.Context) {
	kind, name, ok := u.pool.pick(u.rng, deployments, statefulSets, jobs)
	if !ok {
		return
	}
	replicas := new(u.rng.Int32N(mostReplicas + 1))
	for range tries {
		start := time.Now()
		if u.note("update", kind, name, start, u.updateReplicas(ctx, kind, name, replicas)) != ownConflict {
			return
		}
	}
}

func (u *user) updateReplicas(ctx context.Context, kind, name string, replicas *int32) error {
	switch kind {
	case deployments:
		client := u.kube.AppsV1().Deployments(namespace)
		object, err := client.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			object.Spec.Replicas = replicas
			_, err = client.Update(ctx, object, metav1.UpdateOptions{})
		}
		return err
	case statefulSets:
		client := u.kube.AppsV1().StatefulSets(namespace)
		object, err := client.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			object.Spec.Replicas = replicas
			_, err = client.Update(ctx, object, metav1.UpdateOptions{})
		}
		return err
	default:
		client := u.kube.BatchV1().Jobs(namespace)
		object, err := client.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			object.Spec.Parallelism = replicas
			_, err = client.Update(ctx, object, metav1.UpdateOptions{})
		}
		return err
	}
}

// patch merges a change into a workload, whatever version it has.
func (u *user) patch(ctx context.Context, operation, kind, name string, change any, subresources ...string) outcome {
	text, err := json.Marshal(change)
	if err != nil {
		panic(err) // a literal of this file
	}
	start, how := time.Now(), types.StrategicMergePatchType
	switch kind {
	case deployments:
		_, err = u.kube.AppsV1().Deployments(namespace).Patch(ctx, name, how, text, metav1.PatchOptions{}, subresources...)
	case statefulSets:
		_, err = u.kube.AppsV1().StatefulSets(namespace).Patch(ctx, name, how, text, metav1.PatchOptions{}, subresources...)
	case jobs:
		_, err = u.kube.BatchV1().Jobs(namespace).Patch(ctx, name, how, text, metav1.PatchOptions{}, subresources...)
	case replicaSets:
		_, err = u.kube.AppsV1().ReplicaSets(namespace).Patch(ctx, name, how, text, metav1.PatchOptions{}, subresources...)
	case pods:
		_, err = u.kube.CoreV1().Pods(namespace).Patch(ctx, name, how, text, metav1.PatchOptions{}, subresources...)
	}
	return u.note(operation, kind, name, start, err)
}

// object is a JSON object.
type object = map[string]any

// changeTemplate makes the pods larger or smaller: a rolling update.
func (u *user) changeTemplate(ctx context.Context) {
	if kind, name, ok := u.pool.pick(u.rng, deployments, deployments, statefulSets); ok {
		container := object{"name": "main", "resources": resources(u.rng)}
		u.patch(ctx, "change template", kind, name,
			object{"spec": object{"template": object{"spec": object{"containers": []any{container}}}}})
	}
}

// move gives a workload to another group, or to another model.
func (u *user) move(ctx context.Context) {
	if kind, name, ok := u.pool.pick(u.rng, deployments, statefulSets, jobs, pods); ok {
		labels := object{groupLabel: u.anyGroup()}
		switch u.rng.IntN(4) {
		case 0:
			labels = object{cpuTypeLabel: model}
		case 1:
			labels = object{cpuTypeLabel: nil}
		}
		change := object{"metadata": object{"labels": labels}}
		if kind == deployments || kind == statefulSets { // a Job's template stays as it is
			change["spec"] = object{"template": object{"metadata": object{"labels": labels}}}
		}
		u.patch(ctx, "move", kind, name, change)
	}
}

// resize changes a pod in place.
func (u *user) resize(ctx context.Context) {
	if kind, name, ok := u.pool.pick(u.rng, pods); ok {
		container := object{"name": "main", "resources": resources(u.rng)}
		u.patch(ctx, "resize", kind, name, object{"spec": object{"containers": []any{container}}}, "resize")
	}
}

// suspend suspends a Job or lets it run.
func (u *user) suspend(ctx context.Context) {
	if kind, name, ok := u.pool.pick(u.rng, jobs); ok {
		u.patch(ctx, "suspend or resume", kind, name, object{"spec": object{"suspend": u.rng.IntN(2) == 0}})
	}
}

// delete deletes a workload.
func (u *user) delete(ctx context.Context) {
	kind, name, ok := u.pool.pick(u.rng, deployments, statefulSets, replicaSets, jobs, pods)
	if !ok {
		return
	}
	start := time.Now()
	if u.note("delete", kind, name, start, u.deleteOne(ctx, kind, name, metav1.DeletePropagationBackground)) == admitted {
		u.pool.remove(kind, name)
	}
}

func (u *user) deleteOne(ctx context.Context, kind, name string, how metav1.DeletionPropagation) (err error) {
	opts := metav1.DeleteOptions{PropagationPolicy: &how}
	switch kind {
	case deployments:
		err = u.kube.AppsV1().Deployments(namespace).Delete(ctx, name, opts)
	case statefulSets:
		err = u.kube.AppsV1().StatefulSets(namespace).Delete(ctx, name, opts)
	case replicaSets:
		err = u.kube.AppsV1().ReplicaSets(namespace).Delete(ctx, name, opts)
	case jobs:
		err = u.kube.BatchV1().Jobs(namespace).Delete(ctx, name, opts)
	case pods:
		err = u.kube.CoreV1().Pods(namespace).Delete(ctx, name, opts)
	}
	return err
}

// newGroup is a group as users write it.
func newGroup(name, parent string, cores int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object{
		"apiVersion": groupsResource.GroupVersion().String(), "kind": "BizGroupResourceQuota",
		"metadata": object{"name": name},
		"spec": object{
			"parentBizGroup": parent, "hard": hardOf(cores), "allow": object{"namespaces": []any{namespace}},
		},
	}}
}

// createKid creates a group that comes and goes, under any that stays.
func (u *user) createKid(ctx context.Context) {
	start := time.Now()
	parent := tree[u.rng.IntN(len(tree))].name
	_, err := u.groups.Create(ctx, newGroup(kidName(u.rng.IntN(kids)), parent, 1+u.rng.Int64N(8)), metav1.CreateOptions{})
	u.count("create group", start, err)
}

// deleteKid deletes a group, if nothing charges it.
func (u *user) deleteKid(ctx context.Context) {
	start := time.Now()
	err := u.groups.Delete(ctx, kidName(u.rng.IntN(kids)), metav1.DeleteOptions{})
	u.count("delete group", start, err)
}

// changeHard raises or lowers the hard of a group that stays, around what it was at first.
func (u *user) changeHard(ctx context.Context) {
	group := tree[u.rng.IntN(len(tree))]
	cores := group.cores/2 + u.rng.Int64N(group.cores+1)
	text, err := json.Marshal(object{"spec": object{"hard": hardOf(cores)}})
	if err != nil {
		panic(err) // numbers in strings
	}
	start := time.Now()
	_, err = u.groups.Patch(ctx, group.name, types.MergePatchType, text, metav1.PatchOptions{})
	u.count("change hard", start, err)
}
