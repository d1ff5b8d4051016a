package main

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// shortages adds pods that wait for resources: each for another reason.
func (f *fleet) shortages() {
	// Free GPUs enough for one, but on no single node.
	f.statefulSet(pods("nlp", "llm-pretrain", "cpu=16,memory=128Gi,nvidia.com/gpu=8", onGPU,
		func(b *build.PodBuilder) { b.NodeSelector(gpuProduct, "NVIDIA-A100-SXM4-40GB") }),
		26*time.Hour, pending, pending, pending, pending)
	// All in use by others of the same team.
	f.job(pods("vision", "detr-train", "cpu=8,memory=32Gi,nvidia.com/gpu=2", onGPU,
		func(b *build.PodBuilder) { b.NodeSelector(gpuProduct, "NVIDIA-A30") }),
		3*time.Hour, pending, pending, pending)
	// A resource that nobody offers: one letter too many.
	f.deployment(pods("recsys", "ranker", "cpu=4,memory=16Gi,nvidia.com/gpus=1", onGPU), 40*time.Minute, pending, pending)
	// Larger than any machine.
	f.job(pods("recsys", "feature-join", "cpu=32,memory=6Ti"), 5*time.Hour, pending)
	// Fits by its container alone, not with the sidecar that runs beside it.
	f.deployment(pods("nlp", "tokenizer", "cpu=30,memory=8Gi", inPool("cpu"),
		func(b *build.PodBuilder) { b.Sidecar("cpu=6,memory=1Gi") }), 15*time.Minute, pending)
	// The budget of the pod as a whole, not of its containers, is too large.
	f.deployment(pods("data", "spark-driver", "cpu=1,memory=2Gi", inPool("ecs"),
		func(b *build.PodBuilder) {
			b.With(func(p *corev1.Pod) {
				p.Spec.Resources = &corev1.ResourceRequirements{Requests: build.Resources("cpu=12,memory=24Gi")}
			})
		}), 20*time.Minute, pending)
	// Would fit on the virtual nodes, if it tolerated them.
	f.deployment(pods("web", "thumbnailer", "cpu=48,memory=64Gi"), 90*time.Minute, pending, pending, pending)
	// Important enough to evict batch pods.
	f.deployment(pods("online", "asr", "cpu=4,memory=16Gi,nvidia.com/gpu=2", onGPU,
		func(b *build.PodBuilder) {
			b.NodeSelector(gpuProduct, "Tesla-T4").Priority("online-high", 100000)
		}), 2*time.Minute, pending)
}

// constraints adds pods that no node is right for.
func (f *fleet) constraints() {
	// The GPUs are there, behind a taint.
	f.deployment(pods("nlp", "embedder", "cpu=4,memory=16Gi,nvidia.com/gpu=1"), 50*time.Minute, pending, pending)
	// A label's value that no node has: the machines are A30s.
	f.deployment(pods("vision", "ocr", "cpu=4,memory=16Gi,nvidia.com/gpu=1", onGPU,
		func(b *build.PodBuilder) { b.NodeSelector(gpuProduct, "NVIDIA-A10") }), 70*time.Minute, pending, pending)
	// More GPU memory than any card here has.
	f.deployment(pods("nlp", "llama-serve", "cpu=8,memory=64Gi,nvidia.com/gpu=1", onGPU,
		func(b *build.PodBuilder) { b.NodeAffinity(gpuMemory, corev1.NodeSelectorOpGt, "65536") }), 4*time.Hour, pending)
	// One on each machine, and one more than there are machines.
	f.statefulSet(pods("search", "es-data", "cpu=8,memory=48Gi", inPool("cpu"),
		func(b *build.PodBuilder) { b.PodAntiAffinity("app=es-data", corev1.LabelHostname) }),
		6*time.Hour, "cpu-01", "cpu-02", "cpu-03", "cpu-04", pending)
	// Over four zones, where there are three.
	f.deployment(pods("web", "gateway", "cpu=2,memory=4Gi",
		func(b *build.PodBuilder) {
			b.Spread(1, corev1.LabelTopologyZone, "app=gateway").With(func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints[0].MinDomains = new(int32(4))
			})
		}), 25*time.Minute, "cpu-01", "cpu-03", "ecs-01", pending)
	// One port of the host each, and more pods than hosts.
	f.deployment(pods("infra", "metrics-relay", "cpu=1,memory=1Gi", inPool("cpu"),
		func(b *build.PodBuilder) { b.HostPort(9100) }),
		12*time.Minute, "cpu-01", "cpu-02", "cpu-03", "cpu-04", pending, pending)
	// On the machine that is being repaired.
	f.job(pods("infra", "gpu-diagnosis", "cpu=2,memory=4Gi,nvidia.com/gpu=4", onGPU,
		func(b *build.PodBuilder) { b.NodeSelector(corev1.LabelHostname, "t4-06") }), 33*time.Minute, pending)
	// Beside pods that do not exist.
	f.deployment(pods("recsys", "cache-warmer", "cpu=1,memory=2Gi",
		func(b *build.PodBuilder) { b.PodAffinity("app=redis-cache", corev1.LabelTopologyZone) }), 8*time.Minute, pending)
}

