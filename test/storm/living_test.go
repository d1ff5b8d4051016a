package storm

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// rootLabel leads from everything that comes of a workload of the storm to its name, whatever owner references say. It
// is on the workload and on its template, and no client ever changes it.
const rootLabel = "storm/root"

// bareLabel is on pods that clients make by themselves for a workload to adopt.
const bareLabel = "storm/bare"

// standing is one version of an object as what came of some root.
type standing struct {
	root, kind, name string
	group            string // its own label
	ofModel          bool   // by its own label
	uid              types.UID
	controller       *metav1.OwnerReference
	template         amounts
	templateOfModel  bool
	replicas, surge  int64
	bare             bool
	ending, ended    bool // ended: a pod that charges nothing any more
}

// standingOf is what an object with the root's label is; nil for others.
func standingOf(kind string, object runtime.Object) *standing {
	var meta *metav1.ObjectMeta
	s := &standing{kind: kind}
	template := func(t *corev1.PodTemplateSpec) {
		s.template, s.templateOfModel = podAmounts(t.Spec, false, 1), t.Labels[cpuTypeLabel] == model
	}
	switch o := object.(type) {
	case *appsv1.Deployment:
		meta, s.replicas, s.surge = &o.ObjectMeta, int64(ptr.Deref(o.Spec.Replicas, 1)), deploymentSurge(o)
		template(&o.Spec.Template)
	case *appsv1.ReplicaSet:
		meta, s.replicas = &o.ObjectMeta, int64(ptr.Deref(o.Spec.Replicas, 1))
		template(&o.Spec.Template)
	case *appsv1.StatefulSet:
		meta, s.replicas = &o.ObjectMeta, int64(ptr.Deref(o.Spec.Replicas, 1))
		template(&o.Spec.Template)
	case *batchv1.Job:
		meta, s.replicas = &o.ObjectMeta, jobPods(o)
		template(&o.Spec.Template)
	case *corev1.Pod:
		meta, s.template = &o.ObjectMeta, podAmounts(o.Spec, false, 1)
		s.templateOfModel = o.Labels[cpuTypeLabel] == model
		s.ended = o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed
	default:
		return nil
	}
	s.root, s.name, s.group, s.ofModel = meta.Labels[rootLabel], meta.Name, meta.Labels[groupLabel], meta.Labels[cpuTypeLabel] == model
	s.bare, s.ending = meta.Labels[bareLabel] != "", meta.DeletionTimestamp != nil
	s.uid, s.controller = meta.UID, metav1.GetControllerOf(meta)
	if s.root == "" {
		return nil
	}
	return s
}

// deploymentSurge is how many pods more than its replicas a Deployment may run while it rolls out.
func deploymentSurge(d *appsv1.Deployment) int64 {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0
	}
	most, replicas := intstr.FromString("25%"), int(ptr.Deref(d.Spec.Replicas, 1))
	if d.Spec.Strategy.RollingUpdate != nil && d.Spec.Strategy.RollingUpdate.MaxSurge != nil {
		most = *d.Spec.Strategy.RollingUpdate.MaxSurge
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(&most, replicas, true)
	if err != nil {
		return 0
	}
	return int64(min(surge, replicas))
}

// price is what one of the pods of the object's template charges as a part of charger.
func (s *standing) price(charger *standing) amounts {
	a := s.template
	if s.templateOfModel || charger.ofModel {
		a[1] = a[0]
	}
	return a
}

// A reason is something that controllers do by themselves, by which more may live than a group has.
type reason int

const (
	ending   reason = iota // pods that are being deleted, while their replacements are there
	released               // pods that a controller let go: taken out for debugging, orphaned, or left by what is gone
	adopted                // pods that were somebody's own before
	older                  // pods of an older, larger template
	surged                 // pods of a rollout that was forgiven more than what came after it
	lagging                // what a ReplicaSet is to have that its Deployment has yet to scale down
	reasons
)

func (r reason) String() string {
	return [...]string{"pods being deleted", "let go by a controller", "adopted", "of an older template", "surge of before", "not scaled down yet"}[r]
}

// share is what comes of one root and is a group's.
type share struct {
	lives   amounts // what its pods charge, without the surge that is forgiven
	charge  amounts // the larger of that and of what is declared
	excuses [reasons]amounts
}

// bucket is all that comes of one root.
type bucket struct {
	objects map[string]*standing // by key
	lent    amounts              // the surge that was forgiven while some of its pods lived
	shares  map[string]share     // by group
}

// makers are the kinds of controllers by what they make.
var makers = map[string][]string{pods: {replicaSets, statefulSets, jobs}, replicaSets: {deployments}}

// maker is the object of the root's that made o, by all that an owner reference says; nil for none.
func (b *bucket) maker(o *standing) *standing {
	if o.controller == nil {
		return nil
	}
	for _, kind := range makers[o.kind] {
		for _, other := range b.objects {
			if ref := o.controller; other.kind == kind && other.uid == ref.UID && other.name == ref.Name &&
				ref.Kind == kindNames[kind] && groupOf(ref.APIVersion) == groupOf(apiVersions[kind]) {
				return other
			}
		}
	}
	return nil
}

