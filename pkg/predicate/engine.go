package predicate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/dynamic-resource-allocation/deviceclass/extendedresourcecache"
	resourceslicetracker "k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Engine evaluates pods against one snapshot. See the package comment.
type Engine struct {
	config    *Config
	snapshot  *snapshot.Snapshot
	lister    *sharedLister
	objects   *objects
	nominator *nominator
	budgets   *budgets
	profiles  map[string]*profile
	workers   int
	// scratch holds the scores of the pod that is being placed.
	scratch fwk.NodeScoreList
	stop    context.CancelFunc
	ctx     context.Context
}

// plugin is any plugin of the framework.
type plugin = fwk.Plugin

// profile is one scheduler profile's framework and plugin instances, in the
// framework's order.
type profile struct {
	framework  framework.Framework
	preEnqueue []fwk.PreEnqueuePlugin
	preFilter  []fwk.PreFilterPlugin
	filter     []fwk.FilterPlugin
	score      []weighted
	preemption *defaultpreemption.DefaultPreemption
	// claims is what DynamicResources keeps of claims; nil when it is off.
	claims fwk.SharedDRAManager
	// release is DynamicResources where its PostFilter comes before preemption.
	release fwk.PostFilterPlugin
}

// weighted is a plugin whose scores count so many times.
type weighted struct {
	fwk.ScorePlugin
	weight int64
}

// registerMetrics: the plugins count into the scheduler's metrics, which are nil
// until they are registered, once a process.
var registerMetrics = sync.OnceFunc(metrics.Register)

// New makes an engine over a snapshot. Cancelling ctx, or Close, ends its few
// background goroutines.
func New(ctx context.Context, snap *snapshot.Snapshot, config *Config) (*Engine, error) {
	return newEngine(ctx, snap, config, newNodeList(snap.Nodes, snap.Pods), newNominator(snap.Pods, config), newBudgets(snap.PodDisruptionBudgets), runtime.GOMAXPROCS(0))
}

func newEngine(ctx context.Context, snap *snapshot.Snapshot, config *Config, nodes *nodeList, nominator *nominator, budgets *budgets, workers int) (*Engine, error) {
	registerMetrics()
	objects, err := newObjects(snap, config.options.Kinds)
	if err != nil {
		return nil, fmt.Errorf("preparing the snapshot: %w", err)
	}
	ctx, stop := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	return &Engine{
		config:    config,
		snapshot:  snap,
		lister:    &sharedLister{current: nodes},
		objects:   objects,
		nominator: nominator,
		budgets:   budgets,
		profiles:  map[string]*profile{},
		workers:   workers,
		ctx:       ctx,
		stop:      stop,
	}, nil
}

// Fork returns an engine over the same nodes and pods, as they stand with the
// edits in force, for use by another goroutine. It evaluates on one core.
func (e *Engine) Fork() (*Engine, error) {
	return newEngine(e.ctx, e.snapshot, e.config, e.lister.current.clone(), e.nominator.clone(), e.budgets.clone(), 1)
}

// Close ends the engine's background goroutines.
func (e *Engine) Close() { e.stop() }

// Config returns what the engine was made with.
func (e *Engine) Config() *Config { return e.config }

// ErrUnknownScheduler means that no profile has the pod's spec.schedulerName.
var ErrUnknownScheduler = errors.New("no profile of that scheduler name")

// forPod returns the pod's profile, made on its first use.
func (e *Engine) forPod(pod *corev1.Pod) (*profile, error) {
	name := pod.Spec.SchedulerName
	if name == "" {
		name = corev1.DefaultSchedulerName
	}
	if p, ok := e.profiles[name]; ok {
		return p, nil
	}
	wanted := e.config.profile(name)
	if wanted == nil {
		return nil, fmt.Errorf("pod %s: scheduler %q: %w", podKey(pod), name, ErrUnknownScheduler)
	}
	p, err := e.newProfile(wanted)
	if err != nil {
		return nil, fmt.Errorf("scheduler profile %q: %w", name, err)
	}
	e.profiles[name] = p
	return p, nil
}

