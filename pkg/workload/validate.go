package workload

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// fieldName is what each field of a path must be: what CEL, too, calls a field.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// validate says what is wrong with the declaration; the error names the field.
func (k *Kind) validate() error {
	names := [][2]string{{"version", k.Version}, {"kind", k.Kind}, {"resource", k.Resource}}
	for _, name := range names {
		if name[1] == "" {
			return fmt.Errorf("%s: must be given", name[0])
		}
	}
	if len(k.PodSets) == 0 && k.Template == "" {
		return errors.New("podSets: must be given, or template where only the objects that it makes have pods")
	}
	for i, name := range k.Makes {
		if !fieldName.MatchString(schema.ParseGroupKind(name).Kind) {
			return fmt.Errorf(`makes[%d]: expected "Kind.group" ("Job.batch", "Pod"), found %q`, i, name)
		}
	}
	if err := k.validateStates(); err != nil {
		return err
	}
	if err := checkPaths("", namedPath{"template", k.Template}); err != nil {
		return err
	}
	for _, p := range []namedPath{{"wanted", k.Wanted}, {"made", k.Made}} {
		if p.path != "" && (!strings.HasPrefix(p.path, "status.") || slices.ContainsFunc(split(p.path), notField)) {
			return fmt.Errorf(`%s: expected a path of fields in status ("status.replicas"), found %q`, p.field, p.path)
		}
	}
	for i := range k.PodSets {
		if err := k.PodSets[i].validate(); err != nil {
			return fmt.Errorf("podSets[%d].%w", i, err)
		}
	}
	return k.validateScale()
}

// validateScale says what is wrong with Scale.
func (k *Kind) validateScale() error {
	if k.Scale != scaleFirst {
		return checkPaths("", namedPath{"scale", string(k.Scale)})
	}
	if path, _ := k.firstNumber(); path == "" {
		return errors.New(`scale: expected the path of its number, since the first of podSets has a "*" in its root or no replicas`)
	}
	return nil
}

// validateStates says what is wrong with what tells the states of an object.
func (k *Kind) validateStates() error {
	if len(conditionPaths(k.Suspend)) > 1 || strings.ContainsAny(k.Suspend, "=>!") {
		return fmt.Errorf("suspend: expected the path of a bool or of an annotation, found %q", k.Suspend)
	}
	if err := checkCondition("suspend", "", k.Suspend, false); err != nil {
		return err
	}
	conditions, _ := k.finishes()
	for _, condition := range conditions {
		if err := checkCondition("finished", "", condition, true); err != nil {
			return err
		}
	}
	for i, condition := range k.Older {
		if err := checkCondition(fmt.Sprintf("older[%d]", i), "", condition, false); err != nil {
			return err
		}
	}
	return nil
}

// validate says what is wrong with the declaration; the error begins with the field.
func (p *PodSetPaths) validate() error {
	if err := p.validateTemplate(); err != nil {
		return err
	}
	if err := p.validateNumbers(); err != nil {
		return err
	}
	if err := checkSelector(p.Pods); err != nil {
		return err
	}
	if p.Key != "" && !p.each() {
		return errors.New(`key: expected a root that ends in "*" with it`)
	}
	if p.Optional && (p.each() || p.Root == "") {
		return errors.New(`optional: expected a root that does not end in "*" with it`)
	}
	if err := checkPaths("", namedPath{"root", p.root()}); err != nil {
		return err
	}
	for _, c := range p.conditions() {
		if err := checkCondition(c.field, p.root(), c.path, false); err != nil {
			return err
		}
	}
	if err := checkPaths(p.root(), p.paths()...); err != nil {
		return err
	}
	for i, rule := range p.Surge {
		if err := rule.validate(p.root()); err != nil {
			return fmt.Errorf("surge[%d].%w", i, err)
		}
	}
	return nil
}

// validateTemplate says what is wrong with where the pods' template stands.
func (p *PodSetPaths) validateTemplate() error {
	given := 0
	for _, is := range []bool{p.Template != "", p.Resources != "", len(p.Amounts) > 0} {
		if is {
			given++
		}
	}
	if given > 1 || given == 0 && len(p.Containers) == 0 {
		return errors.New("template: must be given, or one of resources, amounts and containers in its place")
	}
	if p.Labels != "" && p.Template != "" {
		return errors.New("labels: expected no template with it, which has its own")
	}
	for i, container := range p.Containers {
		if container.Name == "" {
			return fmt.Errorf("containers[%d].name: must be given", i)
		}
	}
	for i := range p.Amounts {
		if err := p.Amounts[i].validate(); err != nil {
			return fmt.Errorf("amounts[%d].%w", i, err)
		}
	}
	return nil
}

