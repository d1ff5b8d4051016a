package cli

import "k8s.io/apimachinery/pkg/api/equality"

// Compare compares two answers to the same question: changed are the items of after that before lacks or has
// otherwise, gone are the items of before that after lacks. Two items are the same one if their keys are equal.
func Compare[T any, K comparable](before, after []T, key func(T) K) (changed, gone []T) {
	old := make(map[K]T, len(before))
	for _, item := range before {
		old[key(item)] = item
	}
	changed = []T{} // a report's items are never null
	there := make(map[K]bool, len(after))
	for _, item := range after {
		there[key(item)] = true
		if was, ok := old[key(item)]; !ok || !equality.Semantic.DeepEqual(was, item) {
			changed = append(changed, item)
		}
	}
	for _, item := range before {
		if !there[key(item)] {
			gone = append(gone, item)
		}
	}
	return changed, gone
}
