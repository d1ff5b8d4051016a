package snapshot

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

const infoKind = "SnapshotInfo"

var infoAPIVersion = report.GroupVersion.String()

// info is what a Snapshot knows beside its objects. Write puts it first, as an
// item of its own, and Read takes it back. `kubectl get` prints none.
type info struct {
	metav1.TypeMeta `json:",inline"`

	ServerVersion string         `json:"serverVersion,omitempty"`
	TakenAt       metav1.Time    `json:"takenAt,omitzero"`
	Ignored       map[string]int `json:"ignored,omitempty"`
	Missing       []Missing      `json:"missing,omitempty"`
}

// info is s's own; false when there is nothing to tell.
func (s *Snapshot) info() (info, bool) {
	return info{
		TypeMeta:      metav1.TypeMeta{APIVersion: infoAPIVersion, Kind: infoKind},
		ServerVersion: s.ServerVersion,
		TakenAt:       s.TakenAt,
		Ignored:       s.Ignored,
		Missing:       s.Missing,
	}, s.ServerVersion != "" || !s.TakenAt.IsZero() || len(s.Ignored) > 0 || len(s.Missing) > 0
}

// addInfo takes the info of a dump that Write wrote. Of several dumps the last
// one's version and time count.
func (r *reader) addInfo(it item) error {
	var in info
	if err := json.Unmarshal(it.data, &in); err != nil {
		return it.errorf("%s: %w", infoKind, explain(err))
	}
	r.snap.ServerVersion, r.snap.TakenAt = in.ServerVersion, in.TakenAt
	for _, missing := range in.Missing {
		r.snap.Missing = append(r.snap.Missing, missing.split())
	}
	for name, n := range in.Ignored {
		if n < 0 {
			return it.errorf("%s: ignored[%q]: expected a count, found %d", infoKind, name, n)
		}
		r.countIgnored(name, n)
	}
	return nil
}

func (r *reader) countIgnored(name string, n int) {
	if r.snap.Ignored == nil {
		r.snap.Ignored = map[string]int{}
	}
	r.snap.Ignored[name] += n
}
