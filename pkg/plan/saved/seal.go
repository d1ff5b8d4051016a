package saved

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/version"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
)

const planHint = `expected a plan, as "kubectl taint-plan --out" writes it`

// Seal makes a plan fit to be saved: it sets its kind and its checksum. Whatever is
// changed afterwards, but for Drift, breaks the seal.
func Seal(p *report.TaintPlan) error {
	p.TypeMeta = metav1.TypeMeta{APIVersion: report.GroupVersion.String(), Kind: plan.Kind}
	sum, err := checksum(p, false)
	if err != nil {
		return err
	}
	p.Checksum = sum
	return nil
}

// checksum is the SHA-256 of the plan's JSON without its checksum and its drift, in
// the order of the fields, so that neither layout nor YAML or JSON matter. That of an
// older plan is as it was before plans had a summary and fates (older.go).
func checksum(p *report.TaintPlan, older bool) (string, error) {
	bare := *p
	bare.Checksum, bare.Drift = "", nil
	data, err := json.Marshal(&bare)
	if err == nil && older {
		data, err = asOlder(data, &bare)
	}
	if err != nil {
		return "", fmt.Errorf("sealing the plan: %w", err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Read reads a sealed plan, YAML or JSON. name is used in errors, which say whether it
// is no plan, one of another version of Stowage, or was edited.
func Read(name string, rd io.Reader) (*report.TaintPlan, error) { return read(name, rd, false) }

// ReadToUndo is Read for a plan that is to be undone, which may be older: undoing takes
// its nodes and no more.
func ReadToUndo(name string, rd io.Reader) (*report.TaintPlan, error) { return read(name, rd, true) }

func read(name string, rd io.Reader, toUndo bool) (*report.TaintPlan, error) {
	data, err := io.ReadAll(rd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := parse(data, toUndo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func parse(data []byte, toUndo bool) (*report.TaintPlan, error) {
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", strings.Join(strings.Fields(err.Error()), " "), planHint) // it has several lines
	}
	older, err := checkKind(data)
	switch {
	case err != nil:
		return nil, err
	case older && !toUndo:
		return nil, errors.New("summary is missing: the plan was made by another version of the command; make it again with this one, or undo it with --rollback")
	case older:
		if data, err = fromOlder(data); err != nil {
			return nil, fmt.Errorf("%w: %s", err, planHint)
		}
	}
	p := &report.TaintPlan{}
	strict, err := kjson.UnmarshalStrict(data, p)
	if err := utilerrors.NewAggregate(append(strict, err)); err != nil {
		return nil, fmt.Errorf("%w: %s", err, planHint)
	}
	return p, checkSeal(p, older)
}

// checkKind refuses what is no plan, before its fields are looked at, and says whether it
// is an older one.
func checkKind(data []byte) (older bool, err error) {
	var found struct {
		metav1.TypeMeta `json:",inline"`
		Checksum        string          `json:"checksum"`
		Summary         json.RawMessage `json:"summary"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return false, errors.New(planHint)
	}
	if found.Kind != plan.Kind {
		return false, fmt.Errorf("kind %q: %s", found.Kind, planHint)
	}
	if want := report.GroupVersion.String(); found.APIVersion != want {
		return false, fmt.Errorf("apiVersion %q: expected %q; make the plan again with this version of the command", found.APIVersion, want)
	}
	return found.Checksum != "" && found.Summary == nil, nil
}

// checkSeal refuses a plan that is not as it was saved.
func checkSeal(p *report.TaintPlan, older bool) error {
	if p.Checksum == "" {
		return fmt.Errorf("checksum is empty: %s", planHint)
	}
	sum, err := checksum(p, older)
	if err != nil {
		return err
	}
	if sum != p.Checksum {
		return fmt.Errorf("checksum is %q, and the plan's is %q: it was edited after it was saved; make the plan again", p.Checksum, sum)
	}
	return nil
}

// Check refuses a plan of another cluster, or of another minor version of the API
// server, whose controllers may do otherwise. What is empty is unknown, and not
// compared; but a plan whose cluster is not compared must know its nodes by their UIDs.
func Check(p *report.TaintPlan, cluster types.UID, serverVersion string) error {
	if p.Cluster != "" && cluster != "" && p.Cluster != cluster {
		return fmt.Errorf("cluster: the plan is for the cluster whose namespace kube-system has the UID %q, and this one's has %q; check --context", p.Cluster, cluster)
	}
	if p.Cluster == "" || cluster == "" {
		if i := slices.IndexFunc(p.Nodes, func(node report.TaintedNode) bool { return node.UID == "" }); i >= 0 {
			return fmt.Errorf("nodes[%d].uid: node %s has none, and without it or the UID of the namespace kube-system nothing tells that the plan is for this cluster; make the plan again, from the cluster or a dump that has them", i, p.Nodes[i].Name)
		}
	}
	if p.ServerVersion == "" || serverVersion == "" {
		return nil
	}
	planned, err := version.ParseGeneric(p.ServerVersion)
	if err != nil {
		return fmt.Errorf("serverVersion: %w", err)
	}
	found, err := version.ParseGeneric(serverVersion)
	if err != nil {
		return fmt.Errorf("the server's version: %w", err)
	}
	if planned.Major() != found.Major() || planned.Minor() != found.Minor() {
		return fmt.Errorf("serverVersion: the plan is for %s, and the server is %s; make the plan again", p.ServerVersion, serverVersion)
	}
	return nil
}
