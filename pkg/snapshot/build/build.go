package build

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Epoch is the creation time of every object, unless a test sets another.
var Epoch = metav1.NewTime(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))

// Snapshot holds the objects, sorted, each in the list of its kind.
func Snapshot(objects ...snapshot.Object) *snapshot.Snapshot {
	s := &snapshot.Snapshot{Source: "test"}
	for _, o := range objects {
		if err := s.Add(o); err != nil {
			panic(err)
		}
	}
	s.Sort()
	return s
}

// Nodes makes n nodes named prefix0, prefix1, ..., each changed by edit.
func Nodes(n int, prefix string, edit func(*NodeBuilder)) []snapshot.Object {
	nodes := make([]snapshot.Object, n)
	for i := range nodes {
		b := Node(fmt.Sprintf("%s%d", prefix, i))
		edit(b)
		nodes[i] = b.Obj()
	}
	return nodes
}

// Resources reads "cpu=4,memory=8Gi,nvidia.com/gpu=8".
func Resources(list string) corev1.ResourceList {
	resources := corev1.ResourceList{}
	for name, quantity := range Labels(list) {
		resources[corev1.ResourceName(name)] = resource.MustParse(quantity)
	}
	return resources
}

// Labels reads "a=b,c=d"; an entry without "=" has an empty value.
func Labels(list string) map[string]string {
	labels := map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		if key, value, _ := strings.Cut(entry, "="); key != "" {
			labels[key] = value
		}
	}
	return labels
}

// Taint reads "key=value:Effect" or "key:Effect".
func Taint(taint string) corev1.Taint {
	spec, effect, ok := strings.Cut(taint, ":")
	if !ok {
		panic(fmt.Sprintf("taint %q: expected key[=value]:Effect", taint))
	}
	key, value, _ := strings.Cut(spec, "=")
	return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
}

// meta is the metadata of a new object: its UID is made of its name.
func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:         namespace,
		Name:              name,
		UID:               types.UID(strings.Trim(namespace+"-"+name, "-")),
		CreationTimestamp: Epoch,
	}
}
