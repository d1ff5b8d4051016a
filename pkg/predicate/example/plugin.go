package example

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Name is the plugin's name in a configuration.
const Name = "GroupNodes"

// The texts of the rejections.
const (
	NoGroup    = "the pod's business group is not there"
	OtherGroup = "node(s) are kept for another business group"
	Crowded    = "node(s) have as many pods of the business group as they may"
	Suspended  = "the pod's business group is suspended"
)

// SuspendedAnnotation ends the placement of the pods of a group that has it.
const SuspendedAnnotation = "example.stowage.dev/suspended"

// Args are the plugin's arguments.
type Args struct {
	// NodeLabel is the label whose value names the group that a node is kept for.
	NodeLabel string `json:"nodeLabel"`
	// PodsPerNode is how many pods of one group a node takes; 0 is any number.
	PodsPerNode int `json:"podsPerNode"`
}

// Options are what the engine needs to run the plugin.
func Options() predicate.Options {
	quotas, _ := snapshot.KindOf(&stowagev1alpha1.BizGroupResourceQuota{})
	return predicate.Options{Registry: frameworkruntime.Registry{Name: New}, Kinds: []snapshot.Kind{quotas}}
}

// Configuration is the text of a KubeSchedulerConfiguration that enables the plugin in the
// default scheduler's profile, with these arguments (an object in JSON).
func Configuration(args string) []byte {
	return fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
  plugins: {multiPoint: {enabled: [{name: %[1]s}]}}
  pluginConfig: [{name: %[1]s, args: %[2]s}]
`, Name, args)
}

// GroupNodes keeps labelled nodes for the pods of a business group and of those below it.
type GroupNodes struct {
	args   Args
	quotas cache.Store
}

var (
	_ fwk.PreEnqueuePlugin = (*GroupNodes)(nil)
	_ fwk.FilterPlugin     = (*GroupNodes)(nil)
	_ fwk.PermitPlugin     = (*GroupNodes)(nil)
)

// New makes the plugin.
func New(_ context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	g := &GroupNodes{args: Args{NodeLabel: "group"}}
	if err := frameworkruntime.DecodeInto(args, &g.args); err != nil {
		return nil, fmt.Errorf("%s: args: %w", Name, err)
	}
	g.quotas = handle.SharedInformerFactory().InformerFor(&stowagev1alpha1.BizGroupResourceQuota{}, watched).GetStore()
	return g, nil
}

// watched is where a scheduler's informer would be made, over a client.
func watched(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
	panic(Name + ": this example runs in the engine only")
}

// Name returns the plugin's name.
func (g *GroupNodes) Name() string { return Name }

// PreEnqueue holds pods of a group that is not there.
func (g *GroupNodes) PreEnqueue(_ context.Context, pod *corev1.Pod) *fwk.Status {
	if name := groupOf(pod); name != "" && g.quota(name) == nil {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, NoGroup)
	}
	return nil
}

// Filter rejects the nodes of other groups, and those with too many pods of the group.
func (g *GroupNodes) Filter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	if owner := node.Node().Labels[g.args.NodeLabel]; owner != "" && !g.within(groupOf(pod), owner) {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, OtherGroup)
	}
	if g.args.PodsPerNode > 0 && groupOf(pod) != "" && podsOf(groupOf(pod), node) >= g.args.PodsPerNode {
		return fwk.NewStatus(fwk.Unschedulable, Crowded)
	}
	return nil
}

// Permit rejects the pods of a group that is suspended.
func (g *GroupNodes) Permit(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ string) (*fwk.Status, time.Duration) {
	if quota := g.quota(groupOf(pod)); quota != nil && quota.Annotations[SuspendedAnnotation] != "" {
		return fwk.NewStatus(fwk.Unschedulable, Suspended), 0
	}
	return nil, 0
}

// within says whether a group is the ancestor or below it.
func (g *GroupNodes) within(group, ancestor string) bool {
	for quota := g.quota(group); quota != nil; quota = g.quota(quota.Spec.ParentBizGroup) {
		if quota.Name == ancestor {
			return true
		}
	}
	return false
}

// quota is the group's, nil when there is none.
func (g *GroupNodes) quota(group string) *stowagev1alpha1.BizGroupResourceQuota {
	object, exists, err := g.quotas.GetByKey(group)
	if err != nil || !exists {
		return nil
	}
	return object.(*stowagev1alpha1.BizGroupResourceQuota)
}

func groupOf(pod *corev1.Pod) string { return pod.Labels[stowagev1alpha1.GroupLabel] }

func podsOf(group string, node fwk.NodeInfo) int {
	count := 0
	for _, info := range node.GetPods() {
		if groupOf(info.GetPod()) == group {
			count++
		}
	}
	return count
}
