package filesystem_test

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/filesystem"
)

func TestCovering(t *testing.T) {
	mounts := []specs.Mount{{Destination: "/dev"}, {Destination: "/dev/shm"}, {Destination: "/data"}, {Destination: "/dev/file"}}
	for path, want := range map[string]string{
		"/dev/null": "/dev", "/dev/a/b": "/dev", "/dev/shm/x": "/dev/shm", "/dev/shmx": "/dev", "/dev/file": "/dev", "/data/x/y": "/data",
		"/database": "", "/dev": "", "/x": "",
	} {
		if got := filesystem.Covering(mounts, path); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
}
