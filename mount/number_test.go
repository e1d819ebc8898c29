package mount

import (
	"errors"
	"testing"

	"github.com/containerd/errdefs"
)

func TestNumbers(t *testing.T) {
	for value, want := range map[string]string{"u:r:t:s0:c1,c2": `context="u:r:t:s0:c1,c2",index=off`, "u:r:t": `context="u:r:t",index=off`, `a",b`: ""} {
		got, fds, err := Mount{}.numbers([]Option{{Key: "context", Value: value}, {Key: "index", Value: "off"}})
		if got != want || len(fds) > 0 || (want == "") != errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	if _, _, err := (Mount{}).numbers([]Option{{Key: "other", Value: "a,b"}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
}
