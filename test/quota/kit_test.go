package quota_test

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type deployment = appsv1.Deployment

func objectName(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func contains(text, part string) bool { return strings.Contains(text, part) }

// events are the texts of the events about an object.
func (w *world) events(ctx context.Context, namespace, object string) ([]string, error) {
	var list corev1.EventList
	if err := w.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var texts []string
	for i := range list.Items {
		if event := &list.Items[i]; event.InvolvedObject.Name == object {
			texts = append(texts, event.Reason+": "+event.Message)
		}
	}
	return texts, nil
}
