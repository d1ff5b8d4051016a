package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/workload"
	"github.com/stowage-dev/stowage/test/lab"
)

// kindsFile is the name of the file with a test's workload kinds.
const kindsFile = "workload-kinds.yaml"

// install puts the component's manifests into the lab, with the webhooks at a URL.
func (r *Rig) install(ctx context.Context, url string, authority []byte, extra string) error {
	kinds := workload.Default()
	if extra != "" {
		more, err := workload.Parse([]byte(extra))
		if err != nil {
			return err
		}
		if kinds, err = kinds.With(more...); err != nil {
			return err
		}
	}
	objects, err := install.Objects(install.Options{
		Kinds:   kinds,
		Webhook: install.Endpoint{URL: url, CABundle: authority},
	})
	if err != nil {
		return err
	}
	return install.Apply(ctx, r.lab.RESTConfig(), objects, install.ApplyOptions{})
}

// newManagers makes the managers, with all the files that they read.
func (r *Rig) newManagers(ctx context.Context, own servingCert, opts Options) error {
	kubeconfig, err := r.writeKubeconfig(ctx)
	if err != nil {
		return err
	}
	if err := r.writeFiles(own, opts.Kinds); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	binary := filepath.Join(r.dir, install.ManagerName) // a path in the lab's directory, so that it is reaped with the lab
	if err := os.Symlink(executable, binary); err != nil {
		return err
	}
	clock, err := r.clock.MarshalText()
	if err != nil {
		return err
	}
	ports, err := lab.FreePorts(portsEach * opts.Managers)
	if err != nil {
		return err
	}
	for i := range opts.Managers {
		m := r.manager(i, binary, kubeconfig, ports[portsEach*i:])
		m.env = []string{clockEnv + "=" + string(clock)}
		m.args = append(m.args,
			// Our service takes a manager out before it is told to end: nothing new comes.
			"--drain=100ms",
			// Tests kill leaders; a cluster's are killed more seldom.
			"--leader-elect-lease-duration=6s", "--leader-elect-renew-deadline=4s", "--leader-elect-retry-period=500ms")
		m.args = append(m.args, opts.Args...)
		if opts.Kinds != "" {
			m.args = append(m.args, "--workload-kinds="+filepath.Join(r.dir, kindsFile))
		}
		r.managers = append(r.managers, m)
	}
	return nil
}

// writeFiles writes what the managers read beside their kubeconfig.
func (r *Rig) writeFiles(own servingCert, kinds string) error {
	for name, content := range map[string][]byte{"tls.crt": own.cert, "tls.key": own.key, kindsFile: []byte(kinds)} {
		if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// portsEach is how many ports a manager listens at.
const portsEach = 3

// manager is one that is not started yet, at the first of the ports.
func (r *Rig) manager(i int, binary, kubeconfig string, ports []int) *process {
	m := &process{
		binary:  binary,
		log:     filepath.Join(r.dir, fmt.Sprintf("manager-%d.log", i)),
		webhook: loopback(ports[0]),
		health:  loopback(ports[1]),
		metrics: loopback(ports[2]),
	}
	m.args = []string{
		"--kubeconfig=" + kubeconfig,
		"--webhook-host=127.0.0.1",
		fmt.Sprintf("--webhook-port=%d", ports[0]),
		"--cert-dir=" + r.dir,
		"--health-probe-bind-address=" + m.health,
		"--metrics-bind-address=" + m.metrics,
		"--metrics-secure=false",
	}
	return m
}

// tokenLife is longer than any lab, in seconds.
const tokenLife = 365 * 24 * 60 * 60

// writeKubeconfig writes a kubeconfig with nothing but a token of the component's ServiceAccount.
func (r *Rig) writeKubeconfig(ctx context.Context) (path string, err error) {
	life := int64(tokenLife)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}
	token, err := r.lab.Client().CoreV1().ServiceAccounts(install.DefaultNamespace).
		CreateToken(ctx, install.ManagerName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	admin := r.lab.RESTConfig()
	if err := rest.LoadTLSFiles(admin); err != nil {
		return "", err
	}
	const name = "rig"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server: admin.Host, CertificateAuthorityData: admin.CAData, InsecureSkipTLSVerify: admin.Insecure,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	path = filepath.Join(r.dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}
