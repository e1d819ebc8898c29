package check_test

import (
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/snapshot/layout"
)

// A driver without records is told of once, whatever was asked, and so is nothing of its containers; the others are checked.
func TestLostRecords(t *testing.T) {
	testutil.RequireRoot(t)
	s := newStore(t, "vfs")
	s.Drivers = append(s.Drivers, check.Driver{Name: "overlayfs", Lost: &layout.Lost{Records: "/r/records", Data: "/r/data"}})
	id := strings.Repeat("a", 64)
	s.Containers = people{list: []check.Container{{ID: id, Name: "n", Driver: "overlayfs", Snapshot: true, Holder: id}}}
	for name, only := range map[string][]image.Record{"everything": nil, "one image": {s.record}} {
		t.Run(name, func(t *testing.T) {
			lines, sum := s.check(t, check.Options{Only: only})
			if len(lines) != 1 || !strings.HasPrefix(lines[0], "damaged record  : the directory is missing") || sum.Damaged != 1 || sum.Layers != 3 {
				t.Errorf("got %q, %+v", lines, sum)
			}
		})
	}
}
