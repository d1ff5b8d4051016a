package quota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// knownKeys are offered in place of a mistyped key.
var knownKeys = []string{
	"pods", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
	"requests.nvidia.com/gpu", "cpu", "memory", "cash/limits.cpu", "cash/requests.cpu", "cash/requests.nvidia.com/gpu",
}

// otherNames are what people call a resource, by which they are likely to ask for it;
// empty where only they know which one they mean.
var otherNames = map[string]string{
	"gpu": "nvidia.com/gpu", "gpus": "nvidia.com/gpu", "tpu": "google.com/tpu", "tpus": "google.com/tpu", "npu": "", "npus": "", "xpu": "", "accelerator": "",
	"disk": "ephemeral-storage", "storage": "ephemeral-storage", "mem": "memory", "ram": "memory", "cores": "cpu", "core": "cpu", "vcpu": "cpu", "vcpus": "cpu",
}

// devices are the extended resources that are well known.
var devices = []string{
	"nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "google.com/tpu", "aws.amazon.com/neuron", "huawei.com/Ascend910", "habana.ai/gaudi",
}

// keyHint is "; did you mean "requests.nvidia.com/gpu"?" of an unknown key, or what else
// there is to do, or empty: a resource's name alone, or what people call it, is asked for
// by its requests; else the nearest key is offered. Every key offered is one that counts.
func keyHint(key corev1.ResourceName) string {
	text := string(key)
	if objects := "count/"; strings.HasPrefix(text, objects) && text != objects+string(corev1.ResourcePods) || ofStorage(text) {
		return "; objects and volumes are limited by a ResourceQuota"
	}
	if class, ok := strings.CutSuffix(text, ".deviceclass.resource.k8s.io/devices"); ok {
		return didYouMean(requestsPrefix + "deviceclass.resource.kubernetes.io/" + class)
	}
	meant, word := meantBy(text)
	if meant != "" {
		return didYouMean(meant)
	}
	if known, ok := otherNames[word]; ok && known == "" {
		return fmt.Sprintf("; write the resource that its nodes list: %sDOMAIN/%s", requestsPrefix, word)
	}
	return nearest.DidYouMean(text, knownKeys)
}

func didYouMean(key string) string { return fmt.Sprintf("; did you mean %q?", key) }

// ofStorage says whether a key is one of ResourceQuota's for volumes: of a storage class, or
// persistentvolumeclaims.
func ofStorage(key string) bool {
	return strings.Contains(key, ".storageclass.storage.k8s.io/") || strings.HasPrefix(key, "persistentvolumeclaim")
}

// meantBy is the key that is another spelling of what counts, "" where there is none, and
// the word in it that names the resource.
func meantBy(key string) (meant, word string) {
	name, cash := strings.CutPrefix(key, cashPrefix)
	name = strings.TrimPrefix(name, "count/")
	if of, ok := strings.CutSuffix(strings.TrimSuffix(name, "s"), "-hour"); ok {
		name, cash = of, true
	}
	prefix := requestsPrefix
	for _, given := range []string{requestsPrefix, limitsPrefix} {
		if len(name) > len(given) && strings.EqualFold(name[:len(given)], given) {
			prefix, name = given, name[len(given):]
		}
	}
	word, model, _ := strings.Cut(name, ".")
	word = strings.ToLower(word)
	known, ok := otherNames[word]
	switch {
	case ok && known == "":
		return "", word
	case ok && model != "" && !strings.Contains(known, "storage"):
		name = known + "." + model
	case ok:
		name = known
	}
	for _, form := range []string{prefix + name, requestsPrefix + name, strings.ToLower(prefix + name), strings.ToLower(name)} {
		full := corev1.ResourceName(form)
		if cash {
			full = cashKey(full)
		}
		if string(full) != key && validateKey(full) == nil {
			return string(full), word
		}
	}
	return "", word
}

// misspelt says which keys are of a resource that differs from a well-known one by its
// case, or by the sign before a model: no pod asks for such, and so none is limited.
func misspelt(group *Group) []string {
	var warnings []string
	for _, key := range Keys(group.Spec.Hard) {
		prefix, name, _ := strings.Cut(string(key), requestsPrefix)
		for _, device := range devices {
			if len(name) < len(device) || !strings.EqualFold(name[:len(device)], device) {
				continue
			}
			rest := name[len(device):]
			if model := strings.TrimLeft(rest, "-_"); model != rest && model != "" {
				rest = "." + model
			}
			if rest != "" && rest[0] != '.' || name == device+rest {
				continue
			}
			warnings = append(warnings, fmt.Sprintf("spec.hard[%s]: %s is another resource than %s%s", key, name, device, didYouMean(prefix+requestsPrefix+device+rest)))
		}
	}
	return slices.Compact(warnings)
}
