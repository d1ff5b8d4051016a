package load_test

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// moreObjects are of the kinds that no other test builds.
func moreObjects() []runtime.Object {
	meta := metav1.ObjectMeta{Name: "one"}
	inDefault := metav1.ObjectMeta{Name: "one", Namespace: "default"}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "one"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{
				Name:    "main",
				Image:   "example.com/main:1",
				Command: []string{"run"},
				Env:     []corev1.EnvVar{{Name: "A", Value: "b"}},
			}},
		},
	}
	job := batchv1.JobSpec{Template: *template.DeepCopy()}
	job.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	volume := "pv"
	claim := build.ResourceClaim("default", "one", "gpu", 1).Spec
	slice := build.ResourceSlice("n", "gpu.example.com", "gpu-0", "gpu-1")
	slice.UID, slice.CreationTimestamp = "", metav1.Time{}
	return []runtime.Object{
		&corev1.ReplicationController{ObjectMeta: inDefault, Spec: corev1.ReplicationControllerSpec{Selector: template.Labels, Template: &template}},
		&batchv1.Job{ObjectMeta: inDefault, Spec: job},
		&batchv1.CronJob{ObjectMeta: inDefault, Spec: batchv1.CronJobSpec{Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: job}}},
		&nodev1.RuntimeClass{ObjectMeta: meta, Handler: "one", Overhead: &nodev1.Overhead{PodFixed: build.Resources("cpu=250m")}},
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "csi.example.com"}, Spec: storagev1.CSIDriverSpec{StorageCapacity: new(true)}},
		&storagev1.CSIStorageCapacity{ObjectMeta: inDefault, StorageClassName: "fast", Capacity: new(build.Resources("storage=1Ti")["storage"])},
		&storagev1.VolumeAttachment{ObjectMeta: meta, Spec: storagev1.VolumeAttachmentSpec{
			Attacher: "csi.example.com", NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume},
		}},
		&resourcev1.ResourceClaimTemplate{ObjectMeta: inDefault, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: claim}},
		slice,
		&resourcev1.DeviceTaintRule{ObjectMeta: meta, Spec: resourcev1.DeviceTaintRuleSpec{
			DeviceSelector: &resourcev1.DeviceTaintSelector{Driver: new("gpu.example.com")},
			Taint:          resourcev1.DeviceTaint{Key: "broken", Effect: resourcev1.DeviceTaintEffectNoSchedule},
		}},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: snapshot.AutoscalerStatusNamespace, Name: snapshot.AutoscalerStatusName},
			Data:       map[string]string{"status": "autoscalerStatus: Running\nclusterWide:\n  health: Healthy\n"},
		},
		&corev1.ConfigMap{ObjectMeta: inDefault, Data: map[string]string{"a": "b"}},
	}
}
