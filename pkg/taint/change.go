package taint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/nearest"
)

// Change is what to do with the taints of nodes.
type Change = report.TaintChange

// effects are those of taints.
var effects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

// IsChange says whether an argument of kubectl taint is a change and not the name of
// a node, as kubectl tells them apart.
func IsChange(arg string) bool {
	return strings.ContainsAny(arg, "=:") || strings.HasSuffix(arg, "-")
}

// Parse reads changes: KEY=VALUE:EFFECT and KEY:EFFECT set a taint, KEY:EFFECT- and
// KEY- remove. The errors are those of kubectl taint, for the same arguments.
func Parse(args []string) (Change, error) {
	var change Change
	for _, arg := range args {
		spec, removed := strings.CutSuffix(arg, "-")
		taint, err := parseTaint(spec)
		if err != nil {
			return Change{}, err
		}
		if removed {
			change.Remove = append(change.Remove, report.TaintKey{Key: taint.Key, Effect: taint.Effect})
			continue
		}
		if taint.Effect == "" {
			return Change{}, fmt.Errorf("invalid taint spec: %s, expected KEY=VALUE:EFFECT, KEY:EFFECT, KEY:EFFECT- or KEY-", arg)
		}
		if slices.ContainsFunc(change.Add, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			return Change{}, fmt.Errorf("duplicated taints with the same key and effect: %s", taint.ToString())
		}
		change.Add = append(change.Add, taint)
	}
	return change, validate(change)
}

// validate refuses a change that sets and removes the same taint.
func validate(change Change) error {
	var both []string
	for _, taint := range change.Add {
		for _, key := range change.Remove {
			if names(key, taint) {
				both = append(both, keyString(key))
			}
		}
	}
	if len(both) > 0 {
		return fmt.Errorf("can not both modify and remove the following taint(s) in the same command: %s", strings.Join(both, ", "))
	}
	if len(change.Add) == 0 && len(change.Remove) == 0 {
		return errors.New("at least one taint update is required")
	}
	return nil
}

// parseTaint reads KEY=VALUE:EFFECT, KEY:EFFECT or KEY.
func parseTaint(spec string) (corev1.Taint, error) {
	text, effect, hasEffect := strings.Cut(spec, ":")
	key, value, hasValue := strings.Cut(text, "=")
	if hasValue && !hasEffect || strings.Contains(effect, ":") || strings.Contains(value, "=") {
		return corev1.Taint{}, fmt.Errorf("invalid taint spec: %s, expected KEY=VALUE:EFFECT, KEY:EFFECT, KEY:EFFECT- or KEY-", spec)
	}
	taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	if hasEffect && !slices.Contains(effects, taint.Effect) {
		return taint, fmt.Errorf("invalid taint effect: %s, unsupported taint effect%s", effect, didYouMeanEffect(effect))
	}
	problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)
	if len(problems) > 0 {
		return taint, fmt.Errorf("invalid taint spec: %s, %s", spec, strings.Join(problems, "; "))
	}
	return taint, nil
}

func didYouMeanEffect(effect string) string {
	known := make([]string, len(effects))
	for i, e := range effects {
		known[i] = string(e)
	}
	if hint := nearest.DidYouMean(effect, known); hint != "" {
		return hint
	}
	return ", expected " + strings.Join(known, ", ")
}

// Apply is what a node's taints are after the change: those that are set first, then
// the others in their order, as kubectl leaves them. The error names the node.
func Apply(change Change, node *corev1.Node) ([]corev1.Taint, error) {
	var present []string
	after := append([]corev1.Taint{}, change.Add...)
	for i, taint := range after {
		if j := find(node.Spec.Taints, taint); j >= 0 {
			present = append(present, taint.Key)
			if node.Spec.Taints[j].Value == taint.Value {
				after[i] = node.Spec.Taints[j] // with the time since when it is there
			}
		}
	}
	if len(present) > 0 && !change.Overwrite {
		return nil, fmt.Errorf("node %s already has %s taint(s) with same effect(s) and --overwrite is false", node.Name, strings.Join(present, ","))
	}
	left := slices.Clone(node.Spec.Taints)
	for _, key := range change.Remove {
		before := len(left)
		left = slices.DeleteFunc(left, func(t corev1.Taint) bool { return names(key, t) })
		if len(left) == before {
			return nil, fmt.Errorf("node %s: taint %q not found: %s", node.Name, keyString(key), listed(left))
		}
	}
	for _, taint := range left {
		if find(change.Add, taint) < 0 {
			after = append(after, taint)
		}
	}
	return after, nil
}

// Same says whether two lists hold the same taints, in whatever order and since
// whenever.
func Same(a, b []corev1.Taint) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(t corev1.Taint) bool { return !Has(b, t) })
}

// Has says whether the list holds a taint of that key, value and effect.
func Has(taints []corev1.Taint, taint corev1.Taint) bool {
	i := find(taints, taint)
	return i >= 0 && taints[i].Value == taint.Value
}

// Difference is what makes the taints from those to, as arguments of kubectl taint: those
// that are set, then those that are removed.
func Difference(from, to []corev1.Taint) []string {
	var words []string
	for i := range to {
		if !Has(from, to[i]) {
			words = append(words, to[i].ToString())
		}
	}
	for _, t := range from {
		if find(to, t) < 0 {
			words = append(words, keyString(report.TaintKey{Key: t.Key, Effect: t.Effect})+"-")
		}
	}
	return words
}

// find is the index of the taint of the same key and effect, or -1.
func find(taints []corev1.Taint, taint corev1.Taint) int {
	return slices.IndexFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
}

// names says whether the key stands for the taint.
func names(key report.TaintKey, taint corev1.Taint) bool {
	return key.Key == taint.Key && (key.Effect == "" || key.Effect == taint.Effect)
}

func keyString(key report.TaintKey) string {
	if key.Effect == "" {
		return key.Key
	}
	return key.Key + ":" + string(key.Effect)
}

// listed says which taints there are instead.
func listed(taints []corev1.Taint) string {
	if len(taints) == 0 {
		return "there are none"
	}
	known := make([]string, len(taints))
	for i := range taints {
		known[i] = taints[i].ToString()
	}
	return "there are " + strings.Join(known, ", ")
}
