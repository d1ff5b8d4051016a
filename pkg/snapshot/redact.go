package snapshot

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Redact returns a copy of s to show to strangers: without annotations and image
// names (environment and commands are never kept, see Kind.Reduce). Annotations
// that change where a pod fits stay: the default storage class, a claim's
// selected node and the like.
func Redact(s *Snapshot) *Snapshot {
	redacted := &Snapshot{Source: s.Source, ServerVersion: s.ServerVersion, TakenAt: s.TakenAt, Ignored: s.Ignored, Missing: s.Missing}
	for _, k := range s.kinds() {
		for _, o := range k.Objects(s) {
			copied := o.DeepCopyObject().(Object)
			copied.SetAnnotations(redactAnnotations(copied.GetAnnotations()))
			if u, ok := copied.(*unstructured.Unstructured); ok && k.Label != "" {
				redactLabelled(u)
			} else if t := template(copied); t != nil {
				t.Annotations = redactAnnotations(t.Annotations)
				redactImages(&t.Spec)
			} else if pod, ok := copied.(*corev1.Pod); ok {
				redactImages(&pod.Spec)
			}
			k.add(redacted, copied)
		}
	}
	return redacted
}

// decidingPrefixes are those of the annotations that scheduler plugins read, on
// volumes, claims, classes and CSI nodes.
func decidingPrefixes() []string {
	return []string{
		"volume.kubernetes.io/", "volume.beta.kubernetes.io/", "pv.kubernetes.io/",
		"storageclass.kubernetes.io/", "storageclass.beta.kubernetes.io/", "storage.alpha.kubernetes.io/",
		"resource.kubernetes.io/",
	}
}

func redactAnnotations(annotations map[string]string) map[string]string {
	var kept map[string]string
	for key, value := range annotations {
		for _, prefix := range decidingPrefixes() {
			if strings.HasPrefix(key, prefix) {
				if kept == nil {
					kept = map[string]string{}
				}
				kept[key] = value
			}
		}
	}
	return kept
}

func redactImages(s *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			containers[i].Image = ""
		}
	}
}

// template is the pod template of a workload; nil for any other object.
func template(o Object) *corev1.PodTemplateSpec {
	switch w := o.(type) {
	case *corev1.ReplicationController:
		return w.Spec.Template
	case *appsv1.ReplicaSet:
		return &w.Spec.Template
	case *appsv1.StatefulSet:
		return &w.Spec.Template
	case *appsv1.Deployment:
		return &w.Spec.Template
	case *appsv1.DaemonSet:
		return &w.Spec.Template
	case *batchv1.Job:
		return &w.Spec.Template
	case *batchv1.CronJob:
		return &w.Spec.JobTemplate.Spec.Template
	}
	return nil
}
