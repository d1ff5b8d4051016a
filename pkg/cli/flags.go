package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// SelectFlags choose objects as `kubectl get` does.
type SelectFlags struct {
	AllNamespaces bool
	LabelSelector string
	FieldSelector string
}

// AddFlags binds -A, -l and --field-selector.
func (f *SelectFlags) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.AllNamespaces, "all-namespaces", "A", f.AllNamespaces, "If present, look across all namespaces. Namespace in current context is ignored even if specified with --namespace.")
	cmdutil.AddLabelSelectorFlagVar(cmd, &f.LabelSelector)
	cmd.Flags().StringVar(&f.FieldSelector, "field-selector", f.FieldSelector,
		"Selector (field query) to filter on, supports '=', '==', and '!='. (e.g. --field-selector key1=value1,key2=value2). Fields of a pod: "+strings.Join(podFieldNames(), ", ")+".")
}

// Empty says whether no selector was given.
func (f *SelectFlags) Empty() bool { return f.LabelSelector == "" && f.FieldSelector == "" }

// PodMatcher parses the selectors and returns what tells whether a pod passes
// both. The error names the selector, and the nearest field when one is unknown.
func (f *SelectFlags) PodMatcher() (func(*corev1.Pod) bool, error) {
	labelSelector, err := labels.Parse(f.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("--selector %q: %w", f.LabelSelector, err)
	}
	fieldSelector, err := fields.ParseSelector(f.FieldSelector)
	if err != nil {
		return nil, fmt.Errorf("--field-selector %q: %w", f.FieldSelector, err)
	}
	for _, requirement := range fieldSelector.Requirements() {
		if !slices.Contains(podFieldNames(), requirement.Field) {
			return nil, fmt.Errorf("--field-selector %q: expected one of %s%s", f.FieldSelector,
				strings.Join(podFieldNames(), ", "), nearest.DidYouMean(requirement.Field, podFieldNames()))
		}
	}
	return func(pod *corev1.Pod) bool {
		return labelSelector.Matches(labels.Set(pod.Labels)) && fieldSelector.Matches(podFields(pod))
	}, nil
}

// podFields are the fields that the API server selects pods by, less those that
// a snapshot does not keep (the service account and the address).
func podFields(pod *corev1.Pod) fields.Set {
	return fields.Set{
		"metadata.name":            pod.Name,
		"metadata.namespace":       pod.Namespace,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
		"status.phase":             string(pod.Status.Phase),
	}
}

func podFieldNames() []string { return slices.Sorted(maps.Keys(podFields(&corev1.Pod{}))) }
