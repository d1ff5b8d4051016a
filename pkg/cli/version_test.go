package cli

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubeversion "k8s.io/component-base/version"
)

func TestVersionOf(t *testing.T) {
	const commit = "e0e982f0123456789abcdef0123456789abcdef0"
	stamped := func(version string, settings ...debug.BuildSetting) debug.BuildInfo {
		return debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: commit}
	for name, tc := range map[string]struct {
		info           debug.BuildInfo
		client, commit string
	}{
		"nothing is known":        {stamped(""), "(devel)", ""},
		"nothing was recorded":    {stamped("(devel)"), "(devel)", ""},
		"a release":               {stamped("v0.1.0", revision), "v0.1.0", commit},
		"after a release":         {stamped("v0.1.1-0.20260302093000-e0e982f01234", revision), "v0.1.1-0.20260302093000-e0e982f01234", commit},
		"the commit alone":        {stamped("(devel)", revision), "e0e982f01234", commit},
		"with changes of its own": {stamped("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "e0e982f01234+dirty", commit},
	} {
		t.Run(name, func(t *testing.T) {
			want := Version{Client: tc.client, Commit: tc.commit, Scheduler: "v" + kubeversion.DefaultKubeBinaryVersion}
			if diff := cmp.Diff(want, versionOf(&tc.info)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
