package workload

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Where a selector's value has these, a set's name stands.
const (
	nameField  = "{name}"
	lowerField = "{lower}"
)

// term is what a selector says of one label: that it is value or, with not, that it
// is anything else.
type term struct {
	value string
	not   bool
}

// matches says whether value is the term's, for the set of that name. A name is never
// parsed: it is an object's, and may hold anything.
func (t term) matches(value, name string) bool {
	switch t.value {
	case nameField:
		return value == name
	case lowerField:
		return value == strings.ToLower(name)
	}
	want := strings.ReplaceAll(t.value, nameField, name)
	return value == strings.ReplaceAll(want, lowerField, strings.ToLower(name))
}

// selectorTerms are the terms of a selector, by label; none for "".
func selectorTerms(selector string) iter.Seq2[string, term] {
	return func(yield func(string, term) bool) {
		if selector == "" {
			return
		}
		for text := range strings.SplitSeq(selector, ",") {
			label, value, _ := strings.Cut(text, "=")
			label, not := strings.CutSuffix(label, "!")
			if !yield(label, term{value, not}) {
				return
			}
		}
	}
}

// checkSelector says what is wrong with a set's selector.
func checkSelector(selector string) error {
	if selector == "" {
		return nil
	}
	expected := errors.New(`pods: expected "label=value" or "label!=value", "," between more of them`)
	filled := strings.NewReplacer(nameField, "x", lowerField, "x", "||", ",").Replace(selector)
	if _, err := labels.Parse(filled); err != nil || strings.ContainsAny(filled, " ()") {
		return fmt.Errorf("%w, found %q", expected, selector)
	}
	for text := range strings.SplitSeq(strings.ReplaceAll(selector, "||", ","), ",") {
		if strings.Count(text, "=") != 1 {
			return fmt.Errorf("%w, found %q", expected, text)
		}
	}
	return nil
}
