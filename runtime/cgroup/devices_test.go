package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func deviceRule(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		d.Major = &major
	}
	if minor >= 0 {
		d.Minor = &minor
	}
	return d
}

// dockers are the rules of an ordinary container.
func dockers() []specs.LinuxDeviceCgroup {
	list := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"}, deviceRule(true, "c", -1, -1, "m"), deviceRule(true, "b", -1, -1, "m"),
	}
	for _, n := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}} {
		list = append(list, deviceRule(true, "c", n[0], n[1], "rwm"))
	}
	return list
}

func TestDevicesAreRestricted(t *testing.T) {
	h := detected(t)
	dir := t.TempDir()
	loop, null := filepath.Join(dir, "loop"), filepath.Join(dir, "null")
	for path, number := range map[string]uint64{loop: unix.Mkdev(7, 0), null: unix.Mkdev(1, 3)} {
		mode := uint32(unix.S_IFBLK)
		if path == null {
			mode = unix.S_IFCHR
		}
		if err := unix.Mknod(path, mode|0o600, int(number)); err != nil {
			t.Fatal(err)
		}
	}
	v2 := slices.DeleteFunc(h.Mounts(), func(m Mount) bool { return !m.Unified })
	for name, c := range map[string]struct {
		h     *Hierarchy
		rules []specs.LinuxDeviceCgroup
		kmsg  bool // refused
	}{
		"docker":             {h, dockers(), true},
		"everything":         {h, []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, false},
		"v2 docker":          {&Hierarchy{mounts: v2}, dockers(), true},
		"v2 everything":      {&Hierarchy{mounts: v2}, []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, false},
		"v2 only kmsg":       {&Hierarchy{mounts: v2}, []specs.LinuxDeviceCgroup{deviceRule(false, "c", 1, 11, "rw")}, true},
		"v2 kmsg to be made": {&Hierarchy{mounts: v2}, []specs.LinuxDeviceCgroup{deviceRule(false, "c", 1, 11, "m")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.h.mounts) == 0 {
				t.Skip("v2 is not mounted")
			}
			g := create(t, c.h, "devices", &specs.LinuxResources{Devices: c.rules})
			defer remove(t, g)
			p := start(t, g, "open /dev/kmsg "+null+" /dev/zero "+loop)
			blocks := c.kmsg && len(c.rules) > 1
			for _, want := range []string{
				fmt.Sprint("/dev/kmsg ", c.kmsg), null + " false", "/dev/zero false", fmt.Sprint(loop, " ", blocks),
			} {
				if got := p.line(t); got != want {
					t.Errorf("refused: got %q, want %q", got, want)
				}
			}
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDevicesNeedAHierarchy(t *testing.T) {
	h := &Hierarchy{}
	g, err := h.Create("/a", &specs.LinuxResources{Devices: dockers()})
	if g != nil || !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("got %v, %v", g, err)
	}
	g, err = h.Create("/a", &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}})
	if err != nil || len(g.Mounts()) != 0 {
		t.Errorf("when all are allowed: %v, %v", g, err)
	}
}
