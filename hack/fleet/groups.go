package main

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// weekly is when the used GPU-hours start again at 0: each Friday. The last time was
// refilled before now.
const (
	weekly   = "0 0 * * 5"
	timeZone = "Asia/Shanghai"
	refilled = 3*24*time.Hour + 17*time.Hour + 30*time.Minute
)

// groups adds the business groups' tree, ties to each group the workloads of the
// namespace of its name, which takes part by that, and counts what they use.
func (f *fleet) groups() error {
	const (
		models = "requests.nvidia.com/gpu=%d,requests.nvidia.com/gpu.A100=%d"
		ai     = "requests.cpu=%d," + models + ",cash/requests.nvidia.com/gpu=%d"
	)
	groups := []*quota.Group{
		build.BizGroup("ai", "").Hard(fmt.Sprintf(ai, 800, 128, 72, 12000)).Obj(),
		build.BizGroup("nlp", "ai").Hard(fmt.Sprintf(ai, 420, 84, 56, 6000)).Refill(weekly, timeZone).Allow("nlp", "nlp-*").Obj(),
		build.BizGroup("vision", "ai").Hard(fmt.Sprintf(ai, 200, 32, 16, 4000)).Refill(weekly, timeZone).Allow("vision").Obj(),
		build.BizGroup("recsys", "ai").Hard(fmt.Sprintf(ai, 60, 8, 0, 500)).Refill(weekly, timeZone).Allow("recsys").Obj(),
		build.BizGroup("serving", "").Hard("requests.cpu=480,requests.memory=2Ti").Obj(),
		build.BizGroup("online", "serving").Hard("requests.cpu=120,requests.memory=512Gi").Allow("online").Obj(),
		build.BizGroup("search", "serving").Hard("requests.cpu=40,requests.memory=256Gi").Allow("search").Obj(),
		build.BizGroup("web", "serving").Hard("requests.cpu=280,requests.memory=1Ti").Allow("web").Obj(),
	}
	index := quota.NewIndex(workload.Default())
	for _, object := range f.objects {
		if namespace, ok := object.(*corev1.Namespace); ok && slices.ContainsFunc(groups, func(g *quota.Group) bool { return g.Name == namespace.Name }) {
			namespace.Labels[stowagev1alpha1.QuotaLabel] = stowagev1alpha1.QuotaEnabled
		}
		if !isWorkload(object) || !slices.ContainsFunc(groups, func(g *quota.Group) bool { return g.Name == object.GetNamespace() }) {
			continue
		}
		tie(object)
		if err := put(index, object); err != nil {
			return err
		}
	}
	used := map[string]string{"nlp": "5120.5", "vision": "1432", "recsys": "500"}
	tree := quota.NewTree(groups)
	for _, group := range groups {
		group.CreationTimestamp = f.ago(90 * 24 * time.Hour)
		count(group, index, tree, used[group.Name], f.now)
		f.add(group)
	}
	return nil
}

// isWorkload says whether the object is the top of a workload here.
func isWorkload(object snapshot.Object) bool {
	switch object.(type) {
	case *appsv1.Deployment, *appsv1.StatefulSet, *batchv1.Job:
		return true
	}
	return false
}

// tie labels a workload with its group, and with the model of the GPUs it asks for.
func tie(object snapshot.Object) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[stowagev1alpha1.GroupLabel] = object.GetNamespace()
	if slices.Contains([]string{"llm-pretrain", "llm-tune"}, object.GetName()) {
		labels[stowagev1alpha1.GPUTypeLabel] = "A100"
	}
	object.SetLabels(labels)
}

func put(index *quota.Index, object snapshot.Object) error {
	w, err := workload.Default().Of(kindOf(object)).Read(object)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", object.GetNamespace(), object.GetName(), err)
	}
	index.Put(w)
	return nil
}

func kindOf(object snapshot.Object) schema.GroupKind {
	switch object.(type) {
	case *appsv1.Deployment:
		return appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind()
	case *appsv1.StatefulSet:
		return appsv1.SchemeGroupVersion.WithKind("StatefulSet").GroupKind()
	}
	return batchv1.SchemeGroupVersion.WithKind("Job").GroupKind()
}

// count writes the group's status as the controller would, with these GPU-hours.
func count(group *quota.Group, index *quota.Index, tree *quota.Tree, hours string, now time.Time) {
	last := metav1.NewMicroTime(now)
	group.Generation = 1
	group.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{LastReconcileTime: &last}
	if hours != "" {
		group.Status.SelfUsed = build.Resources("cash/requests.nvidia.com/gpu=" + hours)
	}
	group.Status = quota.Settle(group, quota.Seen{
		Self: index.SelfUsed(group), Workloads: index.Len(group), Children: tree.ChildrenHard(group.Name), Version: func(types.UID) string { return "" },
	}, metav1.NewTime(now))
	if group.Name == "nlp" {
		end := now.Add(-refilled)
		group.Status.History = []stowagev1alpha1.Period{{
			Start: metav1.NewTime(end.AddDate(0, 0, -7)), End: metav1.NewTime(end), Used: build.Resources("cash/requests.nvidia.com/gpu=5874.25"),
		}}
	}
}
