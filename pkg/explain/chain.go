package explain

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// notCreated explains a workload that lacks pods: the controllers' last word, from
// its condition or the newest FailedCreate event of it or of what it owns.
func (w *world) notCreated(of *owner.Workload) (report.PendingItem, bool) {
	if of.Missing == 0 {
		return report.PendingItem{}, false
	}
	ref := of.Ref()
	message := cmp.Or(of.Refusal, w.failedCreate(ref))
	if message == "" {
		return report.PendingItem{}, false
	}
	item := report.PendingItem{
		Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, UID: of.Object.GetUID(),
		Replicas: of.Wanted, Verdict: report.VerdictNotCreated, Message: message, ClusterMessage: message,
		Agrees: report.AgreesTrue, Confidence: report.ConfidenceExact,
		Nodes: []report.NodeVerdict{}, Remedies: []report.Remedy{},
	}
	created := of.Object.GetCreationTimestamp()
	if !created.IsZero() {
		item.PendingSince = &created
	}
	shortage := w.quotaShortage(item.Namespace, message, int64(of.Missing))
	item.Causes = []report.Cause{{Reason: refusalReason(message), Plugin: refuser(message), Detail: shortage.text}}
	if shortage.text == "" {
		item.Causes[0].Detail = fmt.Sprintf("%d of %d pods are missing", of.Missing, of.Wanted)
	}
	if shortage.remedy != nil {
		item.Remedies = append(item.Remedies, *shortage.remedy)
	} else {
		item.RemedyNote = "the refusal is not one that Stowage can work out a change for"
	}
	return item, true
}

