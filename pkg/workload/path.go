package workload

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxPods is the largest number of pods, and of anything that multiplies to it:
// the API's counts are int32.
const maxPods = math.MaxInt32

// split is a path's fields; none for "" and ".", the object itself. What follows
// "metadata.annotations." or "metadata.labels." is one key, dots included.
func split(path string) []string {
	if path == "" || path == "." {
		return nil
	}
	for _, keyed := range []string{"annotations", "labels"} {
		if key, ok := strings.CutPrefix(path, "metadata."+keyed+"."); ok {
			return []string{"metadata", keyed, key}
		}
	}
	return strings.Split(path, ".")
}

// fromObject begins a path that starts at the object, whatever the root.
const fromObject = "$."

// absolute is the path from the object that path is from root.
func absolute(root, path string) string {
	if full, ok := strings.CutPrefix(path, fromObject); ok {
		return full
	}
	return join(root, path)
}

// join is the path that leads to path from root.
func join(root, path string) string {
	switch {
	case path == "" || path == ".":
		return root
	case root == "" || root == ".":
		return path
	default:
		return root + "." + path
	}
}

// place is a part of an object and the path to it, for errors.
type place struct {
	path  string
	value any
}

// scope is where a set's paths lead: from the place of its root, or from that of the
// whole object.
type scope struct {
	place
	whole place
}

// wholeOf is the scope of an object's own paths.
func wholeOf(content place) scope { return scope{content, content} }

// of is what path, "$." taken away, starts from.
func (s scope) of(path string) (place, string) {
	if full, ok := strings.CutPrefix(path, fromObject); ok {
		return s.whole, full
	}
	return s.place, path
}

// at is what stands at path; nil where nothing does.
func (s scope) at(path string) (any, error) {
	from, path := s.of(path)
	return from.at(path)
}

// errorf names what is wrong at path from the place.
func (p place) errorf(path, format string, args ...any) error {
	return fmt.Errorf("%s: %s", join(p.path, path), fmt.Sprintf(format, args...))
}

// at is what stands at path; nil where nothing does.
func (p place) at(path string) (any, error) {
	value, done := p.value, ""
	for _, field := range split(path) {
		if value == nil {
			return nil, nil
		}
		fields, ok := value.(map[string]any)
		if !ok {
			return nil, p.errorf(done, "expected an object, found %s", typeName(value))
		}
		value, done = fields[field], join(done, field)
	}
	return value, nil
}

// object is the object at path; nil where there is none.
func (p place) object(path string) (map[string]any, error) {
	return as[map[string]any](p, path, "an object")
}

// as is the value at path, T's zero where nothing stands there. expected describes T.
func as[T any](p place, path, expected string) (T, error) {
	var zero T
	value, err := p.at(path)
	if value == nil || err != nil {
		return zero, err
	}
	typed, ok := value.(T)
	if !ok {
		return zero, p.errorf(path, "expected %s, found %s", expected, typeName(value))
	}
	return typed, nil
}

// number is the count at path, and whether there is one.
func (p place) number(path string) (int64, bool, error) {
	value, err := p.at(path)
	if value == nil || err != nil {
		return 0, false, err
	}
	var number int64
	switch v := value.(type) {
	case int64:
		number = v
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > maxPods {
			return 0, false, p.errorf(path, "expected a whole number from 0 to %d, found %v", maxPods, v)
		}
		number = int64(v)
	default:
		return 0, false, p.errorf(path, "expected a number, found %s", typeName(value))
	}
	if number < 0 || number > maxPods {
		return 0, false, p.errorf(path, "expected a whole number from 0 to %d, found %d", maxPods, number)
	}
	return number, true, nil
}

// numberOr is the count at path, or absent where none stands there or path is "".
func (p place) numberOr(path string, absent int64) (int64, error) {
	if path == "" {
		return absent, nil
	}
	number, ok, err := p.number(path)
	if !ok {
		return absent, err
	}
	return number, nil
}

// numberOrPercent is the count or percentage at path; nil where there is none.
func (p place) numberOrPercent(path string) (*intstr.IntOrString, error) {
	value, err := p.at(path)
	if value == nil || err != nil {
		return nil, err
	}
	if text, ok := value.(string); ok {
		return new(intstr.Parse(text)), nil
	}
	number, _, err := p.number(path)
	return new(intstr.FromInt32(int32(number))), err
}

// entries are the places of the map's entries at path, ordered by key; where key
// is given, of the list's entries in their order. The names are the keys.
func (p place) entries(path, key string) (places []place, names []string, err error) {
	if key != "" {
		return p.items(path, key)
	}
	entries, err := p.object(path)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		places = append(places, place{join(join(p.path, path), name), entries[name]})
		names = append(names, name)
	}
	return places, names, err
}

// items are the places of the list's entries at path, and their names, which
// stand in the field key.
func (p place) items(path, key string) (places []place, names []string, err error) {
	items, err := as[[]any](p, path, "a list")
	if err != nil {
		return nil, nil, err
	}
	for i, item := range items {
		entry := place{fmt.Sprintf("%s[%d]", join(p.path, path), i), item}
		name, err := as[string](entry, key, "a string")
		if err != nil {
			return nil, nil, err
		}
		places, names = append(places, entry), append(names, name)
	}
	return places, names, nil
}

// typeName is a JSON value's type, as an error names it.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "object"
	case []any:
		return "list"
	case int64, float64:
		return "number"
	default:
		return fmt.Sprintf("%T", value)
	}
}
