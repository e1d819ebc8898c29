package launch

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// Owners waits for the child and opens its namespaces, which the caller closes. Who root is there is the caller's to say.
func (c *Child) Owners() (*mount.Owners, error) {
	if _, err := c.wait(); err != nil {
		return nil, err
	}
	return mount.OwnersOf(c.process.Pid)
}

// lateNamespaces makes the IPC namespace only when the child is root of its user namespace: the owner of /dev/mqueue is who
// made that.
func (p *planner) lateNamespaces() {
	if !p.request.UserNS.Own() {
		return
	}
	for _, ns := range p.request.Spec.Linux.Namespaces {
		if ns.Type == specs.IPCNamespace {
			p.do(stage.Step{Op: stage.OpUnshare, Flags: unix.CLONE_NEWIPC})
		}
	}
}
