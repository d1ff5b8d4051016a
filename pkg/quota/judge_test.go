package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// asked answers a judge's questions, and notes them.
type asked struct {
	owners map[types.UID]*workload.Workload
	strict bool
	charge quota.Answer
	// outside is the answer to whether the namespace takes no part.
	outside quota.Answer
	list    []string
}

func (a *asked) note(question string) {
	if !slices.Contains(a.list, question) {
		a.list = append(a.list, question)
	}
}

func (a *asked) Owner(_ context.Context, _ string, ref *metav1.OwnerReference, _ bool) (*workload.Workload, error) {
	a.note("owner " + ref.Name)
	return a.owners[ref.UID], nil
}

func (a *asked) RequiresGroup(context.Context, string) (bool, error) {
	a.note("required")
	return a.strict, nil
}

// TakesPart is answered by what was seen, and costs no request.
func (a *asked) TakesPart(context.Context, string) (quota.Answer, error) {
	return map[quota.Answer]quota.Answer{quota.No: quota.Yes, quota.Yes: quota.No, quota.Unknown: quota.Unknown}[a.outside], nil
}

func (a *asked) MayCharge(_ context.Context, w *workload.Workload) (quota.Answer, error) {
	a.note("charge " + w.Group)
	return a.charge, nil
}

func (a *asked) Controls(_ context.Context, kind *workload.Kind) (bool, error) {
	a.note("controls " + kind.Resource)
	return false, nil
}

func (a *asked) judge(tree *quota.Tree) *quota.Judge {
	none := func() []*corev1.Node { return nil }
	nothing := func(types.UID) []quota.Part { return nil }
	plain := func(string) workload.Defaults { return workload.Defaults{} }
	return &quota.Judge{Questions: a, Kinds: table, Nodes: none, Living: nothing, Defaults: plain, Known: tree.Group, Allowing: tree.Allowing, Requester: "you"}
}

// replicaSet is default/web-1, of so many replicas of one core.
func replicaSet(group string, replicas int32, owner *metav1.OwnerReference) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"}}
	if group != "" {
		set.Labels = map[string]string{"biz.group.resource.quota": group}
	}
	if owner != nil {
		set.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	set.Spec.Replicas, set.Spec.Template.Spec = &replicas, pod(list("cpu", "1"))
	return set
}

// What has nothing to do with the verdict is not asked: each question may be a request
// to the API server, for every request to it.
func TestJudgeAsksWhatItNeeds(t *testing.T) {
	web := &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web", Controller: new(true)}
	other := &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "web", Controller: new(true)}
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10"))})
	owner := deployment(t, "nlp", 3, pod(list("cpu", "1")))
	for name, test := range map[string]struct {
		before, after *appsv1.ReplicaSet
		strict        bool
		charge        quota.Answer
		want          string // what is asked, in its order
		refusal       string // a part; "-" where quota has nothing to say
	}{
		"creation":                     {nil, replicaSet("nlp", 3, nil), false, quota.Yes, "required, charge nlp", ""},
		"creation, not allowed":        {nil, replicaSet("nlp", 3, nil), false, quota.No, "required, charge nlp", "you may not charge it from namespace default"},
		"creation, who knows":          {nil, replicaSet("nlp", 3, nil), false, quota.Unknown, "required, charge nlp", ""},
		"growth":                       {replicaSet("nlp", 3, nil), replicaSet("nlp", 4, nil), false, quota.Yes, "required, charge nlp", ""},
		"shrinking":                    {replicaSet("nlp", 3, nil), replicaSet("nlp", 2, nil), false, quota.No, "", ""},
		"untied":                       {nil, replicaSet("", 3, nil), false, quota.No, "required", "-"},
		"untied part":                  {nil, replicaSet("", 3, web), false, quota.No, "required", "-"},
		"untied part where demanded":   {nil, replicaSet("", 3, web), true, quota.No, "required, owner web, controls deployments", "only the controller of deployments.apps"},
		"part":                         {nil, replicaSet("nlp", 3, web), false, quota.No, "owner web, controls deployments", "only the controller of deployments.apps"},
		"owner of another kind":        {nil, replicaSet("nlp", 3, other), false, quota.Yes, "required, charge nlp", ""},
		"let go":                       {replicaSet("nlp", 3, web), replicaSet("nlp", 3, nil), false, quota.Yes, "owner web, controls deployments, required, charge nlp", ""},
		"let go, untied":               {replicaSet("", 3, web), replicaSet("", 3, nil), false, quota.No, "required", "-"},
		"let go, untied, but demanded": {replicaSet("", 3, web), replicaSet("", 3, nil), true, quota.No, "required, owner web, controls deployments", "every workload needs a group"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{owners: map[types.UID]*workload.Workload{owner.UID: owner}, strict: test.strict, charge: test.charge}
			edit := quota.Edit{Kind: kindOf(t, "replicasets.apps"), After: test.after}
			if test.before != nil {
				edit.Before = test.before
			}
			c, err := a.judge(tree).Edit(t.Context(), edit)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(a.list, ", "); got != test.want {
				t.Errorf("asked %q, want %q", got, test.want)
			}
			if c == nil {
				if test.refusal != "-" {
					t.Errorf("nothing to say, want %q", test.refusal)
				}
				return
			}
			check := c.By(tree)
			if text := quota.Text(check.QuotaCheck); check.Allowed != (test.refusal == "") || !strings.Contains(text, test.refusal) {
				t.Errorf("allowed %t, %q; want %q", check.Allowed, text, test.refusal)
			}
		})
	}
}

