package workload

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// templateOfAmounts is a template of one container that asks for Amounts.
func (p *PodSetPaths) templateOfAmounts(root scope) (*corev1.PodTemplateSpec, error) {
	container := corev1.Container{Name: p.Name}
	container.Resources.Requests, container.Resources.Limits = corev1.ResourceList{}, corev1.ResourceList{}
	for i := range p.Amounts {
		if err := p.Amounts[i].addTo(&container.Resources, root); err != nil {
			return nil, err
		}
	}
	spec := corev1.PodSpec{Containers: []corev1.Container{container}}
	if where := negative(&spec); where != "" {
		return nil, root.errorf(p.Name, "%s is negative: expected 0 or more", where)
	}
	return &corev1.PodTemplateSpec{Spec: spec}, nil
}

// addTo sets the requests and the limits of the amount's resource.
func (a *Amount) addTo(resources *corev1.ResourceRequirements, root scope) error {
	name := a.Resource
	if a.ResourceAt != "" {
		var err error
		if name, err = as[string](root.place, a.ResourceAt, "a string"); name == "" || err != nil {
			return err
		}
	}
	request, err := a.first(root, a.Requests, a.Default)
	if err == nil && request != nil && a.Overhead != nil {
		var overhead resource.Quantity
		overhead, err = a.overhead(root, *request)
		request.Add(overhead)
	}
	if err != nil {
		return err
	}
	limit, err := a.first(root, a.Limits, "")
	if err != nil {
		return err
	}
	if limit == nil && a.Limited {
		limit = request
	}
	if request != nil {
		resources.Requests[corev1.ResourceName(name)] = *request
	}
	if limit != nil {
		resources.Limits[corev1.ResourceName(name)] = *limit
	}
	return nil
}

// first is the amount at the first of the paths that is there, or absent; nil for none.
func (a *Amount) first(root scope, paths []string, absent string) (*resource.Quantity, error) {
	text, where := absent, ""
	for _, path := range paths {
		value, err := root.place.at(path)
		if err != nil {
			return nil, err
		}
		if value != nil {
			text, where = fmt.Sprint(value), path
			break
		}
	}
	if text == "" {
		return nil, nil
	}
	amount, err := a.parse(text)
	if err != nil {
		return nil, root.errorf(where, "expected an amount, found %q", text)
	}
	return &amount, nil
}

// mebi is the number of bytes of 1Mi.
const mebi = 1 << 20

// overhead is what is added to amount.
func (a *Amount) overhead(root scope, amount resource.Quantity) (resource.Quantity, error) {
	o := a.Overhead
	if given, err := root.place.at(o.Path); o.Path != "" && (given != nil || err != nil) {
		overhead, parse := a.parse(fmt.Sprint(given))
		if err == nil && parse != nil {
			err = root.errorf(o.Path, "expected an amount, found %q", fmt.Sprint(given))
		}
		return overhead, err
	}
	factor, err := o.factor(root)
	if err != nil {
		return resource.Quantity{}, err
	}
	added := int64(min(amount.AsApproximateFloat64()*factor, 1<<62))
	if a.Java {
		added -= added % mebi // Spark counts whole ones
	}
	overhead := *resource.NewQuantity(added, amount.Format)
	if least, err := a.parse(o.Least); err == nil && overhead.Cmp(least) < 0 {
		return least, nil
	}
	return overhead, nil
}

// factor is that of the first rule that holds, 0 where none does.
func (o *Overhead) factor(root scope) (float64, error) {
	for _, rule := range o.Factors {
		holds, err := root.holds(rule.When)
		if err != nil {
			return 0, err
		}
		text := rule.Default
		if rule.Path != "" {
			value, err := root.place.at(rule.Path)
			if err != nil {
				return 0, err
			}
			if value != nil {
				text = fmt.Sprint(value)
			}
		}
		if !holds || text == "" {
			continue
		}
		factor, err := strconv.ParseFloat(text, 64)
		if err != nil || !(factor >= 0 && factor <= 1000) {
			return 0, root.errorf(rule.Path, "expected a factor from 0 to 1000, found %q", text)
		}
		return factor, nil
	}
	return 0, nil
}

// parse reads an amount.
func (a *Amount) parse(text string) (resource.Quantity, error) {
	if a.Java {
		var err error
		if text, err = fromJava(text); err != nil {
			return resource.Quantity{}, err
		}
	}
	return resource.ParseQuantity(text)
}

// javaAmount is a number of bytes as a Java virtual machine and Spark write it.
var javaAmount = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([kmgtp]?)b?$`)

// fromJava is text as Kubernetes writes it: "8g" is 8Gi, "512" is 512Mi.
func fromJava(text string) (string, error) {
	parts := javaAmount.FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
	switch {
	case parts == nil:
		return "", fmt.Errorf(`expected an amount as "8g" or "512m", found %q`, text)
	case parts[2] == "" && strings.HasSuffix(strings.ToLower(text), "b"):
		return parts[1], nil
	case parts[2] == "":
		return parts[1] + "Mi", nil
	default:
		return parts[1] + strings.ToUpper(parts[2]) + "i", nil
	}
}
