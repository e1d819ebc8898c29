package spec_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		name, path string
		want       []string
	}{
		{"sh", "/bin:/usr/bin/", []string{"/bin/sh", "/usr/bin/sh"}},
		{"sh", "/bin::x", []string{"/bin/sh", "./sh", "x/sh"}},
		{"./sh", "/bin", []string{"./sh"}},
		{"/bin/sh", "/usr/bin", []string{"/bin/sh"}},
	} {
		got := spec.Candidates(&specs.Process{Args: []string{c.name}, Env: []string{"PATH=" + c.path}})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s in %s: got %q", c.name, c.path, got)
		}
	}
}
