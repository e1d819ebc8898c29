package filesystem_test

import (
	"errors"
	"os"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/filesystem"
)

func TestOverProc(t *testing.T) {
	for name, c := range map[string]struct {
		destination, tree string
		refused           bool
	}{
		"elsewhere":          {"/data", ".", false},
		"beside":             {"/process", ".", false},
		"all of it":          {"/proc", ".", true},
		"a part":             {"/proc/sys/kernel", ".", true},
		"what confines":      {"/proc/self/attr", ".", true},
		"the host's own":     {"/proc", "/proc", false},
		"a part of that":     {"/proc/sys", "/proc/sys", false},
		"the machine's size": {"/proc/meminfo", "proc.go", false},
		"below a size":       {"/proc/meminfo/x", ".", true},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := os.Open(c.tree)
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			if err := filesystem.OverProc(c.destination, tree); errors.Is(err, errdefs.ErrInvalidArgument) != c.refused || !c.refused && err != nil {
				t.Errorf("got %v, want refused: %t", err, c.refused)
			}
		})
	}
}
