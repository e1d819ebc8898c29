// Package machine is what a start has to know of the machine and of lrun's own process, whatever the container.
package machine

import (
	"sync"

	"github.com/lrun-dev/lrun/internal/calm"
	"github.com/lrun-dev/lrun/internal/stack"
	"github.com/lrun-dev/lrun/runtime/capability"
	"github.com/lrun-dev/lrun/runtime/cgroup"
)

// Machine asks each question at most once. Its fields wait for the answer.
type Machine struct {
	Cgroups  func() (*cgroup.Hierarchy, error) // cgroup.Detect
	Bounding func() (uint64, error)            // capability.Bounding
}

// New returns the machine, of which nothing is known yet.
func New() *Machine {
	return &Machine{Cgroups: sync.OnceValues(cgroup.Detect), Bounding: sync.OnceValues(capability.Bounding)}
}

// Expect says that a container will be started soon, which is all that this process does. It returns at once, and all is found
// out meanwhile.
func (m *Machine) Expect() {
	go func() {
		stack.Ensure()
		calm.Watcher()
		_, _ = m.Cgroups() // whoever asks next is told
		_, _ = m.Bounding()
	}()
}