// groupOf is the API group of a version.
func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// holder is what an object is charged as: the topmost of those that made it and are there, or itself.
func (b *bucket) holder(o *standing) *standing {
	for maker := b.maker(o); maker != nil; maker = b.maker(o) {
		o = maker
	}
	return o
}

// sum makes the shares anew.
func (b *bucket) sum() {
	b.shares = map[string]share{}
	held := map[*standing][]*standing{}
	for _, o := range b.objects {
		switch holder := b.holder(o); {
		case o.kind == pods && !o.ended:
			held[holder] = append(held[holder], o)
		case holder == o && o.kind != pods:
			held[o] = append(held[o], nil...)
		}
	}
	forgiven, living := amounts{}, false
	for holder, pods := range held {
		share, lent := b.shareOf(holder, pods)
		total := b.shares[holder.group]
		total.lives, total.charge = total.lives.plus(share.lives), total.charge.plus(share.charge)
		for r := range reasons {
			total.excuses[r] = total.excuses[r].plus(share.excuses[r])
		}
		b.shares[holder.group] = total
		forgiven, living = forgiven.plus(lent), living || len(pods) > 0
	}
	b.lend(forgiven, living)
}

// lend keeps in mind what was forgiven: the pods are there still when less is.
func (b *bucket) lend(forgiven amounts, living bool) {
	if !living {
		b.lent = amounts{}
	}
	for group, share := range b.shares {
		share.excuses[surged] = b.lent.minus(forgiven).atLeast(amounts{})
		b.shares[group] = share
	}
	b.lent = b.lent.atLeast(forgiven)
}

// shareOf is what a holder and its pods charge, those included that its ReplicaSets are yet to make, and the surge that
// is forgiven.
func (b *bucket) shareOf(holder *standing, held []*standing) (s share, forgiven amounts) {
	template := holder.price(holder)
	price := template
	for _, pod := range held {
		price = price.atLeast(pod.price(holder))
		s.lives = s.lives.plus(pod.price(holder))
		if why, much := b.excuse(holder, pod, template); much != (amounts{}) {
			s.excuses[why] = s.excuses[why].plus(much)
		}
	}
	told := int64(0)
	for _, o := range b.objects {
		if o.kind == replicaSets && o.replicas > 0 && b.maker(o) == holder {
			price = price.atLeast(o.price(holder))
			s.lives = s.lives.plus(o.price(holder).times(max(0, o.replicas-b.made(o, held))))
			told += o.replicas
		}
	}
	if !holder.ending { // else nobody scales it down
		s.excuses[lagging] = price.times(max(0, told-holder.replicas-holder.surge))
	}
	forgiven = price.times(holder.surge)
	s.lives = s.lives.minus(forgiven).atLeast(amounts{})
	s.charge = s.lives.atLeast(price.times(holder.replicas))
	return s, forgiven
}

// made is how many of the pods a ReplicaSet has.
func (b *bucket) made(set *standing, pods []*standing) (n int64) {
	for _, pod := range pods {
		if b.maker(pod) == set {
			n++
		}
	}
	return n
}

// excuse is the reason why a pod may be more than its group has, and by how much.
func (b *bucket) excuse(holder, pod *standing, template amounts) (reason, amounts) {
	price := pod.price(holder)
	switch {
	case pod.ending:
		return ending, price
	case !pod.bare && pod.name != pod.root && holder.name != pod.root:
		return released, price
	case pod.bare && holder != pod:
		return adopted, price
	}
	return older, price.minus(template).atLeast(amounts{})
}

// atLeast is by key the larger.
func (a amounts) atLeast(b amounts) amounts {
	for i := range a {
		a[i] = max(a[i], b[i])
	}
	return a
}

func (a amounts) times(n int64) amounts {
	for i := range a {
		a[i] *= n
	}
	return a
}

// putStanding takes in what became of an object; now is nil when it is gone.
func (c *checker) putStanding(key string, now *standing) {
	root := c.roots[key]
	if now != nil {
		root = now.root
	}
	if root == "" {
		return
	}
	b := c.buckets[root]
	if b == nil {
		b = &bucket{objects: map[string]*standing{}}
		c.buckets[root] = b
	}
	delete(b.objects, key)
	delete(c.roots, key)
	if now != nil {
		b.objects[key], c.roots[key] = now, root
	}
	before := b.shares
	b.sum()
	c.replace(before, b.shares)
	if len(b.objects) == 0 {
		delete(c.buckets, root)
	}
}

// replace puts shares in the place of those before.
func (c *checker) replace(before, now map[string]share) {
	for group, s := range before {
		g := c.group(group)
		g.living.lives, g.living.charge = g.living.lives.minus(s.lives), g.living.charge.minus(s.charge)
		for r := range reasons {
			g.living.excuses[r] = g.living.excuses[r].minus(s.excuses[r])
		}
	}
	for group, s := range now {
		g := c.group(group)
		g.living.lives, g.living.charge = g.living.lives.plus(s.lives), g.living.charge.plus(s.charge)
		for r := range reasons {
			g.living.excuses[r] = g.living.excuses[r].plus(s.excuses[r])
		}
	}
}

// kindOf is the kind that starts a key.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}
