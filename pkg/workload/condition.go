package workload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A condition is terms with " & " between them, of which all must hold. Each is about
// what stands at one path.
type conditionTerm struct {
	path     string
	operator string // "" (something stands there), "!" (nothing does), "=", "!=" or ">"
	value    string
}

// conditionTerms are a condition's; none for "".
func conditionTerms(condition string) []conditionTerm {
	if condition == "" {
		return nil
	}
	var terms []conditionTerm
	for text := range strings.SplitSeq(condition, " & ") {
		terms = append(terms, parseTerm(text))
	}
	return terms
}

func parseTerm(text string) conditionTerm {
	if path, absent := strings.CutPrefix(text, "!"); absent {
		return conditionTerm{path: path, operator: "!"}
	}
	if path, value, ok := strings.Cut(text, "!="); ok {
		return conditionTerm{path, "!=", value}
	}
	if path, value, ok := strings.Cut(text, "="); ok {
		return conditionTerm{path, "=", value}
	}
	if path, ok := strings.CutSuffix(text, ">0"); ok {
		return conditionTerm{path: path, operator: ">"}
	}
	return conditionTerm{path: text}
}

// conditionPaths are the paths that condition is about.
func conditionPaths(condition string) []string {
	var paths []string
	for _, term := range conditionTerms(condition) {
		paths = append(paths, term.path)
	}
	return paths
}

// holds says whether condition does; the empty one does.
func (s scope) holds(condition string) (bool, error) {
	for _, term := range conditionTerms(condition) {
		value, err := s.at(term.path)
		if err != nil || !term.holds(value) {
			return false, err
		}
	}
	return true, nil
}

// oneHolds says whether one of the conditions does.
func (s scope) oneHolds(conditions []string) (bool, error) {
	for _, condition := range conditions {
		if holds, err := s.holds(condition); holds || err != nil {
			return holds, err
		}
	}
	return false, nil
}

// holds says whether the term does of what stands at its path, nil for nothing.
func (t conditionTerm) holds(value any) bool {
	switch t.operator {
	case "!":
		return value == nil
	case "=":
		return value != nil && fmt.Sprint(value) == t.value
	case "!=":
		return value == nil || fmt.Sprint(value) != t.value
	case ">":
		return positive(value)
	default:
		return value != nil
	}
}

// positive says whether value is a number or a percentage above 0.
func positive(value any) bool {
	if value == nil {
		return false
	}
	number := strings.TrimSuffix(fmt.Sprint(value), "%")
	return strings.Trim(number, "0") != "" && !strings.HasPrefix(number, "-")
}

// checkCondition says what is wrong with a condition from root. Its paths are in the
// object's spec or metadata, and where status is given, they may be there too.
func checkCondition(field, root, condition string, status bool) error {
	for _, path := range conditionPaths(condition) {
		full := absolute(root, path)
		switch {
		case strings.HasPrefix(full, "metadata.") && !slices.ContainsFunc(split(full), notKey):
		case status && strings.HasPrefix(full, "status.") && !slices.ContainsFunc(split(full), notField):
		default:
			if err := checkPaths("", namedPath{field, full}); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyName is what the key of a label or an annotation may be.
var keyName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$`)

func notKey(name string) bool { return !keyName.MatchString(name) }
