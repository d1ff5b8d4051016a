package snapshot

import (
	"fmt"
	"strings"
)

// Missing is a kind that a live load could not list.
type Missing struct {
	// Resource is the plural name with its group ("resourceclaims.resource.k8s.io").
	Resource string        `json:"resource"`
	Reason   MissingReason `json:"reason"`
	// Detail continues the reason as a text ("outside namespace nlp"); often empty.
	Detail string `json:"detail,omitempty"`
}

// MissingReason says why a kind could not be listed.
type MissingReason string

// The reasons that a load gives.
const (
	// NotServed is of a kind that the API server does not have, so that there are no
	// objects that nobody has seen.
	NotServed MissingReason = "not served"
	// Forbidden is of a kind that may not be listed: nowhere or, as Detail then says,
	// outside one namespace, whose objects the snapshot has.
	Forbidden MissingReason = "forbidden"
)

// OtherKinds stands, in the place of a resource, for all kinds that Stowage does not know.
const OtherKinds = "custom resources of other kinds"

// Why is the reason with its detail ("forbidden outside namespace nlp").
func (m Missing) Why() string { return strings.TrimSpace(string(m.Reason) + " " + m.Detail) }

// split takes apart a reason that was written with its detail in one text, as dumps
// once had it.
func (m Missing) split() Missing {
	if detail, ok := strings.CutPrefix(string(m.Reason), string(Forbidden)+" "); ok && m.Detail == "" {
		m.Reason, m.Detail = Forbidden, detail
	}
	return m
}

// Unknown are the missing kinds that may have objects which s lacks.
func (s *Snapshot) Unknown() []Missing {
	var unknown []Missing
	for _, missing := range s.Missing {
		if missing.Reason != NotServed {
			unknown = append(unknown, missing)
		}
	}
	return unknown
}

// Question is what an answer is about: without one kind, one answer lacks this and
// another that.
type Question int

// The questions that are asked of a snapshot.
const (
	// Placement is where pods may run, and why not.
	Placement Question = iota
	// Charges is what business groups are charged for.
	Charges
)

// Note says in one line that the kind could not be listed, and what of the question
// is unknown for it.
func (m Missing) Note(q Question) string {
	return fmt.Sprintf("%s could not be listed (%s): %s", m.Resource, m.Why(), unknownWithout(m.Resource)[q])
}

// unknownWithout says what cannot be known without a resource, by question.
func unknownWithout(resource string) [2]string {
	const (
		other   = "what depends on them is unknown"
		charged = "what they charge is unknown"
		volumes = "verdicts on pods with volumes are unknown"
		devices = "verdicts on pods with resource claims are unknown"
		owners  = "the owners of pods are unknown"
		spread  = "default spreading and the owners of pods are unknown"
		scaling = "what an autoscaler would add is unknown"
	)
	switch resource {
	case "nodes":
		return [2]string{other, "what DaemonSets charge is unknown"}
	case "pods":
		return [2]string{other, "what bare pods charge, and how long hours last, is unknown"}
	case "namespaces":
		return [2]string{"pod (anti-)affinity with a namespaceSelector is unknown", "which namespaces require a group is unknown"}
	case "persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io", "csinodes.storage.k8s.io",
		"csidrivers.storage.k8s.io", "csistoragecapacities.storage.k8s.io", "volumeattachments.storage.k8s.io":
		return [2]string{volumes, charged}
	case "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io", "resourceslices.resource.k8s.io",
		"deviceclasses.resource.k8s.io", "devicetaintrules.resource.k8s.io":
		return [2]string{devices, charged}
	case "services", "replicationcontrollers", "replicasets.apps", "statefulsets.apps":
		return [2]string{spread, charged}
	case "deployments.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch":
		return [2]string{owners, charged}
	case "poddisruptionbudgets.policy":
		return [2]string{"which budgets an eviction or a preemption would break is unknown", charged}
	case "priorityclasses.scheduling.k8s.io":
		return [2]string{"the priorities of planned pods are unknown", charged}
	case "runtimeclasses.node.k8s.io":
		return [2]string{"what their runtime adds to planned pods is unknown", charged}
	case "resourcequotas":
		return [2]string{"why pods are not created is unknown", "what namespaces may use is unknown"}
	case "limitranges":
		return [2]string{"why pods are not created is unknown", charged}
	case "bizgroupresourcequotas.stowage.dev":
		return [2]string{"what business groups may use is unknown", "others than those named, and what they take, are unknown"}
	case "events":
		return [2]string{"what autoscalers and controllers said is unknown", "what was said of groups is unknown"}
	case OtherKinds:
		return [2]string{other, "whether some name a group, and charge nothing, is unknown"}
	case "configmaps", "nodepools.karpenter.sh", "nodeclaims.karpenter.sh":
		return [2]string{scaling, charged}
	}
	return [2]string{other, charged}
}
