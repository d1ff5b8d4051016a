package quota_test

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// cpu is what a container is limited to, and requests.
func cpu(quantity string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: hard{corev1.ResourceCPU: quantity}.list()}
}

// labelled are the labels of a workload of a group; none for a workload without one.
func labelled(group string, more map[string]string) map[string]string {
	labels := map[string]string{}
	if group != "" {
		labels[stowagev1alpha1.GroupLabel] = group
	}
	maps.Copy(labels, more)
	return labels
}

// model labels a workload with the model of CPU that it runs on.
func model(name string) map[string]string {
	return map[string]string{stowagev1alpha1.CPUTypeLabel: name}
}

func (w *world) meta(name, group string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.ns, Name: name, Labels: labelled(group, nil)}
}

func podSpec(resources corev1.ResourceRequirements) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/app", Resources: resources}}}
}

// template is a pod template; its labels name the group too, as labels mostly do.
func template(app, group string, resources corev1.ResourceRequirements) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labelled(group, map[string]string{"app": app})},
		Spec:       podSpec(resources),
	}
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func (w *world) deployment(name, group string, replicas int32, resources corev1.ResourceRequirements) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: w.meta(name, group),
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector(name), Template: template(name, group, resources)},
	}
}

func (w *world) replicaSet(name, group string, replicas int32, resources corev1.ResourceRequirements) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: w.meta(name, group),
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector(name), Template: template(name, group, resources)},
	}
}

func (w *world) statefulSet(name, group string, replicas int32, resources corev1.ResourceRequirements) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: w.meta(name, group),
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector(name), Template: template(name, group, resources)},
	}
}

func (w *world) daemonSet(name, group string, resources corev1.ResourceRequirements) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: w.meta(name, group),
		Spec:       appsv1.DaemonSetSpec{Selector: selector(name), Template: template(name, group, resources)},
	}
}

// job is a Job whose pods kwok completes after a moment, unless they are held.
func (w *world) job(name, group string, parallelism int32, resources corev1.ResourceRequirements) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: w.meta(name, group), Spec: jobSpec(group, parallelism, resources)}
}

func jobSpec(group string, parallelism int32, resources corev1.ResourceRequirements) batchv1.JobSpec {
	spec := podSpec(resources)
	spec.RestartPolicy = corev1.RestartPolicyNever
	return batchv1.JobSpec{
		Parallelism: &parallelism, Completions: &parallelism,
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelled(group, nil)}, Spec: spec},
	}
}

// cronJob makes a Job every few seconds, one at a time.
func (w *world) cronJob(name, group string, parallelism int32, resources corev1.ResourceRequirements) *batchv1.CronJob {
	return &batchv1.CronJob{
		ObjectMeta: w.meta(name, group),
		Spec: batchv1.CronJobSpec{
			Schedule: "@every 2s", ConcurrencyPolicy: batchv1.ForbidConcurrent,
			SuccessfulJobsHistoryLimit: ptr.To[int32](1), FailedJobsHistoryLimit: ptr.To[int32](1),
			JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labelled(group, nil)}, Spec: jobSpec(group, parallelism, resources),
			},
		},
	}
}

func (w *world) pod(name, group string, resources corev1.ResourceRequirements) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: w.meta(name, group), Spec: podSpec(resources)}
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
	return pod
}
