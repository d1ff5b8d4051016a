package explain

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/simulate"
)

// shared is what explainers of one snapshot compute once.
type shared struct {
	mu     sync.Mutex
	usesOf map[corev1.ResourceName][]use

	// plans are the verified changes, for trying and rendering the same one on pods
	// alike, and for who asks for their edits.
	plans map[planKey]plan

	classesOnce sync.Once
	classes     []*nodeClass

	alikeOnce sync.Once
	alikeKeys *simulate.Alike
}

type planKey struct {
	of     objectKey
	remedy string
}

// plan is a verified change of one pod or of the cluster for it.
type plan struct {
	pod *corev1.Pod
	candidate
}

// of is the same change of another pod.
func (p plan) of(pod *corev1.Pod) plan { return plan{pod, p.candidate} }

func (s *shared) keepPlan(of objectKey, p plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans[planKey{of, p.id()}] = p
}

func (s *shared) plan(of objectKey, remedy string) (plan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.plans[planKey{of, remedy}]
	return p, ok
}

// nodeClasses are the classes of the snapshot's nodes.
func (s *shared) nodeClasses(nodes []*corev1.Node) []*nodeClass {
	s.classesOnce.Do(func() { s.classes = nodeClasses(nodes) })
	return s.classes
}

// progress tells from one goroutine at a time.
func (s *shared) progress(tell func(done, total int), done, total int) {
	if tell == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tell(done, total)
}

func (s *shared) users(name corev1.ResourceName, count func(corev1.ResourceName) []use) []use {
	s.mu.Lock()
	defer s.mu.Unlock()
	uses, ok := s.usesOf[name]
	if !ok {
		uses = count(name)
		s.usesOf[name] = uses
	}
	return uses
}

// use is what one workload holds of a resource.
type use struct {
	who    string
	amount int64
	since  time.Time
}

// add counts an amount that is held since then.
func (u *use) add(amount int64, since time.Time) {
	if u.amount == 0 || since.Before(u.since) {
		u.since = since
	}
	u.amount += amount
}