// A pod that another makes for a counted workload (an executor that a Spark driver makes) is
// made by whatever runs in there, which is no controller: it is judged as charged to the
// workload's group, whatever its own label says.
func TestJudgePodsOfPods(t *testing.T) {
	app := with(object(t, "replicasets.apps", "app", "nlp", "", 1), func(w *workload.Workload) { w.Models.CPU = "A4" })
	driver := object(t, "pods", "driver", "", "replicasets.apps/app", 1)
	bare := object(t, "pods", "bare", "nlp", "", 1)
	executor := func(group, owner, cpu string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x", UID: "x"}, Spec: pod(list("cpu", cpu))}
		if group != "" {
			p.Labels = map[string]string{"biz.group.resource.quota": group}
		}
		if owner != "" {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: owner, UID: types.UID(owner), Controller: new(true)}}
		}
		return p
	}
	tree := quota.NewTree([]*quota.Group{
		withUsed(newGroup("nlp", "", list("limits.cpu", "10", "limits.cpu.A4", "10")), list("limits.cpu", "6")), newGroup("cv", "", list("limits.cpu", "10")),
	})
	for name, test := range map[string]struct {
		before, after *corev1.Pod
		strict        bool
		want          string // a part of the refusal
		grows         string // cores of the model
	}{
		"fits":                               {nil, executor("nlp", "driver", "4"), false, "", "4"},
		"does not":                           {nil, executor("nlp", "driver", "5"), false, "group nlp: limits.cpu: needs 5, 4 of 10 left", "5"},
		"is labelled with another group":     {nil, executor("cv", "driver", "5"), false, "group nlp: limits.cpu: needs 5, 4 of 10 left", "5"},
		"has no label":                       {nil, executor("", "driver", "5"), true, "group nlp: limits.cpu: needs 5, 4 of 10 left", "5"},
		"of a bare pod, charged by itself":   {nil, executor("cv", "bare", "5"), false, "", "0"},
		"grows":                              {executor("nlp", "driver", "1"), executor("nlp", "driver", "6"), false, "needs 5, 4 of 10 left", "5"},
		"grows, without a label":             {executor("", "driver", "1"), executor("", "driver", "6"), true, "needs 5, 4 of 10 left", "5"},
		"shrinks":                            {executor("nlp", "driver", "8"), executor("nlp", "driver", "6"), false, "", "0"},
		"was nobody's":                       {executor("", "", "5"), executor("", "driver", "5"), true, "needs 5, 4 of 10 left", "5"},
		"was charged itself":                 {executor("nlp", "", "5"), executor("nlp", "driver", "5"), false, "", "5"},
		"was another's":                      {executor("nlp", "gone", "5"), executor("nlp", "driver", "5"), false, "needs 5, 4 of 10 left", "5"},
		"stays without a label, as large":    {executor("", "driver", "5"), executor("", "driver", "5"), true, "", "0"},
		"is let go: it is charged by itself": {executor("nlp", "driver", "5"), executor("nlp", "", "5"), false, "needs 5, 4 of 10 left", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{owners: map[types.UID]*workload.Workload{"app": app, "driver": driver, "bare": bare}, strict: test.strict, charge: quota.Yes}
			edit := quota.Edit{Kind: kindOf(t, "pods"), After: test.after}
			if test.before != nil {
				edit.Before = test.before
			}
			c, err := a.judge(tree).Edit(t.Context(), edit)
			if err != nil {
				t.Fatal(err)
			}
			check := c.By(tree)
			if text := quota.Text(check.QuotaCheck); check.Allowed != (test.want == "") || !strings.Contains(text, test.want) {
				t.Errorf("allowed %t, %q; want %q", check.Allowed, text, test.want)
			}
			if grows := check.Growth["limits.cpu.A4"]; grows.String() != test.grows {
				t.Errorf("grows by %s cores of the model, want %s", grows.String(), test.grows)
			}
		})
	}
}

