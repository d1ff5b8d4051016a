package storm

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

var (
	minutes = flag.Float64("minutes", fromEnvironment("STORM_MINUTES", 2), "how long the storm lasts")
	seed    = flag.Uint64("seed", uint64(fromEnvironment("STORM_SEED", 1)), "seed of what clients do, and of what befalls them")
)

func fromEnvironment(name string, otherwise float64) float64 {
	if n, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		return n
	}
	return otherwise
}

var cluster *lab.Lab

func TestMain(m *testing.M) { rig.Main(m, &cluster, lab.Options{}) }