func (e *Engine) newProfile(wanted *schedconfig.KubeSchedulerProfile) (*profile, error) {
	claims, err := e.claimManager()
	if err != nil {
		return nil, err
	}
	kept := map[string]plugin{}
	registry, err := e.registry(kept)
	if err != nil {
		return nil, err
	}
	f, err := frameworkruntime.NewFramework(e.ctx, registry, wanted.DeepCopy(),
		frameworkruntime.WithClientSet(e.objects.client),
		frameworkruntime.WithInformerFactory(e.objects.factory),
		frameworkruntime.WithSharedDRAManager(claims),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(e.objects.factory.Storage().V1().CSINodes().Lister())),
		frameworkruntime.WithSnapshotSharedLister(e.lister),
		frameworkruntime.WithMutableSnapshotLister(e.lister),
		frameworkruntime.WithParallelism(e.workers),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
		frameworkruntime.WithLogger(logr.Discard()),
	)
	if err != nil {
		return nil, err
	}
	if err := e.objects.unserved(e.ctx); err != nil {
		return nil, err
	}
	f.SetPodNominator(e.nominator)
	p := orderedProfile(f, kept)
	p.claims = claims
	return p, nil
}

// orderedProfile sorts the kept instances into the framework's order, with
// MultiPoint expanded.
func orderedProfile(f framework.Framework, kept map[string]plugin) *profile {
	p := &profile{framework: f, preEnqueue: f.PreEnqueuePlugins()}
	listed := f.ListPlugins()
	for _, entry := range listed.PreFilter.Enabled {
		if instance, ok := kept[entry.Name].(fwk.PreFilterPlugin); ok {
			p.preFilter = append(p.preFilter, instance)
		}
	}
	for _, entry := range listed.Filter.Enabled {
		if instance, ok := kept[entry.Name].(fwk.FilterPlugin); ok {
			p.filter = append(p.filter, instance)
		}
	}
	for _, entry := range listed.Score.Enabled {
		if instance, ok := kept[entry.Name].(fwk.ScorePlugin); ok {
			p.score = append(p.score, weighted{instance, int64(entry.Weight)})
		}
	}
	for _, entry := range listed.PostFilter.Enabled {
		if instance, ok := kept[entry.Name].(*defaultpreemption.DefaultPreemption); ok {
			p.preemption = instance
		}
		if entry.Name == DynamicResources && p.preemption == nil {
			p.release, _ = kept[entry.Name].(fwk.PostFilterPlugin)
		}
	}
	return p
}

// registry wraps the factories so that every instance made is kept.
func (e *Engine) registry(kept map[string]plugin) (frameworkruntime.Registry, error) {
	known, err := e.config.options.registry()
	if err != nil {
		return nil, err
	}
	wrapped := frameworkruntime.Registry{}
	for name, factory := range known {
		wrapped[name] = e.keep(factory, name, kept)
	}
	return wrapped, nil
}

// keep wraps a plugin factory so that the instance made is kept under its name.
func (e *Engine) keep(factory frameworkruntime.PluginFactory, name string, kept map[string]plugin) frameworkruntime.PluginFactory {
	return func(ctx context.Context, args apiruntime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		instance, err := factory(ctx, args, handle)
		if even, ok := instance.(*podtopologyspread.PodTopologySpread); ok {
			instance = &spread{PodTopologySpread: even, lister: e.lister, objects: e.objects.factory}
		}
		kept[name] = instance
		return instance, err
	}
}

// claimManager is the scheduler's own view of devices and claims, fed from the
// snapshot. Each profile has one; a claim that a placement has bound is changed in the
// snapshot (boundClaims), where all see it.
func (e *Engine) claimManager() (fwk.SharedDRAManager, error) {
	if !utilfeature.DefaultFeatureGate.Enabled(features.DynamicResourceAllocation) {
		return nil, nil
	}
	resources := e.objects.factory.Resource().V1()
	options := resourceslicetracker.Options{
		EnableDeviceTaintRules:   utilfeature.DefaultFeatureGate.Enabled(features.DRADeviceTaintRules),
		EnableConsumableCapacity: utilfeature.DefaultFeatureGate.Enabled(features.DRAConsumableCapacity),
		SliceInformer:            resources.ResourceSlices(),
	}
	if options.EnableDeviceTaintRules {
		options.TaintInformer = resources.DeviceTaintRules()
	}
	tracker, err := resourceslicetracker.StartTracker(e.ctx, options)
	if err != nil {
		return nil, fmt.Errorf("tracking resource slices: %w", err)
	}
	claims := assumecache.NewAssumeCache(logr.Discard(), resources.ResourceClaims().Informer(), "ResourceClaim", "", nil)
	manager := dynamicresources.NewDRAManager(e.ctx, claims, tracker, e.objects.factory)
	if classes, ok := manager.DeviceClassResolver().(*extendedresourcecache.ExtendedResourceCache); ok && classes != nil {
		if _, err := resources.DeviceClasses().Informer().AddEventHandler(cache.ResourceEventHandler(classes)); err != nil {
			return nil, err
		}
	}
	return manager, nil
}
