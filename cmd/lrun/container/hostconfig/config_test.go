package hostconfig

import (
	"slices"
	"testing"

	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestConfigOf(t *testing.T) {
	for n, want := range [][2][]string{{{}, {"sh", "-c", "x"}}, {{"sh"}, {"-c", "x"}}, {{"sh", "-c"}, {"x"}}, {{"sh", "-c", "x"}, {}}} {
		got := ConfigOf(runtime.Container{Entrypoint: n, Settings: spec.Settings{Args: []string{"sh", "-c", "x"}}})
		if !slices.Equal(got.Entrypoint, want[0]) || !slices.Equal(got.Cmd, want[1]) {
			t.Errorf("%d: got %q and %q", n, got.Entrypoint, got.Cmd)
		}
	}
}
