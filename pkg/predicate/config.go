package predicate

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/features"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
)

// Minor is the minor version of the kube-scheduler that is linked in.
const Minor = 37

// Config is a scheduler configuration reduced to what can be run here.
type Config struct {
	// Assumed is true when no configuration was given and the default profile
	// stands in for it.
	Assumed bool
	// Extenders are the URLs of the configured extenders. They are never called.
	Extenders []string
	// Unknown are the plugins that profiles enable and that are neither in-tree nor in
	// the registry of Options.
	Unknown []string

	options  Options
	profiles []schedconfig.KubeSchedulerProfile
	// further is true where a profile enables a plugin of the registry of Options.
	further bool
	// percentage is percentageOfNodesToScore of all profiles that have none.
	percentage int32
}

// ParseConfig reads a KubeSchedulerConfiguration (YAML or JSON). Empty text gives
// the default configuration, marked Assumed. Plugins that are neither in-tree nor in
// the registry of the options are taken out of the profiles and named in Unknown. The
// error names what is wrong with the text, or with the options.
func ParseConfig(text []byte, opts Options) (*Config, error) {
	internal, err := decodeConfig(text)
	if err != nil {
		return nil, err
	}
	registry, err := opts.registry()
	if err != nil {
		return nil, err
	}
	config := &Config{Assumed: len(text) == 0, options: opts, profiles: internal.Profiles}
	if internal.PercentageOfNodesToScore != nil {
		config.percentage = *internal.PercentageOfNodesToScore
	}
	for i := range internal.Extenders {
		config.Extenders = append(config.Extenders, internal.Extenders[i].URLPrefix)
	}
	if err := ignoreExtenderResources(config.profiles, internal.Extenders); err != nil {
		return nil, err
	}
	known := sets.KeySet(registry)
	unknown := sets.New[string]()
	for i := range config.profiles {
		if p := config.profiles[i].Plugins; p != nil {
			dropUnknown(p, known, unknown)
			config.further = config.further || opts.enabledIn(p)
			// A profile needs one of each; which one decides no verdict.
			orDefault(&p.QueueSort, names.PrioritySort)
			orDefault(&p.Bind, names.DefaultBinder)
		}
	}
	config.Unknown = sets.List(unknown)
	return config, nil
}

func decodeConfig(text []byte) (*schedconfig.KubeSchedulerConfiguration, error) {
	if len(text) == 0 {
		return latest.Default()
	}
	object, kind, err := scheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("scheduler configuration: %w", err)
	}
	config, ok := object.(*schedconfig.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("scheduler configuration: kind is %s, expected KubeSchedulerConfiguration of %s", kind.Kind, kind.GroupVersion())
	}
	if len(config.Profiles) == 0 {
		return nil, fmt.Errorf("scheduler configuration: profiles: expected at least one")
	}
	return config, nil
}

// Schedulers names the profiles, sorted.
func (c *Config) Schedulers() []string {
	names := sets.New[string]()
	for i := range c.profiles {
		names.Insert(c.profiles[i].SchedulerName)
	}
	return sets.List(names)
}

// FurtherPlugins says whether a profile enables plugins of the registry of Options: what
// these read of a pod is not known.
func (c *Config) FurtherPlugins() bool { return c.further }

func (c *Config) profile(scheduler string) *schedconfig.KubeSchedulerProfile {
	for i := range c.profiles {
		if c.profiles[i].SchedulerName == scheduler {
			return &c.profiles[i]
		}
	}
	return nil
}

// profileOf returns the profile that a pod names, nil when there is none.
func (c *Config) profileOf(pod *corev1.Pod) *schedconfig.KubeSchedulerProfile {
	if pod.Spec.SchedulerName == "" {
		return c.profile(corev1.DefaultSchedulerName)
	}
	return c.profile(pod.Spec.SchedulerName)
}