// validateNumbers says what is wrong with how the pods are counted.
func (p *PodSetPaths) validateNumbers() error {
	if p.PerNode && (len(p.Replicas) > 0 || p.Count != 0) {
		return errors.New("perNode: expected no replicas with it, its nodes are their number")
	}
	if p.Minus < 0 || p.Count < 0 || p.Count > maxPods || p.Default != nil && *p.Default < 0 {
		return errors.New("minus, count, default: must not be negative")
	}
	if len(p.Replicas) == 0 && (p.AtMost != "" || p.AtLeast != "" || p.Minus != 0 || p.Default != nil || p.Done != nil) {
		return errors.New("replicas: must be given with atMost, atLeast, minus, default and done")
	}
	if p.Done == nil {
		return nil
	}
	if p.Done.Of == "" || p.Done.Of != p.AtMost && !slices.Contains(p.Replicas, p.Done.Of) {
		return fmt.Errorf("done.of: expected one of replicas or atMost, found %q", p.Done.Of)
	}
	if !inStatus(strings.Replace(p.Done.At, ".*.", ".", 1)) {
		return fmt.Errorf(`done.at: expected a path of fields in status ("status.succeeded"), found %q`, p.Done.At)
	}
	if (p.Done.Last != "") != (p.Done.Running != "") || p.Done.Running != "" && !inStatus(p.Done.Running) {
		return fmt.Errorf(`done.running: expected a path of fields in status ("status.active") with last, found %q`, p.Done.Running)
	}
	return checkCondition("done.last", p.root(), p.Done.Last, true)
}

func inStatus(path string) bool {
	return strings.HasPrefix(path, "status.") && !slices.ContainsFunc(split(path), notField)
}

// validate says what is wrong with the declaration; the error begins with the field.
func (a *Amount) validate() error {
	if (a.Resource == "") == (a.ResourceAt == "") {
		return errors.New("resource: must be given, or resourceAt")
	}
	amounts := []string{a.Default}
	if a.Overhead != nil {
		amounts = append(amounts, a.Overhead.Least)
		for _, rule := range a.Overhead.Factors {
			if _, err := strconv.ParseFloat(cmp.Or(rule.Default, "0"), 64); err != nil || rule.Default == "" && rule.Path == "" {
				return fmt.Errorf("overhead.factors.default: expected a number, found %q", rule.Default)
			}
		}
	}
	for _, text := range amounts {
		if _, err := a.parse(text); text != "" && err != nil {
			return fmt.Errorf("default: expected an amount, found %q", text)
		}
	}
	return nil
}

// conditions are the set's conditions, but for those of its surge.
func (p *PodSetPaths) conditions() []namedPath {
	conditions := []namedPath{{"when", p.When}, {"unless", p.Unless}}
	if p.Done != nil {
		for i, condition := range p.Done.Unless {
			conditions = append(conditions, namedPath{fmt.Sprintf("done.unless[%d]", i), condition})
		}
	}
	for i, container := range p.Containers {
		conditions = append(conditions, namedPath{fmt.Sprintf("containers[%d].when", i), container.When})
	}
	for i := range p.Amounts {
		if overhead := p.Amounts[i].Overhead; overhead != nil {
			for _, rule := range overhead.Factors {
				conditions = append(conditions, namedPath{fmt.Sprintf("amounts[%d].overhead.factors.when", i), rule.When})
			}
		}
	}
	return conditions
}

// namedPath is a path and the field that declares it.
type namedPath struct{ field, path string }

// paths are the set's paths, but for those of its surge.
func (p *PodSetPaths) paths() []namedPath {
	template := p.Template
	if template == "." {
		template = ""
	}
	paths := []namedPath{
		{"key", p.Key}, {"labels", p.Labels}, {"atMost", p.AtMost}, {"atLeast", p.AtLeast},
		{"template", template}, {"templateDefault", p.TemplateDefault}, {"resources", p.Resources},
	}
	for i, path := range p.Replicas {
		paths = append(paths, namedPath{"replicas[" + strconv.Itoa(i) + "]", path})
	}
	for i, container := range p.Containers {
		paths = append(paths, namedPath{fmt.Sprintf("containers[%d].resources", i), container.Resources})
	}
	for i := range p.Amounts {
		for _, path := range p.Amounts[i].paths() {
			paths = append(paths, namedPath{fmt.Sprintf("amounts[%d]", i), path})
		}
	}
	return paths
}

// paths are all those of the amount; "" among them are not given.
func (a *Amount) paths() []string {
	paths := append([]string{a.ResourceAt}, a.Requests...)
	paths = append(paths, a.Limits...)
	if a.Overhead == nil {
		return paths
	}
	paths = append(paths, a.Overhead.Path)
	for _, rule := range a.Overhead.Factors {
		paths = append(paths, rule.Path)
	}
	return paths
}

func (s *Surge) validate(root string) error {
	if s.Path == "" && s.Default == "" {
		return errors.New("path: must be given, or default")
	}
	if err := checkCondition("when", root, s.When, false); err != nil {
		return err
	}
	if err := checkPaths(root, namedPath{"path", s.Path}, namedPath{"kept", s.Kept}); err != nil {
		return err
	}
	if s.Default == "" {
		return nil
	}
	if number, err := strconv.Atoi(strings.TrimSuffix(s.Default, "%")); err != nil || number < 0 || number > maxPods {
		return fmt.Errorf(`default: expected a number or a percentage ("25%%"), found %q`, s.Default)
	}
	return nil
}

// checkPaths says what is wrong with the first of the paths from root that is not
// one of fields in the object's spec. Paths that are not given are not wrong.
func checkPaths(root string, paths ...namedPath) error {
	for _, p := range paths {
		if p.path == "" {
			continue
		}
		full := split(join(root, p.path))
		if full[0] != "spec" || slices.ContainsFunc(full, notField) {
			return fmt.Errorf(`%s: expected a path of fields in spec ("spec.replicas"), found %q`, p.field, join(root, p.path))
		}
	}
	return nil
}

// notField says whether CEL could not have name as a field.
func notField(name string) bool {
	return !fieldName.MatchString(name) || slices.Contains([]string{"true", "false", "null", "in"}, name)
}
