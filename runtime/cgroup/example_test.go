package cgroup_test

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/cgroup"
)

func ExampleHierarchy_Create() {
	hierarchy, err := cgroup.Detect()
	if err != nil {
		fmt.Println(err)
		return
	}
	group, err := hierarchy.Create("/lrun/0123456789ab", &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(int64(512 << 20))},
		Pids:   &specs.LinuxPids{Limit: new(int64(100))},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Processes join by group.FD and group.JoinFiles, run, and end.
	if err := group.Remove(); err != nil {
		fmt.Println(err)
	}
}
