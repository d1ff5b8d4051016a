package workload

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Standing is what a controller says in the status of its object.
type Standing struct {
	// Wanted is how many pods there should be, Made how many the controller has made;
	// nil where the kind does not say.
	Wanted, Made *int64
	// Refusal is why the controller cannot make more; empty when it can.
	Refusal string
}

// Standing reads obj's status. What is not as it should be is left out.
func (k *Kind) Standing(obj runtime.Object) Standing {
	content, err := toPlace(obj)
	if err != nil {
		return Standing{}
	}
	s := Standing{Wanted: content.count(k.Wanted), Made: content.count(k.Made)}
	if k.Refused == "" {
		return s
	}
	conditions, _ := as[[]any](content, "status.conditions", "a list")
	for _, value := range conditions {
		condition, _ := value.(map[string]any)
		if condition["type"] == k.Refused && condition["status"] == "True" {
			s.Refusal, _ = condition["message"].(string)
		}
	}
	return s
}

// count is the number at path, 0 where none stands there; nil without a path.
func (p place) count(path string) *int64 {
	if path == "" {
		return nil
	}
	number, _, _ := p.number(path)
	return &number
}

// Declared are the pod sets of obj, or, where it has none itself and makes objects of
// a template (CronJob), those that one of these will have. Errors name the field.
func (ks *Kinds) Declared(k *Kind, obj runtime.Object) ([]PodSet, error) {
	if len(k.PodSets) > 0 || k.Template == "" {
		w, err := k.Read(obj)
		if err != nil {
			return nil, err
		}
		return w.PodSets, nil
	}
	content, err := toPlace(obj)
	if err != nil {
		return nil, err
	}
	template, err := content.object(k.Template)
	child := ks.madeBy(k)
	if template == nil || child == nil || err != nil {
		return nil, err
	}
	w, err := child.Read(&unstructured.Unstructured{Object: template})
	if err != nil {
		return nil, err
	}
	for i := range w.PodSets {
		w.PodSets[i].TemplatePath = append(split(k.Template), w.PodSets[i].TemplatePath...)
	}
	return w.PodSets, nil
}

// madeBy is the first kind of the table that has pod sets and that objects of parent
// make; nil for none.
func (ks *Kinds) madeBy(parent *Kind) *Kind {
	return ks.first(func(k *Kind) bool { return len(k.PodSets) > 0 && parent.makes(k.GroupKind()) })
}
