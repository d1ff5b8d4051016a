package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"
)

// decode reads one object of kind k from JSON. Unknown fields are ignored, as a
// dump may be of a newer server; a field that does not parse is an error that
// begins with the field's path.
func decode(k Kind, data []byte) (Object, error) {
	o := k.newObject()
	into := any(o)
	if u, ok := o.(*unstructured.Unstructured); ok {
		into = &u.Object // an item of a typed list does not name its kind
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		if path, fieldErr := locate(data, reflect.TypeOf(o)); fieldErr != nil {
			return nil, fieldError(path, fieldErr)
		}
		return nil, explain(err)
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetGroupVersionKind(k.GroupVersionKind)
	}
	if o.GetName() == "" {
		return nil, errors.New("metadata.name: required, every object of a dump has a name")
	}
	if !k.Namespaced {
		o.SetNamespace("")
	} else if o.GetNamespace() == "" {
		o.SetNamespace("default")
	}
	return o, nil
}

// FieldError names the first field of an object's content, or of a part of it, that does
// not decode into t, and says why; nil where all do.
func FieldError(content map[string]any, t reflect.Type) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	path, err := locate(data, t)
	if err == nil {
		return nil
	}
	return fieldError(path, err)
}

// locate finds the first field of data that does not decode into t, and why.
func locate(data []byte, t reflect.Type) (path string, err error) {
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, reflect.New(t).Interface())
	if err == nil {
		return "", nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[resource.Quantity]() {
		return "", fmt.Errorf("expected a quantity, such as 2, 500m or 4Gi, found %s", data)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return "", err
	}
	for _, part := range parts(data, t) {
		if inner, innerErr := locate(part.data, part.typ); innerErr != nil {
			return joinPath(part.name, inner), innerErr
		}
	}
	return "", err
}

// part is one field, element or entry of a value.
type part struct {
	name string
	data []byte
	typ  reflect.Type
}

// parts splits data into its parts as t has them; nil when data has another shape.
func parts(data []byte, t reflect.Type) []part {
	var found []part
	switch t.Kind() {
	case reflect.Struct:
		var fields map[string]json.RawMessage
		if json.Unmarshal(data, &fields) != nil {
			return nil
		}
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if raw, ok := fields[name]; ok {
				found = append(found, part{name, raw, field.Type})
			} else if name == "" && field.Anonymous {
				found = append(found, part{"", data, field.Type})
			}
		}
	case reflect.Slice:
		var elements []json.RawMessage
		if json.Unmarshal(data, &elements) != nil {
			return nil
		}
		for i, raw := range elements {
			found = append(found, part{elementKey(i, raw), raw, t.Elem()})
		}
	case reflect.Map:
		var entries map[string]json.RawMessage
		if json.Unmarshal(data, &entries) != nil {
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			found = append(found, part{mapKey(key), entries[key], t.Elem()})
		}
	}
	return found
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func mapKey(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	return fmt.Sprintf("[%q]", key)
}

// elementKey is the index of a list's element, or its name where it has one.
func elementKey(i int, data []byte) string {
	var named struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(data, &named) != nil || named.Name == "" {
		return fmt.Sprintf("[%d]", i)
	}
	return fmt.Sprintf("[%q]", named.Name)
}

func joinPath(a, b string) string {
	if a == "" || b == "" || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}

func fieldError(path string, err error) error {
	if path == "" {
		return explain(err)
	}
	return fmt.Errorf("%s: %w", path, explain(err))
}

// explain says in a reader's words what a decoder says in Go's.
func explain(err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("expected %s, found %s", shape(wrongType.Type), wrongType.Value)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Pointer:
		return shape(t.Elem())
	}
	return "a number (" + t.Kind().String() + ")"
}
