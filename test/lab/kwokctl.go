package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// clusterName is kwokctl's name of the cluster: the same in every lab, as each has a work directory of its own.
const clusterName = "lab"

// heartbeatFactor stretches node heartbeats and the node controller's patience alike, so that thousands of
// idle nodes cost nothing.
const heartbeatFactor = 100

// gcPercent is GOGC of the components: measured, it saves the API server a quarter of its time under load, for
// half as much memory again.
const gcPercent = "300"

// clusterDir is where kwokctl keeps the cluster of the lab in dir.
func clusterDir(dir string) string { return filepath.Join(dir, "clusters", clusterName) }

// binaries returns the directory of the lab's binaries, and builds them first if need be.
func binaries(ctx context.Context, log io.Writer) (string, error) {
	script, err := buildScript()
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", script)
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, log)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("lab: building the binaries with %s: %w\n%s", script, err, stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// buildScript finds hack/lab/build.sh in the repository around the working directory, which for a test is its
// package's.
func buildScript() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		script := filepath.Join(dir, "hack", "lab", "build.sh")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("lab: no hack/lab/build.sh in %s or above it: run inside the repository", start)
		}
	}
}

// createCluster has kwokctl start the cluster in dir.
func createCluster(ctx context.Context, dir, bin string, opts Options) error {
	config, err := kwokctlConfig(dir, bin, opts)
	if err != nil {
		return err
	}
	configPath := filepath.Join(dir, "kwokctl.yaml")
	if err := os.WriteFile(configPath, config, 0o600); err != nil {
		return err
	}
	kwokctl := filepath.Join(dir, "kwokctl") // a path in dir, so that it is reaped with the rest
	if err := os.Symlink(filepath.Join(bin, "kwokctl"), kwokctl); err != nil {
		return err
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, kwokctl, "create", "cluster", "--name", clusterName, "--config", configPath,
		"--wait", "120s", "--kubeconfig", filepath.Join(dir, "kubeconfig"))
	cmd.Env = append(os.Environ(), "KWOK_WORKDIR="+dir, "KUBECACHEDIR="+filepath.Join(dir, "cache"), "GOGC="+gcPercent)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab: kwokctl create cluster: %w\n%s", err, output.Bytes())
	}
	return nil
}

// kwokctlConfig renders the KwokctlConfiguration of the lab.
func kwokctlConfig(dir, bin string, opts Options) ([]byte, error) {
	ports, err := FreePorts(6)
	if err != nil {
		return nil, err
	}
	options := map[string]any{
		"runtime":                     "binary",
		"bindAddress":                 "127.0.0.1",
		"kubeVersion":                 filepath.Base(filepath.Dir(bin)),
		"kubeApiserverBinary":         filepath.Join(bin, "kube-apiserver"),
		"kubeControllerManagerBinary": filepath.Join(bin, "kube-controller-manager"),
		"kubeSchedulerBinary":         filepath.Join(bin, "kube-scheduler"),
		"kubectlBinary":               filepath.Join(bin, "kubectl"),
		"kwokControllerBinary":        filepath.Join(bin, "kwok"),
		"etcdBinary":                  filepath.Join(bin, "etcd"),
		"etcdctlBinary":               filepath.Join(bin, "etcdctl"),
		"etcdPort":                    ports[0],
		"etcdPeerPort":                ports[1],
		"kubeApiserverPort":           ports[2],
		"kubeControllerManagerPort":   ports[3],
		"kubeSchedulerPort":           ports[4],
		"kwokControllerPort":          ports[5],
		"disableQPSLimits":            true,
		"heartbeatFactor":             heartbeatFactor,
		"disable":                     opts.Without,
		"kubeFeatureGates":            switches(opts.FeatureGates),
		"kubeRuntimeConfig":           switches(opts.RuntimeConfig),
	}
	if opts.SchedulerConfig != "" {
		path := filepath.Join(dir, "scheduler.yaml")
		if err := unlimitScheduler(opts.SchedulerConfig, path); err != nil {
			return nil, err
		}
		options["kubeSchedulerConfig"] = path
	}
	return yaml.Marshal(map[string]any{
		"apiVersion":        "config.kwok.x-k8s.io/v1alpha1",
		"kind":              "KwokctlConfiguration",
		"options":           options,
		"componentsPatches": componentPatches(opts),
	})
}

// componentPatches returns the flags that the lab and its user add to each component's.
func componentPatches(opts Options) []map[string]any {
	args := map[Component]map[string]string{
		Etcd:              {"unsafe-no-fsync": "true"},
		APIServer:         {"delete-collection-workers": "16"},
		ControllerManager: {"leader-elect": "false"},
		Scheduler:         {"leader-elect": "false"},
	}
	if opts.without(ControllerManager) {
		args[APIServer]["disable-admission-plugins"] = "ServiceAccount,TaintNodesByCondition"
	}
	for component, extra := range opts.ExtraArgs {
		if args[component] == nil {
			args[component] = map[string]string{}
		}
		maps.Copy(args[component], extra)
	}
	var patches []map[string]any
	for _, component := range slices.Sorted(maps.Keys(args)) {
		var extra []map[string]any
		for _, key := range slices.Sorted(maps.Keys(args[component])) {
			extra = append(extra, map[string]any{"key": key, "value": args[component][key]})
		}
		patches = append(patches, map[string]any{"name": component, "extraArgs": extra})
	}
	return patches
}

// unlimitScheduler copies a KubeSchedulerConfiguration and lifts its client's rate limits where it sets none:
// with a configuration file, kube-scheduler takes no notice of the flags for it.
func unlimitScheduler(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("lab: Options.SchedulerConfig: %w", err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(data, &config); err != nil || config == nil {
		return fmt.Errorf("lab: Options.SchedulerConfig %s: expected a KubeSchedulerConfiguration: %w", from, err)
	}
	connection, ok := config["clientConnection"].(map[string]any)
	if !ok {
		connection = map[string]any{}
		config["clientConnection"] = connection
	}
	if _, ok := connection["qps"]; !ok {
		connection["qps"], connection["burst"] = 5000, 10000
	}
	if data, err = yaml.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// without says whether a component was left out.
func (o Options) without(c Component) bool { return slices.Contains(o.Without, c) }

// switches renders {"a": true, "b": false} as a=true,b=false.
func switches(m map[string]bool) string {
	var s []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		s = append(s, name+"="+strconv.FormatBool(m[name]))
	}
	return strings.Join(s, ",")
}

// FreePorts returns n distinct ports that nobody listens on, below the range that Linux takes for outgoing
// connections, so that none is lost between here and its user's start.
func FreePorts(n int) ([]int, error) {
	const low, high, tries = 15000, 30000, 10000
	var ports []int
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := low + rand.IntN(high-low)
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		defer listener.Close() // held until all are found: no port twice
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("lab: no %d free TCP ports from %d to %d", n, low, high)
}
