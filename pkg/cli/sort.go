package cli

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/jsonpath"
	"k8s.io/kubectl/pkg/cmd/get"
)

// SortBy sorts a report's items, stably, by a JSONPath such as ".name" or
// "{.causes[0].nodes}", as `kubectl get --sort-by` does: numbers and quantities
// by amount, texts (RFC 3339 times among them) by their characters, items
// without the field first. An empty path changes nothing.
//
// kubectl's own sorter ends the process on a field that cannot be compared,
// hence ours.
func SortBy[T any](items []T, path string) error {
	parser, err := parseSortBy(path)
	if err != nil || parser == nil {
		return err
	}
	type keyed struct {
		key  any
		item T
	}
	found, rows := false, make([]keyed, len(items))
	for i := range items {
		rows[i].item = items[i]
		if rows[i].key, err = sortKey(parser, &items[i]); err != nil {
			return fmt.Errorf("--sort-by %q: %w", path, err)
		}
		found = found || rows[i].key != nil
	}
	if len(items) > 0 && !found {
		return fmt.Errorf("--sort-by %q: couldn't find any field with that path in the report's items", path)
	}
	slices.SortStableFunc(rows, func(a, b keyed) int { return compareKeys(a.key, b.key) })
	for i := range rows {
		items[i] = rows[i].item
	}
	return nil
}

// parseSortBy parses a path; nil for an empty one.
func parseSortBy(path string) (*jsonpath.JSONPath, error) {
	if path == "" {
		return nil, nil
	}
	expression, err := get.RelaxedJSONPathExpression(path)
	if err != nil {
		return nil, fmt.Errorf("--sort-by %q: %w", path, err)
	}
	parser := jsonpath.New("sort-by").AllowMissingKeys(true)
	if err := parser.Parse(expression); err != nil {
		return nil, fmt.Errorf("--sort-by %q: %w", path, err)
	}
	return parser, nil
}

// sortKey is the first value at the path: a string, an int64, a float64, a
// bool, or nil for an item without the field.
func sortKey(parser *jsonpath.JSONPath, item any) (any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(item)
	if err != nil {
		return nil, err
	}
	results, err := parser.FindResults(content)
	if err != nil {
		return nil, err
	}
	if len(results) == 0 || len(results[0]) == 0 || !results[0][0].IsValid() {
		return nil, nil
	}
	value := results[0][0].Interface()
	if kind := reflect.ValueOf(value).Kind(); kind == reflect.Map || kind == reflect.Slice {
		return nil, fmt.Errorf("expected one value an item, found a %s", kind)
	}
	return value, nil
}

// compareKeys orders nil first, then quantities by amount, then texts.
func compareKeys(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	x, y := fmt.Sprint(a), fmt.Sprint(b)
	amountX, errX := resource.ParseQuantity(x)
	amountY, errY := resource.ParseQuantity(y)
	if errX == nil && errY == nil {
		return amountX.Cmp(amountY)
	}
	return cmp.Compare(x, y)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
