package plan

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// tainted is a node before and after the change.
type tainted struct{ before, after *corev1.Node }

// point is a time after the taints of a wave.
type point struct {
	wave int
	at   time.Duration
}

// move is one pod that leaves its node, and what comes in its stead.
type move struct {
	pod *corev1.Pod
	// wave counts from 1; at is the time after its taints.
	wave int
	at   time.Duration
	// eviction is why it leaves: a taint evicts it, or else by preempts it, or else its
	// Job has failed and deletes it.
	eviction taint.Eviction
	by       *corev1.Pod
	marks    []report.Mark
	// replacement is what its controller makes instead, nil for nothing; node is where
	// that goes, empty for nowhere, and reason why.
	replacement *corev1.Pod
	node        string
	reason      string
	// fit says that the pod is ready, or was about to be.
	fit bool
}

func (m *move) marked(mark report.Mark) bool { return slices.Contains(m.marks, mark) }

// counts says whether a move is one of the change's, and takes something away: not what
// happens before, nor the going of a static pod's image.
func (m *move) counts() bool { return m.wave > 0 && !snapshot.Mirror(m.pod) }

// without are the marks but for one.
func without(marks []report.Mark, mark report.Mark) []report.Mark {
	return slices.DeleteFunc(slices.Clone(marks), func(m report.Mark) bool { return m == mark })
}

// arrival is a pod that gets a node: a replacement, or one that waited for a node.
type arrival struct {
	pod  *corev1.Pod
	node string
	// wave counts from 1; 0 is before any change. at is the time after the wave's
	// taints at which the pod gets its node.
	wave int
	at   time.Duration
}