// A case is judged by whatever state its group has then.
func TestCaseByNewerStates(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10"))
	a := &asked{charge: quota.No}
	c, err := a.judge(quota.NewTree(nil)).Edit(t.Context(), quota.Edit{Kind: kindOf(t, "replicasets.apps"), After: replicaSet("nlp", 4, nil)})
	if err != nil {
		t.Fatal(err)
	}
	allowing := group.DeepCopy()
	allowing.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"default"}}
	full := withUsed(allowing.DeepCopy(), list("limits.cpu", "8"))
	for name, test := range map[string]struct {
		tree   *quota.Tree
		want   string
		growth map[string]string
	}{
		"no such group": {quota.NewTree(nil), `there is no group "nlp"`, map[string]string{}},
		"not allowed":   {quota.NewTree([]*quota.Group{group}), "you may not charge it from namespace default", nil},
		"allowed":       {quota.NewTree([]*quota.Group{allowing}), "", nil},
		"full":          {quota.NewTree([]*quota.Group{full}), "needs 4, 2 of 10 left", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if test.growth == nil {
				test.growth = map[string]string{"limits.cpu": "4", "requests.cpu": "4", "pods": "4"}
			}
			check := c.By(test.tree)
			if text := quota.Text(check.QuotaCheck); check.Allowed != (test.want == "") || !strings.Contains(text, test.want) {
				t.Errorf("allowed %t, %q; want %q", check.Allowed, text, test.want)
			}
			if diff := cmp.Diff(test.growth, text(check.Growth), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("growth, -want +got:\n%s", diff)
			}
		})
	}
}

// What cannot be read is refused only where it is charged, and is no failure to ask.
func TestJudgeUnreadable(t *testing.T) {
	broken := func(group string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"namespace": "default", "name": "web", "labels": map[string]any{"biz.group.resource.quota": group}},
			"spec":     map[string]any{"replicas": "two", "template": map[string]any{}},
		}}
	}
	a := &asked{charge: quota.Yes}
	judge := a.judge(quota.NewTree(nil))
	if c, err := judge.Edit(t.Context(), quota.Edit{Kind: kindOf(t, "deployments.apps"), After: broken("")}); c != nil || err != nil {
		t.Errorf("without a group: %v, %v; want nothing to say", c, err)
	}
	_, err := judge.Edit(t.Context(), quota.Edit{Kind: kindOf(t, "deployments.apps"), After: broken("nlp")})
	if invalid := (quota.Invalid{}); !errors.As(err, &invalid) || !strings.Contains(fmt.Sprint(err), "spec.replicas: ") {
		t.Errorf("error %v, want that spec.replicas is invalid", err)
	}
}
