package quota

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// knownKeys are offered in place of a mistyped key.
var knownKeys = []string{
	"pods", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
	"requests.nvidia.com/gpu", "cpu", "memory", "cash/limits.cpu", "cash/requests.cpu", "cash/requests.nvidia.com/gpu",
}

// otherNames are what people call a resource, by which they are likely to ask for it.
var otherNames = map[string]string{
	"gpu": "nvidia.com/gpu", "gpus": "nvidia.com/gpu", "disk": "ephemeral-storage", "storage": "ephemeral-storage", "mem": "memory", "cores": "cpu", "core": "cpu",
}

// keyHint is "; did you mean "requests.nvidia.com/gpu"?" of an unknown key, or empty: a
// resource's name alone, or what people call it, is asked for by its requests; else the
// nearest key is offered.
func keyHint(key corev1.ResourceName) string {
	name, cash := strings.CutPrefix(string(key), cashPrefix)
	for _, prefix := range []string{requestsPrefix, limitsPrefix} {
		name = strings.TrimPrefix(name, prefix)
	}
	word, model, _ := strings.Cut(name, ".")
	if known, ok := otherNames[strings.ToLower(word)]; ok {
		if name = known; model != "" && !strings.Contains(known, "storage") {
			name += "." + model
		}
	}
	meant := corev1.ResourceName(requestsPrefix + name)
	if cash {
		meant = cashKey(meant)
	}
	if meant == key || validateKey(meant) != nil {
		return nearest.DidYouMean(string(key), knownKeys)
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}
