package whypending

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// manifests are what the files of -f hold: the pods and workloads that are asked about,
// and what comes with these (claims, priority classes, services), which counts as if it
// were applied.
type manifests struct {
	planned []runtime.Object
	along   []snapshot.Object
}

// readManifests reads the files of -f, if there are any.
func (o *Options) readManifests() (manifests, error) {
	var found manifests
	if len(o.Files.Filenames) == 0 && o.Files.Kustomize == "" {
		return found, nil
	}
	kinds := workload.Default()
	read, err := cli.ManifestReader{
		Files: o.Files, Workloads: kinds, Also: snapshot.Kind.Typed, Namespace: o.namespace,
		Ignored: "not a kind that places pods",
	}.Read(o.Env)
	if err != nil {
		return found, err
	}
	for _, manifest := range read {
		if manifest.Workload != nil {
			found.planned = append(found.planned, manifest.Object)
		} else {
			found.along = append(found.along, manifest.Object)
		}
	}
	if len(found.planned) == 0 {
		return found, fmt.Errorf("%v: no pod and no workload found, expected one of %v", o.Files.Filenames, kinds.Names())
	}
	return found, nil
}
