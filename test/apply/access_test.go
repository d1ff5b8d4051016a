package apply_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// listRules let the holder plan: list everything that a snapshot holds.
func listRules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, kind := range snapshot.Kinds() {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{kind.Group}, Resources: []string{kind.Resource}, Verbs: []string{"list"}})
	}
	return rules
}

// nodeRule lets the holder do something with nodes.
func nodeRule(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: verbs}
}

// account is a ServiceAccount with nothing but the rules, and the config of a client
// that has its token.
func account(t *testing.T, name string, rules ...rbacv1.PolicyRule) *rest.Config {
	t.Helper()
	meta := metav1.ObjectMeta{Name: name}
	err := cluster.CreateAll(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}},
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: name}},
		})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cluster.Client().CoreV1().ServiceAccounts(metav1.NamespaceDefault).
		CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.RESTConfig())
	config.BearerToken, config.QPS = token.Status.Token, -1
	return config
}

func TestAccess(t *testing.T) {
	webFleet(t, web())
	t.Run("without patch of nodes", func(t *testing.T) {
		config := account(t, "reader", append(listRules(), nodeRule("get"))...)
		p := plannedBy(t, config, 1, []string{"n1"}, "maintenance:NoExecute")
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		err = apply.Run(t.Context(), client, p, options(config))
		const want = `wave 1 of 1: node n1: nodes "n1" is forbidden: User "system:serviceaccount:default:reader" cannot patch resource "nodes"`
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "; no node was changed") {
			t.Errorf("got %v, want %s...; no node was changed", err, want)
		}
		hasTaints(t, map[string]string{})
	})
	t.Run("with list of all, and get and patch of nodes", func(t *testing.T) {
		config := account(t, "operator", append(listRules(), nodeRule("get", "patch"))...)
		p := plannedBy(t, config, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := apply.Run(t.Context(), client, p, options(config)); err != nil {
			t.Fatal(err)
		}
		hasTaints(t, map[string]string{"n1": "maintenance:NoExecute", "n2": "maintenance:NoExecute"})
		if err := apply.Rollback(t.Context(), client, p, apply.Options{}); err != nil {
			t.Fatal(err)
		}
		hasTaints(t, map[string]string{})
	})
}
