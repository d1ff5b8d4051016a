package agree

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// shrinkTime bounds the search for a smaller case.
const shrinkTime = 90 * time.Second

// differs says how a pod's answers differ on the cluster as it is; empty means that
// they agree.
type differs func(ctx context.Context, pod *corev1.Pod) (string, error)

// keep shrinks a case that differs, writes it to testdata/cases and puts the
// generated cluster back.
func (r *runner) keep(ctx context.Context, c *kase, t *trial, differs differs) error {
	s := shrinker{world: r.world, differs: differs, objects: slices.Clone(c.objects), pod: t.pod.DeepCopy(), until: time.Now().Add(shrinkTime)}
	if err := s.shrink(ctx); err != nil {
		return err
	}
	path := filepath.Join(keptFolder, fmt.Sprintf("found-%d-%s.yaml", r.seed, t.pod.Name))
	if err := s.write(ctx, path); err != nil {
		return err
	}
	r.t.Logf("kept as %s: %d objects", path, len(s.objects))
	return r.world.build(ctx, c.objects)
}

// shrinker drops objects and fields while the difference lasts.
type shrinker struct {
	world   *world
	differs differs
	objects []snapshot.Object
	pod     *corev1.Pod
	until   time.Time
}

func (s *shrinker) shrink(ctx context.Context) error {
	for again := true; again && time.Now().Before(s.until); {
		again = false
		for i := range slices.Backward(s.objects) {
			fewer := slices.Delete(slices.Clone(s.objects), i, i+1)
			dropped, err := s.try(ctx, fewer, s.pod)
			if err != nil {
				return err
			}
			again = again || dropped
		}
		for _, drop := range podParts {
			smaller := s.pod.DeepCopy()
			if !drop(&smaller.Spec) {
				continue
			}
			dropped, err := s.try(ctx, s.objects, smaller)
			if err != nil {
				return err
			}
			again = again || dropped
		}
	}
	return nil
}

// try takes the smaller case when it differs too. One that cannot be built (an
// object that another needs is gone) is no case.
func (s *shrinker) try(ctx context.Context, objects []snapshot.Object, pod *corev1.Pod) (taken bool, err error) {
	if time.Now().After(s.until) {
		return false, nil
	}
	if err := s.world.build(ctx, objects); err != nil {
		return false, s.world.clear(ctx)
	}
	difference, err := s.differs(ctx, pod)
	if err != nil || difference == "" {
		return false, nil
	}
	s.objects, s.pod = objects, pod
	return true, nil
}

// write keeps the case with what the scheduler says of it.
func (s *shrinker) write(ctx context.Context, path string) error {
	if err := s.world.build(ctx, s.objects); err != nil {
		return err
	}
	snap, err := s.world.settled(ctx)
	if err != nil {
		return err
	}
	time.Sleep(settleLonger)
	created, answer, err := s.world.try(ctx, s.pod, true)
	if err != nil {
		return err
	}
	if err := s.world.retract(ctx, created); err != nil {
		return err
	}
	if err := s.world.afterwards(ctx, s.pod); err != nil {
		return err
	}
	return write(path, snap, []*corev1.Pod{created}, []said{answer})
}

// podParts drop a part of a pod; each says whether there was one.
var podParts = []func(*corev1.PodSpec) bool{
	func(s *corev1.PodSpec) bool { return drop(&s.Affinity) },
	func(s *corev1.PodSpec) bool { return s.Affinity != nil && drop(&s.Affinity.NodeAffinity) },
	func(s *corev1.PodSpec) bool { return s.Affinity != nil && drop(&s.Affinity.PodAffinity) },
	func(s *corev1.PodSpec) bool { return s.Affinity != nil && drop(&s.Affinity.PodAntiAffinity) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.TopologySpreadConstraints) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.Tolerations) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.InitContainers) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.SchedulingGates) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.Volumes) },
	func(s *corev1.PodSpec) bool { return dropAll(&s.Containers[0].Ports) },
	func(s *corev1.PodSpec) bool { return drop(&s.Resources) },
	func(s *corev1.PodSpec) bool { return drop(&s.RuntimeClassName) },
	func(s *corev1.PodSpec) bool {
		dropped := s.PriorityClassName != ""
		s.PriorityClassName = ""
		return dropped
	},
	func(s *corev1.PodSpec) bool { dropped := s.NodeSelector != nil; s.NodeSelector = nil; return dropped },
	func(s *corev1.PodSpec) bool {
		s.Containers[0].Resources.Claims = nil
		return dropAll(&s.ResourceClaims)
	},
	func(s *corev1.PodSpec) bool {
		dropped := len(s.Containers[0].Resources.Requests) > 0
		s.Containers[0].Resources.Requests, s.Containers[0].Resources.Limits = nil, nil
		return dropped
	},
}

func drop[T any](field **T) bool {
	dropped := *field != nil
	*field = nil
	return dropped
}

func dropAll[T any](list *[]T) bool {
	dropped := len(*list) > 0
	*list = nil
	return dropped
}
