// Command floor lists, in protobuf from the API server's watch cache and each kind
// in one go, what a load lists, decodes it with client-go and drops it: what any
// program costs that sees the whole cluster through client-go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the cluster's")
	flag.Parse()
	if err := run(context.Background(), *kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// run lists all kinds in parallel, as a load does.
func run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, k := range snapshot.Kinds() {
		if k.Protobuf() {
			group.Go(func() error { return list(ctx, client, k) })
		}
	}
	return group.Wait()
}

// list lists one kind from the watch cache.
func list(ctx context.Context, client rest.Interface, k snapshot.Kind) error {
	objects, err := scheme.Scheme.New(k.GroupVersion().WithKind(k.Kind + "List"))
	if err != nil {
		return err
	}
	root := []string{"/apis", k.Group, k.Version}
	if k.Group == "" {
		root = []string{"/api", k.Version}
	}
	err = client.Get().AbsPath(root...).Resource(k.Resource).
		VersionedParams(&metav1.ListOptions{ResourceVersion: "0"}, metav1.ParameterCodec).Do(ctx).Into(objects)
	if err != nil {
		return fmt.Errorf("listing %s: %w", k.GroupResource(), err)
	}
	return nil
}