// volumes adds pods that wait for storage or devices.
func (f *fleet) volumes() {
	f.add(
		build.StorageClass("local-ssd", "kubernetes.io/no-provisioner", storagev1.VolumeBindingImmediate),
		build.StorageClass("cloud-essd", "diskplugin.csi.alibabacloud.com", storagev1.VolumeBindingWaitForFirstConsumer),
		// Nothing provisions this one.
		build.PVC("data", "postgres-data", "local-ssd", "500Gi", ""),
		// The disk is in a server room, and its pod is sent to the cloud.
		build.PVC("data", "kafka-log", "cloud-essd", "1Ti", "pv-kafka-log"),
		boundTo("data", "kafka-log", build.PV("pv-kafka-log", "cloud-essd", "1Ti", "diskplugin.csi.alibabacloud.com", roomA)),
	)
	f.statefulSet(pods("data", "postgres", "cpu=2,memory=8Gi", func(b *build.PodBuilder) { b.PVC("postgres-data") }), 48*time.Hour, pending)
	f.statefulSet(pods("data", "kafka", "cpu=2,memory=8Gi", inPool("ecs"), func(b *build.PodBuilder) { b.PVC("kafka-log") }), 7*time.Hour, pending)
	f.job(pods("data", "loader", "cpu=2,memory=4Gi", func(b *build.PodBuilder) { b.PVC("landing-zone") }), 18*time.Minute, pending)
	f.add(build.DeviceClass("mig.example.com", "gpu.example.com"))
	f.deployment(pods("vision", "mig-notebook", "cpu=2,memory=8Gi", func(b *build.PodBuilder) { b.ResourceClaim("mig-slice") }), 35*time.Minute, pending)
}

// boundTo marks a volume as a claim's.
func boundTo(namespace, claim string, volume *corev1.PersistentVolume) *corev1.PersistentVolume {
	volume.Status.Phase = corev1.VolumeBound
	volume.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: namespace, Name: claim, UID: types.UID(namespace + "-" + claim)}
	return volume
}

// outsideTheScheduler adds what the scheduler never sees or does not decide.
func (f *fleet) outsideTheScheduler() {
	// Held by a queue.
	f.job(pods("rl", "sweep", "cpu=2,memory=4Gi", func(b *build.PodBuilder) { b.Gate("kueue.x-k8s.io/admission") }),
		10*time.Minute, pending, pending, pending, pending, pending, pending)
	// Somebody else's.
	f.job(pods("rl", "rollout", "cpu=2,memory=4Gi", func(b *build.PodBuilder) {
		b.With(func(p *corev1.Pod) { p.Spec.SchedulerName = "volcano" })
	}), 11*time.Minute, pending, pending, pending)
	f.refused()
}

// refused adds a Deployment without pods: its namespace's quota is spent.
func (f *fleet) refused() {
	const set = "ctr-model-6b8d9f7c5"
	t := pods("ads", "ctr-model", "cpu=4,memory=16Gi,nvidia.com/gpu=2", onGPU)
	replicaSet := build.ReplicaSet("ads", set, "ctr-model", 3, t())
	event := build.Event("ads", set+".17d2c5a1b0e4f3a9", "ReplicaSet", set, "FailedCreate",
		`Error creating: pods "`+set+`-x7k2p" is forbidden: exceeded quota: gpu, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=3, limited: requests.nvidia.com/gpu=4`)
	event.InvolvedObject.APIVersion, event.InvolvedObject.UID = "apps/v1", replicaSet.UID
	event.FirstTimestamp, event.LastTimestamp, event.Count = f.ago(55*time.Minute), f.ago(3*time.Minute), 15
	event.Source = corev1.EventSource{Component: "replicaset-controller"}
	event.CreationTimestamp = metav1.NewTime(event.FirstTimestamp.Time)
	deployment := build.Deployment("ads", "ctr-model", 3, t())
	deployment.CreationTimestamp, replicaSet.CreationTimestamp = f.ago(55*time.Minute), f.ago(55*time.Minute)
	f.add(deployment, replicaSet, event, build.ResourceQuota("ads", "gpu", "requests.nvidia.com/gpu=4", "requests.nvidia.com/gpu=3"))
	f.deployment(pods("ads", "bidder", "cpu=4,memory=16Gi,nvidia.com/gpu=3", onGPU), time.Hour, "a100-02")
}
