package install

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// Door is a resource that the webhooks judge: in which versions, and whether its scale
// subresource too.
type Door struct {
	schema.GroupResource
	Versions []string
	Scale    bool
}

// Doors are what a table of kinds has judged.
func Doors(kinds *workload.Kinds) []Door {
	var doors []Door
	for _, kind := range kinds.All() {
		doors = append(doors, Door{kind.GroupResource(), kind.AllVersions(), kind.Scale != ""})
	}
	return doors
}

// doorsOf are what the rules of a configuration have judged.
func doorsOf(config *admissionv1.ValidatingWebhookConfiguration) []Door {
	doors := map[schema.GroupResource]*Door{}
	for _, webhook := range config.Webhooks {
		for _, rule := range webhook.Rules {
			for _, group := range rule.APIGroups {
				for _, path := range rule.Resources {
					resource, sub, _ := strings.Cut(path, "/")
					name := schema.GroupResource{Group: group, Resource: resource}
					if doors[name] == nil {
						doors[name] = &Door{GroupResource: name}
					}
					doors[name].Versions = append(doors[name].Versions, rule.APIVersions...)
					doors[name].Scale = doors[name].Scale || sub == "scale"
				}
			}
		}
	}
	var list []Door
	for _, door := range doors {
		list = append(list, *door)
	}
	slices.SortFunc(list, func(a, b Door) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// Unjudged says, in a line each, what a cluster serves past the doors: a kind in none of
// the versions that are declared, and scale subresources that nobody is asked about.
// What is not served at all is not missed.
func Unjudged(doors []Door, served []*metav1.APIResourceList) []string {
	var lines []string
	for _, door := range doors {
		versions, scales := servedAs(door.GroupResource, served)
		known := func(version string) bool { return slices.Contains(door.Versions, version) }
		if len(versions) > 0 && !slices.ContainsFunc(versions, known) {
			lines = append(lines, fmt.Sprintf("%s: is declared in %s and served in %s, so that none is ever seen",
				door.GroupResource, strings.Join(door.Versions, ", "), strings.Join(versions, ", ")))
		}
		if scales && !door.Scale {
			lines = append(lines, fmt.Sprintf("%s/scale: is served and not judged: declare the kind with its scale path (--workload-kinds)",
				door.GroupResource))
		}
	}
	return lines
}

// servedAs are the versions in which a resource is served, and whether it has a scale
// subresource in one of them.
func servedAs(name schema.GroupResource, served []*metav1.APIResourceList) (versions []string, scales bool) {
	for _, list := range served {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || group.Group != name.Group {
			continue
		}
		for _, resource := range list.APIResources {
			switch resource.Name {
			case name.Resource:
				versions = append(versions, group.Version)
			case name.Resource + "/scale":
				scales = true
			}
		}
	}
	return versions, scales
}

// CheckServed says, in a line each, what a cluster serves past the doors of a table of
// kinds (Unjudged).
func CheckServed(ctx context.Context, config *rest.Config, kinds *workload.Kinds) ([]string, error) {
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return unjudged(ctx, found, Doors(kinds))
}

// unjudged asks a cluster what it serves. Groups that cannot be asked, since what serves
// them is down, are left out.
func unjudged(ctx context.Context, found discovery.DiscoveryInterface, doors []Door) ([]string, error) {
	_, served, err := found.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	return Unjudged(doors, served), ctx.Err()
}
