package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

// startQuota installs the component and starts a manager, which ends with the lab.
func (o *options) startQuota(ctx context.Context, l *lab.Lab) error {
	began := time.Now()
	binary := filepath.Join(l.Dir(), "bin", "stowage-manager")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "github.com/stowage-dev/stowage/cmd/stowage-manager")
	build.Stdout, build.Stderr = o.progress, o.progress
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the quota component: %w", err)
	}
	if err := rig.Leave(ctx, l, binary); err != nil {
		return err
	}
	fmt.Fprintf(o.progress, "lab: quota component up in %s\n", since(began))
	return nil
}

// createGroups creates the business groups, one after the other, as a child is judged by its parent.
func (o *options) createGroups(ctx context.Context, l *lab.Lab, c *cargo) error {
	if !o.quota {
		return nil
	}
	groups, err := groupClient(l)
	if err != nil {
		return err
	}
	for _, group := range c.groups {
		group = &stowagev1alpha1.BizGroupResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: group.Name, Labels: group.Labels, Annotations: group.Annotations}, Spec: group.Spec,
		}
		if err := groups.Create(ctx, group); err != nil {
			return fmt.Errorf("creating group %s: %w", group.Name, err)
		}
	}
	return nil
}

// charge writes the hours that the groups had used, and waits until all that was admitted is counted.
func (o *options) charge(ctx context.Context, l *lab.Lab, c *cargo) error {
	groups, err := groupClient(l)
	if err != nil {
		return err
	}
	for _, group := range c.groups {
		hours := maps.Clone(group.Status.SelfUsed)
		maps.DeleteFunc(hours, func(key corev1.ResourceName, _ resource.Quantity) bool { return !quota.IsCash(key) })
		if len(hours) == 0 {
			continue
		}
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"selfUsed": hours}})
		if err != nil {
			return err
		}
		one := &stowagev1alpha1.BizGroupResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: group.Name}}
		if err := groups.Status().Patch(ctx, one, client.RawPatch(types.MergePatchType, patch)); err != nil {
			return fmt.Errorf("group %s: %w", group.Name, err)
		}
	}
	return wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if ended, err := jobsEnded(ctx, l); !ended || err != nil {
			return false, err
		}
		var list stowagev1alpha1.BizGroupResourceQuotaList
		if err := groups.List(ctx, &list); err != nil {
			return false, err
		}
		for i := range list.Items {
			if len(list.Items[i].Status.Reservations) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

// jobsEnded says whether the Jobs' pods that have a node are done: kwok completes them after some seconds, and what
// the groups use then stays.
func jobsEnded(ctx context.Context, l *lab.Lab) (bool, error) {
	pods, err := l.Client().CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName!=,status.phase!=Succeeded"})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
		owner := metav1.GetControllerOf(&pod)
		return owner != nil && owner.Kind == "Job"
	}), nil
}

// groupClient is an administrator's client of the lab's business groups.
func groupClient(l *lab.Lab) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := stowagev1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return client.New(l.RESTConfig(), client.Options{Scheme: scheme})
}
