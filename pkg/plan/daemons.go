package plan

import (
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// daemonChanges says where DaemonSets start and stop: the DaemonSet controller starts
// a pod on a node that has become eligible, and makes none again on one that is not
// where the pod has gone.
func (p *Planner) daemonChanges(nodes []report.TaintedNode) []report.DaemonChange {
	running, changed := p.daemonPods(), p.taintedNodes(nodes)
	var daemons []report.DaemonChange
	for _, set := range p.snap.DaemonSets {
		if set.DeletionTimestamp != nil {
			continue
		}
		change := report.DaemonChange{Namespace: set.Namespace, Name: set.Name}
		for _, node := range changed {
			name := node.after.Name
			pod := running[daemonOn{owner.Ref{Kind: "DaemonSet", Namespace: set.Namespace, Name: set.Name}, name}]
			before, after := workload.Eligible(&set.Spec.Template, node.before), workload.Eligible(&set.Spec.Template, node.after)
			switch {
			case pod == nil && after && !before:
				change.Starts = append(change.Starts, name)
			case pod != nil && p.gone[pod.UID] && !after:
				change.Stops = append(change.Stops, name)
			}
		}
		if len(change.Starts)+len(change.Stops) > 0 {
			daemons = append(daemons, change)
		}
	}
	return daemons
}

// daemonOn is a DaemonSet on a node.
type daemonOn struct {
	set  owner.Ref
	node string
}

// daemonPods are the pods that DaemonSets run.
func (p *Planner) daemonPods() map[daemonOn]*corev1.Pod {
	running := map[daemonOn]*corev1.Pod{}
	for _, pod := range p.snap.Pods {
		if controller := owner.Of(pod); controller.Kind == "DaemonSet" && pod.Spec.NodeName != "" && !snapshot.Finished(pod) {
			running[daemonOn{controller, pod.Spec.NodeName}] = pod
		}
	}
	return running
}