// failedCreate is the message of the newest FailedCreate event of an object or of
// one that it owns.
func (w *world) failedCreate(ref owner.Ref) string {
	var newest *corev1.Event
	for _, event := range w.snap.Events {
		if event.Reason != "FailedCreate" || event.Namespace != ref.Namespace || !w.concerns(event, ref) {
			continue
		}
		if newest == nil || snapshot.LastSeen(newest).Before(snapshot.LastSeen(event)) {
			newest = event
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Message
}

func (w *world) concerns(event *corev1.Event, ref owner.Ref) bool {
	involved := owner.Ref{Kind: event.InvolvedObject.Kind, Namespace: event.Namespace, Name: event.InvolvedObject.Name}
	if involved == ref {
		return true
	}
	child := w.owners.Object(involved)
	return child != nil && owner.Of(child) == ref
}

// The API server's words of its admission plugins' refusals.
var (
	quotaRefusal   = regexp.MustCompile(`exceeded quota: ([^,]+), requested: (.+), used: (.+), limited: (.+)$`)
	webhookRefusal = regexp.MustCompile(`admission webhook "([^"]+)" denied the request`)
	limitRefusal   = regexp.MustCompile(`(minimum|maximum) [a-z-]+ usage per|must be less than or equal to`)
)

// refuser names who refused a pod.
func refuser(message string) string {
	switch {
	case quotaRefusal.MatchString(message):
		return "ResourceQuota"
	case webhookRefusal.MatchString(message):
		return webhookRefusal.FindStringSubmatch(message)[1]
	case limitRefusal.MatchString(message):
		return "LimitRanger"
	default:
		return "API server"
	}
}

func refusalReason(message string) string {
	if match := quotaRefusal.FindStringSubmatch(message); match != nil {
		return "exceeded quota " + match[1]
	}
	// "pods "x-" is forbidden: " says nothing that the verdict does not.
	if _, after, found := strings.Cut(message, "is forbidden: "); found {
		return after
	}
	return message
}

// quotaShort is what a quota lacks.
type quotaShort struct {
	text   string
	remedy *report.Remedy
}

// quotaShortage works out, from the refusal and the quota as it stands, how much
// each key is short for all the missing pods, and the patch that would do.
func (w *world) quotaShortage(namespace, message string, missing int64) quotaShort {
	match := quotaRefusal.FindStringSubmatch(message)
	if match == nil {
		return quotaShort{}
	}
	var quota *corev1.ResourceQuota
	for _, candidate := range w.snap.ResourceQuotas {
		if candidate.Namespace == namespace && candidate.Name == match[1] {
			quota = candidate
		}
	}
	if quota == nil {
		return quotaShort{text: "the quota " + match[1] + " is no longer there"}
	}
	requested := parseAmounts(match[2])
	for _, key := range []corev1.ResourceName{corev1.ResourcePods, "count/pods"} {
		// The refusal names what one pod exceeds; the missing ones count too.
		if _, limited := quota.Status.Hard[key]; limited {
			requested[string(key)] = *resource.NewQuantity(1, resource.DecimalSI)
		}
	}
	var texts []string
	raised := map[string]string{}
	for _, key := range sortedKeys(requested) {
		hard, limited := quota.Status.Hard[corev1.ResourceName(key)]
		if !limited {
			continue
		}
		used := quota.Status.Used[corev1.ResourceName(key)]
		needs := requested[key].DeepCopy()
		needs.Mul(missing)
		total := used.DeepCopy()
		total.Add(needs)
		if total.Cmp(hard) <= 0 {
			continue
		}
		short := total.DeepCopy()
		short.Sub(hard)
		left := hard.DeepCopy()
		left.Sub(used)
		texts = append(texts, fmt.Sprintf("%s: needs %s for %s, %s of %s left (short %s)", key,
			needs.String(), plural(missing, "pod"), left.String(), hard.String(), short.String()))
		raised[key] = total.String()
	}
	if len(raised) == 0 {
		return quotaShort{text: "the quota has room by now; the controller will try again"}
	}
	return quotaShort{text: strings.Join(texts, "; "), remedy: raiseQuota(quota, raised)}
}

// parseAmounts reads "requests.cpu=2,pods=1".
func parseAmounts(text string) map[string]resource.Quantity {
	amounts := map[string]resource.Quantity{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		if quantity, err := resource.ParseQuantity(value); err == nil {
			amounts[key] = quantity
		}
	}
	return amounts
}

// raiseQuota is the patch of a quota. Its arithmetic is the quota's own (used +
// requested <= hard), so it is verified by that, not by the scheduler's filters.
func raiseQuota(quota *corev1.ResourceQuota, raised map[string]string) *report.Remedy {
	remedy := &report.Remedy{
		Kind: report.RemedyRaiseQuota, Fits: []string{}, Verified: true,
		Command: shellCommand("kubectl", "-n", quota.Namespace, "patch", "resourcequota", quota.Name, "--type=merge", "-p",
			toJSON(map[string]any{"spec": map[string]any{"hard": raised}})),
	}
	var texts, amounts []string
	for _, key := range sortedKeys(raised) {
		amounts = append(amounts, key+"="+raised[key])
		hard := quota.Status.Hard[corev1.ResourceName(key)]
		texts = append(texts, fmt.Sprintf("%s from %s to %s", key, hard.String(), raised[key]))
		remedy.Changes = append(remedy.Changes, report.Change{
			Object: "ResourceQuota/" + quota.Namespace + "/" + quota.Name, Op: report.OpReplace,
			Path: pointer("spec", "hard", key), From: hard.String(), Value: toJSON(raised[key]),
		})
	}
	remedy.ID = fmt.Sprintf("%s:%s/%s:%s", remedy.Kind, quota.Namespace, quota.Name, strings.Join(amounts, ","))
	remedy.Description = fmt.Sprintf("raise the quota %s: %s", quota.Name, strings.Join(texts, ", "))
	return remedy
}

// autoscalerReasons are the events in which an autoscaler speaks of a pod
// (cluster-autoscaler's and Karpenter's own reasons).
var autoscalerReasons = map[string]string{
	"TriggeredScaleUp": "cluster-autoscaler", "NotTriggerScaleUp": "cluster-autoscaler", "ScaleUpTimedOut": "cluster-autoscaler",
	"FailedScaleUp": "cluster-autoscaler", "Nominated": "karpenter", "FailedScheduling": "karpenter", "NoCompatibleInstanceTypes": "karpenter",
}

// autoscalerNotes are those events, the newest of each reason, and what
// cluster-autoscaler says of the whole cluster.
func (w *world) autoscalerNotes(pod *corev1.Pod) []report.AutoscalerNote {
	newest := map[string]*corev1.Event{}
	for _, event := range w.podEvents(pod) {
		source := autoscalerReasons[event.Reason]
		if source == "" || (event.Reason == "FailedScheduling" && !strings.Contains(reporter(event), "karpenter")) {
			continue
		}
		if old := newest[event.Reason]; old == nil || snapshot.LastSeen(old).Before(snapshot.LastSeen(event)) {
			newest[event.Reason] = event
		}
	}
	var notes []report.AutoscalerNote
	for _, reason := range sortedKeys(newest) {
		event := newest[reason]
		notes = append(notes, report.AutoscalerNote{Source: autoscalerReasons[reason], Reason: reason, Message: event.Message, Time: &metav1.Time{Time: snapshot.LastSeen(event)}})
	}
	slices.SortStableFunc(notes, func(a, b report.AutoscalerNote) int { return b.Time.Compare(a.Time.Time) })
	if status := w.autoscalerStatus(); status != "" {
		notes = append(notes, report.AutoscalerNote{Source: "cluster-autoscaler", Reason: "Status", Message: status})
	}
	return notes
}

// autoscalerStatus is what cluster-autoscaler says of the whole cluster in its
// status config map, as it stands; empty without one, or of another layout.
func (w *world) autoscalerStatus() string {
	for _, config := range w.snap.ConfigMaps {
		var status struct {
			AutoscalerStatus string `json:"autoscalerStatus"`
			ClusterWide      struct {
				Health  struct{ Status string } `json:"health"`
				ScaleUp struct{ Status string } `json:"scaleUp"`
			} `json:"clusterWide"`
		}
		if err := yaml.Unmarshal([]byte(config.Data["status"]), &status); err != nil || status.AutoscalerStatus == "" {
			continue
		}
		return fmt.Sprintf("%s, health %s, scale-up %s", status.AutoscalerStatus,
			cmp.Or(status.ClusterWide.Health.Status, "unknown"), cmp.Or(status.ClusterWide.ScaleUp.Status, "unknown"))
	}
	return ""
}

func reporter(event *corev1.Event) string {
	return cmp.Or(event.ReportingController, event.Source.Component)
}

// podEvents are the events about a pod.
func (w *world) podEvents(pod *corev1.Pod) []*corev1.Event {
	return w.eventsOf[owner.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}]
}
