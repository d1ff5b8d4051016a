package workload

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestUncharged(t *testing.T) {
	for name, want := range map[string]string{
		"Deployment.apps":             "",
		"Service.serving.knative.dev": "Deployment.apps of this Service.serving.knative.dev is charged, for which the label must stand in spec.template.metadata.labels",
		"Farm.example.com":            "the kind Farm.example.com is not known; what it makes is charged where that has the label, or declare the kind (--workload-kinds)",
	} {
		got := Default().Uncharged(schema.ParseGroupKind(name))
		if (got == "") != (want == "") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want %q at its end", name, got, want)
		}
	}
	for name, want := range map[string]bool{"Deployment.apps": true, "Service.serving.knative.dev": true, "Service": false, "Farm.example.com": false} {
		if got := Default().Known(schema.ParseGroupKind(name)); got != want {
			t.Errorf("%s is known: %t, want %t", name, got, want)
		}
	}
	for _, o := range readOthers().Others {
		if Default().Of(schema.ParseGroupKind(o.By)) == nil {
			t.Errorf("%s.%s: charged by %s, which the table does not have", o.Kind, o.Group, o.By)
		}
		if kind := (schema.GroupKind{Group: o.Group, Kind: o.Kind}); Default().Of(kind) != nil {
			t.Errorf("%s is a workload kind", kind)
		}
	}
}

func TestMakesNoPods(t *testing.T) {
	for name, want := range map[string]bool{
		"ConfigMap": true, "Pod": false, "ReplicationController": false, "HorizontalPodAutoscaler.autoscaling": true, "ServiceMonitor.monitoring.coreos.com": true,
		"Prometheus.monitoring.coreos.com": false, "Service.serving.knative.dev": false, "Deployment.apps": false, "Farm.example.com": false,
	} {
		if got := Default().MakesNoPods(schema.ParseGroupKind(name)); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}
