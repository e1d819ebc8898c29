package spec_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// What takes the place of a default mount comes where that was, so that those below it are mounted on it.
func TestOwnMountInTheDefaultsPlace(t *testing.T) {
	settings := spec.Settings{Args: []string{"true"}, Mounts: []spec.Mount{
		{Type: "bind", Source: "/x", Target: "/data"}, {Type: "bind", Source: "/dev", Target: "/dev/"},
	}}
	c, err := spec.New(settings, spec.Facts{Bounding: 1<<41 - 1, Devices: spec.DefaultDevices()})
	if err != nil {
		t.Fatal(err)
	}
	at := func(destination string) int {
		return slices.IndexFunc(c.Mounts, func(m specs.Mount) bool { return m.Destination == destination || m.Destination == destination+"/" })
	}
	dev := at("/dev")
	if dev < 0 || c.Mounts[dev].Type != "bind" {
		t.Fatalf("/dev is mount %d: %+v", dev, c.Mounts)
	}
	for _, below := range []string{"/dev/pts", "/dev/shm", "/dev/mqueue"} {
		if at(below) < dev {
			t.Errorf("%s is mount %d, before /dev, which is mount %d", below, at(below), dev)
		}
	}
	if at("/data") < at("/dev/shm") {
		t.Error("a mount in no default's place comes before the default ones")
	}
}
