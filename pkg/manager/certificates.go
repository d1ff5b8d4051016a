package manager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/stowage-dev/stowage/pkg/install"
)

// The files of the webhooks' certificate, and the keys in its Secret.
const (
	certName = corev1.TLSCertKey
	keyName  = corev1.TLSPrivateKeyKey
)

// makeCertificates has certificates made, and written to dir. What it returns is
// closed when they are there.
func makeCertificates(mgr ctrl.Manager, namespace, dir string) (<-chan struct{}, error) {
	if err := mirror(context.Background(), mgr, dir); err != nil {
		return nil, err
	}
	return rotate(mgr, namespace, dir)
}

// rotate has every replica keep the certificates in the Secret good, signed by the
// authority that is there since the installation; optimistic locking lets one of
// several win. What the API server trusts is not touched: see ADR 17. ready is closed
// when the files exist.
func rotate(mgr ctrl.Manager, namespace, dir string) (ready chan struct{}, err error) {
	ready = make(chan struct{})
	dnsName := fmt.Sprintf("%s.%s.svc", install.ManagerName, namespace)
	return ready, rotator.AddRotator(mgr, &rotator.CertRotator{
		SecretKey:      types.NamespacedName{Namespace: namespace, Name: install.CertificateName},
		CertDir:        dir,
		CAName:         install.AuthorityName,
		CAOrganization: "stowage",
		DNSName:        dnsName,
		ExtraDNSNames:  []string{dnsName + ".cluster.local"},
		IsReady:        ready,
	})
}

// mirror writes the certificate of the Secret to files in dir, now and whenever
// it changes.
func mirror(ctx context.Context, mgr ctrl.Manager, dir string) error {
	informer, err := mgr.GetCache().GetInformer(ctx, &corev1.Secret{})
	if err != nil {
		return err
	}
	log := mgr.GetLogger().WithName("certificates")
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { writeFiles(log, dir, object) },
		UpdateFunc: func(_, object any) { writeFiles(log, dir, object) },
	})
	return err
}

// writeFiles writes the certificate of a Secret that has one. The server reads
// both files again at each change, and keeps its certificate while they do not
// belong together.
func writeFiles(log logr.Logger, dir string, object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret.Name != install.CertificateName || len(secret.Data[certName]) == 0 {
		return
	}
	for _, name := range []string{keyName, certName} {
		if err := writeFile(filepath.Join(dir, name), secret.Data[name]); err != nil {
			log.Error(err, "the webhooks' certificate cannot be written; the one before stays in use")
			return
		}
	}
	log.Info("wrote the webhooks' certificate", "dir", dir)
}

// writeFile replaces a file in one step.
func writeFile(path string, content []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// certifiedServer is a webhook server that starts when it has a certificate: when
// certified is closed or, where it is nil, at once.
type certifiedServer struct {
	webhook.Server
	certified <-chan struct{}
}

// Start implements manager.Runnable.
func (s *certifiedServer) Start(ctx context.Context) error {
	if s.certified != nil {
		select {
		case <-s.certified:
		case <-ctx.Done():
			return nil
		}
	}
	return s.Server.Start(ctx)
}
