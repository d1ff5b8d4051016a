package cli

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/version"
	kubeversion "k8s.io/component-base/version"

	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Warn writes notes to stderr, one line each, as kubectl writes warnings.
func Warn(w io.Writer, notes []string) {
	for _, note := range notes {
		fmt.Fprintln(w, "Warning: "+print.Escape(note))
	}
}

// SkewNotes says whether the scheduler that is linked in has another minor
// version than the server's.
func SkewNotes(snap *snapshot.Snapshot) []string {
	server, err := version.ParseGeneric(snap.ServerVersion)
	if err != nil {
		return nil // an unknown version: nothing to compare with
	}
	ours := version.MustParseGeneric(kubeversion.DefaultKubeBinaryVersion)
	if server.Major() == ours.Major() && server.Minor() == ours.Minor() {
		return nil
	}
	return []string{fmt.Sprintf("the server is version %d.%d, and the scheduler's plugins in this client are of %d.%d: verdicts may differ where these do",
		server.Major(), server.Minor(), ours.Major(), ours.Minor())}
}

// MissingNotes says which kinds could not be listed, and what is unknown for it.
// A kind that the server does not serve has no objects, and is no gap.
func MissingNotes(snap *snapshot.Snapshot) []string {
	var notes []string
	for _, missing := range snap.Missing {
		if missing.Reason == NotServed {
			continue
		}
		notes = append(notes, fmt.Sprintf("%s could not be listed (%s): %s", missing.Resource, missing.Reason, unknownWithout(missing.Resource)))
	}
	return notes
}

// NotServed is the reason of a kind that the API server does not have.
const NotServed = "not served"

// unknownWithout says what cannot be known without a resource.
func unknownWithout(resource string) string {
	switch resource {
	case "persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io", "csinodes.storage.k8s.io",
		"csidrivers.storage.k8s.io", "csistoragecapacities.storage.k8s.io", "volumeattachments.storage.k8s.io":
		return "verdicts on pods with volumes are unknown"
	case "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io", "resourceslices.resource.k8s.io",
		"deviceclasses.resource.k8s.io", "devicetaintrules.resource.k8s.io":
		return "verdicts on pods with resource claims are unknown"
	case "namespaces":
		return "pod (anti-)affinity with a namespaceSelector is unknown"
	case "services", "replicationcontrollers", "replicasets.apps", "statefulsets.apps":
		return "default spreading and the owners of pods are unknown"
	case "deployments.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch":
		return "the owners of pods are unknown"
	case "poddisruptionbudgets.policy":
		return "which budgets an eviction or a preemption would break is unknown"
	case "priorityclasses.scheduling.k8s.io":
		return "the priorities of planned pods are unknown"
	case "resourcequotas", "limitranges":
		return "why pods are not created is unknown"
	case "bizgroupresourcequotas.stowage.dev":
		return "what business groups may use is unknown"
	case "events":
		return "what autoscalers and controllers said is unknown"
	case "configmaps", "nodepools.karpenter.sh", "nodeclaims.karpenter.sh":
		return "what an autoscaler would add is unknown"
	}
	return "what depends on them is unknown"
}
