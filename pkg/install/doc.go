// Package install is the in-cluster component's manifests, and puts them into a
// cluster, takes them out and says how they are.
//
// What is the same in every cluster stands as YAML under manifests/; what depends
// on the namespace, the image or the workload kinds is filled in by [Objects]:
// the role that reads the kinds, and the webhook configuration.
//
// # Who is called, and when
//
// A webhook that is down must block no more than it guards. So the API server is
// told by CEL match conditions to call for what may charge a group more, and for
// nothing else: a workload with a group's label that is created, grows, moves to
// another group or model, or gets another controller. Scale-down, deletion and
// other edits of metadata never call, and are never refused.
//
// Namespaces take part by a label (stowage.dev/quota=enabled): only there are scales
// looked at, which say nothing of their workload, autoscalers, and parts of other
// workloads. Those labelled stowage.dev/require-biz-group=true take part too, and have
// their unlabelled workloads looked at. The component's own namespace and kube-system
// are left out, so that the component and what it stands on can always start.
//
// # Who may call
//
// The API server shows webhooks no credential unless it is configured to. So every
// path starts with a token, which stands in a Secret and in the webhook
// configuration. Whoever is refused while the component is down sees it, so that it is
// replaced at each installation: [ReadSecrets] puts a new one before those that stand
// there, and [RetireTokens] takes them out when the API server has been told.
//
// # Who is trusted
//
// The [Authority] that signs the component's certificate is made here, and stands in
// the webhook configuration from the first moment on. The component may not change
// that, see ADR 17.
//
// # Order
//
// [Apply] configures the webhooks last, when the component is rolled out; [Remove]
// takes them out first. Nothing is refused for want of a component that is on its way.
package install