// dropUnknown removes plugins that are not known from every extension point.
func dropUnknown(p *schedconfig.Plugins, known, unknown sets.Set[string]) {
	for _, set := range pluginSets(p) {
		set.Enabled = slices.DeleteFunc(set.Enabled, func(plugin schedconfig.Plugin) bool {
			if known.Has(plugin.Name) {
				return false
			}
			unknown.Insert(plugin.Name)
			return true
		})
	}
}

// pluginSets are the plugins of every extension point.
func pluginSets(p *schedconfig.Plugins) []*schedconfig.PluginSet {
	return []*schedconfig.PluginSet{
		&p.PreEnqueue, &p.QueueSort, &p.PreFilter, &p.Filter, &p.PostFilter, &p.PreScore, &p.Score,
		&p.Reserve, &p.Permit, &p.PreBind, &p.Bind, &p.PostBind, &p.PlacementGenerate, &p.PlacementScore,
		&p.PodGroupPostFilter, &p.MultiPoint,
	}
}

// orDefault enables a plugin where those of the set were all unknown.
func orDefault(set *schedconfig.PluginSet, name string) {
	if len(set.Enabled) == 0 && len(set.Disabled) > 0 {
		set.Enabled = []schedconfig.Plugin{{Name: name}}
	}
}

// ignoreExtenderResources gives NodeResourcesFit the resources that an extender
// manages alone, as the scheduler's buildExtenders does.
func ignoreExtenderResources(profiles []schedconfig.KubeSchedulerProfile, extenders []schedconfig.Extender) error {
	var ignored []string
	for i := range extenders {
		for _, resource := range extenders[i].ManagedResources {
			if resource.IgnoredByScheduler {
				ignored = append(ignored, resource.Name)
			}
		}
	}
	if len(ignored) == 0 {
		return nil
	}
	for i := range profiles {
		args, err := fitArgs(&profiles[i])
		if err != nil {
			return err
		}
		args.IgnoredResources = ignored
	}
	return nil
}

func fitArgs(profile *schedconfig.KubeSchedulerProfile) (*schedconfig.NodeResourcesFitArgs, error) {
	for i := range profile.PluginConfig {
		if profile.PluginConfig[i].Name != noderesources.Name {
			continue
		}
		if args, ok := profile.PluginConfig[i].Args.(*schedconfig.NodeResourcesFitArgs); ok {
			return args, nil
		}
	}
	return nil, fmt.Errorf("scheduler configuration: profile %q has extenders with managedResources but no NodeResourcesFit arguments", profile.SchedulerName)
}

// emulation guards the feature gates, which upstream keeps in one global.
var emulation sync.Mutex

// Emulate sets the scheduler's feature gates to the defaults of an older minor
// version of the server ("v1.35.2"), as far back as this release can emulate. It
// returns the version that is in force and must be called before ParseConfig,
// as the gates decide the default profile.
func Emulate(server string) (inForce string, err error) {
	emulation.Lock()
	defer emulation.Unlock()
	gates := utilfeature.DefaultMutableFeatureGate
	linked := version.MajorMinor(1, Minor)
	wanted := linked
	if server != "" {
		parsed, err := version.ParseGeneric(strings.TrimSpace(server))
		if err != nil {
			return "", fmt.Errorf("server version %q: %w", server, err)
		}
		wanted = version.MajorMinor(parsed.Major(), parsed.Minor())
	}
	oldest := version.MajorMinor(1, Minor-3)
	switch {
	case wanted.LessThan(oldest):
		wanted = oldest
	case linked.LessThan(wanted):
		wanted = linked
	}
	// A toleration by comparison is one only if the API server lets it in, by a gate that
	// is not known here: then the cluster's scheduler has it too.
	if err := gates.OverrideDefaultAtVersion(features.TaintTolerationComparisonOperators, true, linked); err != nil {
		return "", fmt.Errorf("tolerations by comparison: %w", err)
	}
	if err := gates.SetEmulationVersion(wanted); err != nil {
		return "", fmt.Errorf("emulating Kubernetes %s: %w", wanted, err)
	}
	return "v" + wanted.String(), nil
}
