package quota

import (
	"flag"
	"testing"

	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

var (
	creates = flag.Int("creates", 192, "objects that are created for one figure")
	rounds  = flag.Int("rounds", 1, "how often each figure is taken; the median is given")
	most    = flag.Int("groups", 10, "the largest tree: 10, 1000 or 10000 groups")
)

var cluster *lab.Lab

func TestMain(m *testing.M) {
	rig.Main(m, &cluster, lab.Options{
		Without: []lab.Component{lab.Scheduler, lab.Kwok},
		ExtraArgs: map[lab.Component]map[string]string{lab.ControllerManager: {
			"controllers": "resourcequota-controller,serviceaccount-controller,namespace-controller",
		}},
	})
}
