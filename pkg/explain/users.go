package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/stowage-dev/stowage/pkg/owner"
)

// usersText names the largest users of a resource: "; in use by a/Deployment/x
// (24, for 3d)".
func (d *detailer) usersText(name corev1.ResourceName) string {
	if name == corev1.ResourcePods {
		return ""
	}
	uses := d.shared.users(name, d.countUses)
	const most = 3
	var parts []string
	for _, u := range uses[:min(len(uses), most)] {
		text := fmt.Sprintf("%s (%s", u.who, roughly(name, u.amount))
		if now := d.world.now; !u.since.IsZero() && now.After(u.since) {
			text += ", for " + duration.HumanDuration(now.Sub(u.since))
		}
		parts = append(parts, text+")")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; in use by " + strings.Join(parts, ", ")
}

// countUses sums a resource's use by top owner, the largest first. Pods are summed
// by their own controller before its owners are looked up.
func (d *detailer) countUses(name corev1.ResourceName) []use {
	byController := map[owner.Ref]*use{}
	for node := range d.engine.Nodes() {
		for pod, requests := range node.Requests() {
			held := requests.Of(name)
			if held == 0 {
				continue
			}
			ref := owner.Of(pod)
			if ref.Kind == "" {
				ref = owner.Ref{Namespace: pod.Namespace, Name: pod.Name}
			}
			u, ok := byController[ref]
			if !ok {
				u = &use{who: d.world.user(pod)}
				byController[ref] = u
			}
			u.add(held, startOf(pod))
		}
	}
	byWho := map[string]*use{}
	for _, u := range byController {
		if byWho[u.who] == nil {
			byWho[u.who] = &use{who: u.who}
		}
		byWho[u.who].add(u.amount, u.since)
	}
	uses := make([]use, 0, len(byWho))
	for _, who := range sortedKeys(byWho) {
		uses = append(uses, *byWho[who])
	}
	slices.SortStableFunc(uses, func(a, b use) int { return cmp.Compare(b.amount, a.amount) })
	return uses
}
