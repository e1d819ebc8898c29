package launch

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/userns"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// UserNamespace waits for the child and opens its user namespace, which the caller closes.
func (c *Child) UserNamespace() (*os.File, error) {
	if _, err := c.wait(); err != nil {
		return nil, err
	}
	return userns.Open(c.process.Pid)
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
