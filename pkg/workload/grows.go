package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Grows is a CEL expression over object and oldObject, neither of them null, that
// is true where an update may let the workload have more pods or larger ones. It
// is false for edits of metadata, for numbers that fall while all else stays, and
// for a workload that is suspended after the update. It is about pods only: the
// labels and owners in the metadata are not looked at.
func (k *Kind) Grows() string {
	var same []string
	for i := range k.PodSets {
		for _, condition := range k.PodSets[i].notGrown() {
			if !slices.Contains(same, condition) { // Sets share paths.
				same = append(same, condition)
			}
		}
	}
	if k.Template != "" {
		same = append(same, equal("object", "oldObject", k.Template))
	}
	if k.Suspend != "" && !k.stateInMetadata() {
		same = append(same, fmt.Sprintf("type(%s.orValue(false)) == bool", field("object", k.Suspend)))
	}
	grown := "!(" + allOf(same) + ")"
	if k.Suspend != "" {
		grown = fmt.Sprintf("!(%s) && (%s || %s)", k.suspendedNow("object"), k.suspendedNow("oldObject"), grown)
	}
	return k.mayMatter() + grown
}

// suspendedNow says that the object is suspended.
func (k *Kind) suspendedNow(variable string) string {
	if k.stateInMetadata() {
		return field(variable, k.Suspend) + ".hasValue()"
	}
	return field(variable, k.Suspend) + " == optional.of(true)"
}

// mayMatter comes first for its speed, and since an object of which all that is looked
// at is as it was is let through whatever it holds.
func (k *Kind) mayMatter() string {
	var differ []string
	for _, path := range k.outsideSpec() {
		differ = append(differ, field("object", path)+" != "+field("oldObject", path))
	}
	if len(differ) == 0 {
		return "object.?spec != oldObject.?spec && "
	}
	return "(object.?spec != oldObject.?spec || " + strings.Join(differ, " || ") + ") && "
}

// outsideSpec are the paths in the metadata on which the number of pods depends.
func (k *Kind) outsideSpec() []string {
	var paths []string
	add := func(from ...string) {
		for _, path := range from {
			if strings.HasPrefix(path, "metadata.") && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	add(k.Suspend)
	for i := range k.PodSets {
		set := &k.PodSets[i]
		for _, condition := range set.conditions() {
			for _, path := range conditionPaths(condition.path) {
				add(absolute(set.root(), path))
			}
		}
	}
	return paths
}

// notGrown says that the sets which p declares have not grown: all of what is
// returned holds.
func (p *PodSetPaths) notGrown() []string {
	switch {
	case !p.each():
		return p.entryNotGrown(field("object", p.root()), field("oldObject", p.root()))
	case p.Key == "":
		return []string{p.mapNotGrown()}
	default:
		return []string{p.listNotGrown()}
	}
}

// mapNotGrown says that each entry of the map at Root was there and has not grown.
func (p *PodSetPaths) mapNotGrown() string {
	return fmt.Sprintf("%s.orValue({}).all(k, k in %s.orValue({}) && %s)",
		field("object", p.root()), field("oldObject", p.root()),
		allOf(p.entryNotGrown(field("object", p.root())+"[?k]", field("oldObject", p.root())+"[?k]")))
}

// listNotGrown says that each entry of the list at Root was there by that name,
// which no other entry has, and has not grown.
func (p *PodSetPaths) listNotGrown() string {
	now, before := field("object", p.root())+".orValue([])", field("oldObject", p.root())+".orValue([])"
	// Longer lists cost more than an expression may: the webhook looks at them.
	const longest = 100
	return fmt.Sprintf("size(%s) <= %d && %s.all(s, %s.exists_one(t, %s) && %s.exists(o, %s && %s))",
		now, longest, now, now, equal("t", "s", p.Key), before, equal("o", "s", p.Key), allOf(p.entryNotGrown("s", "o")))
}

// entryNotGrown says that the set at now, which was the one at before, has not
// grown.
func (p *PodSetPaths) entryNotGrown(now, before string) []string {
	var same []string
	for _, path := range p.unchanged() {
		if whole, ok := strings.CutPrefix(path, fromObject); ok {
			same = append(same, equal("object", "oldObject", whole))
		} else {
			same = append(same, equal(now, before, path))
		}
	}
	if p.Optional {
		same = append(same, now+".hasValue() == "+before+".hasValue()")
	}
	if p.isPod() {
		same = append(same, podNotGrown(now, before)...)
	}
	for i, path := range p.Replicas {
		same = append(same, atMost(now, before, path, p.orDefault(i)))
	}
	if p.AtMost != "" {
		same = append(same, atMost(now, before, p.AtMost, maxPods))
	}
	if p.AtLeast != "" {
		same = append(same, atMost(now, before, p.AtLeast, 0))
	}
	return same
}

// unchanged are the paths at which a set that has not grown is as it was.
func (p *PodSetPaths) unchanged() []string {
	var paths []string
	add := func(from ...string) {
		for _, path := range from {
			if path != "" && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	for _, condition := range p.conditions() {
		add(conditionPaths(condition.path)...)
	}
	if p.Template != "" && !p.isPod() {
		add(join(p.Template, "spec"))
		add(join(p.Template, "metadata.labels")) // they may name a group
	}
	if p.TemplateDefault != "" {
		add(join(p.TemplateDefault, "spec"))
		add(join(p.TemplateDefault, "metadata.labels"))
	}
	add(p.Resources, p.Labels)
	for i := range p.Amounts {
		add(p.Amounts[i].paths()...)
	}
	for _, container := range p.Containers {
		add(container.Resources)
	}
	for _, rule := range p.Surge {
		add(conditionPaths(rule.When)...)
		add(rule.Path, rule.Kept)
	}
	return paths
}

// isPod says whether the object itself is the pod.
func (p *PodSetPaths) isPod() bool { return p.Root == "" && p.Template == "." }

// podNotGrown says that a pod, of which most cannot change, has the resources that
// it had.
func podNotGrown(now, before string) []string {
	var same []string
	for _, list := range []string{"containers", "initContainers"} {
		same = append(same, resourcesOf(now, list)+" == "+resourcesOf(before, list))
	}
	for _, path := range []string{"spec.resources", "spec.overhead"} {
		same = append(same, equal(now, before, path))
	}
	return same
}

// resourcesOf are the resources of the pod's containers in that list.
func resourcesOf(pod, list string) string {
	return fmt.Sprintf("%s.orValue([]).map(c, c.?resources)", field(pod, "spec."+list))
}

func allOf(conditions []string) string { return strings.Join(conditions, " && ") }

// equal says that the values at path are equal or both absent.
func equal(now, before, path string) string {
	return field(now, path) + " == " + field(before, path)
}

// atMost says that the number at path is not above the one before. What is no
// number, or below 0, is not: that cannot be charged, and the webhook says so.
func atMost(now, before, path string, absent int64) string {
	a := fmt.Sprintf("%s.orValue(%d)", field(now, path), absent)
	b := fmt.Sprintf("%s.orValue(%d)", field(before, path), absent)
	return fmt.Sprintf("type(%s) == int && type(%s) == int && 0 <= %s && %s <= %s", a, b, a, a, b)
}

// field is the optional value at path from variable; variable itself for the path
// of the object itself.
func field(variable, path string) string {
	for _, name := range split(path) {
		if notField(name) { // the key of a label or an annotation
			variable += fmt.Sprintf("[?%q]", name)
		} else {
			variable += ".?" + name
		}
	}
	return variable
}
