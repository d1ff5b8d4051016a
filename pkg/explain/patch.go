package explain

import (
	"encoding/json"
	"fmt"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// op is one JSON-patch operation; the path of a pod's op is relative to its spec.
type op struct {
	Op    report.ChangeOp `json:"op"`
	Path  string          `json:"path"`
	Value any             `json:"value,omitempty"`
	from  string
}

// specPatch computes the operations for one pod spec. A pod and the template that
// it came from may differ (admission adds tolerations), so the same change may
// take different operations on each.
type specPatch func(spec *corev1.PodSpec) []op

// pointer builds a JSON pointer, escaping its parts (RFC 6901).
func pointer(parts ...any) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(pointerEscapes.Replace(fmt.Sprint(part)))
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// appendTo adds an element to a list that may be absent.
func appendTo(path string, length int, value any) op {
	if length == 0 {
		return op{Op: report.OpAdd, Path: path, Value: []any{value}}
	}
	return op{Op: report.OpAdd, Path: path + "/-", Value: value}
}

// applyOps returns a copy of the pod with the operations done.
func applyOps(pod *corev1.Pod, ops []op) (*corev1.Pod, error) {
	if len(ops) == 0 {
		return pod, nil
	}
	changed := pod.DeepCopy()
	document, err := json.Marshal(changed.Spec)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, err
	}
	document, err = patch.Apply(document)
	if err != nil {
		return nil, err
	}
	changed.Spec = corev1.PodSpec{}
	return changed, json.Unmarshal(document, &changed.Spec)
}

// changes renders operations below a prefix ("/spec") as changes of an object.
func changes(object, prefix string, ops []op) []report.Change {
	list := make([]report.Change, len(ops))
	for i, o := range ops {
		list[i] = report.Change{Object: object, Op: o.Op, Path: prefix + o.Path, From: o.from, Value: toJSON(o.Value)}
	}
	return list
}

// toJSON renders a value that always marshals (our own and API types).
func toJSON(value any) string {
	if value == nil {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// below puts operations under a prefix of their paths.
func below(prefix string, ops []op) []op {
	placed := make([]op, len(ops))
	for i, o := range ops {
		o.Path = prefix + o.Path
		placed[i] = o
	}
	return placed
}

// patchText is a JSON patch for the command line.
func patchText(prefix string, ops []op) string { return toJSON(below(prefix, ops)) }
