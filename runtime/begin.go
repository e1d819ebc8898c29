package runtime

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/seccomp"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Pending is a container whose cgroup and first process are being made. It ends up in Start or must be
// abandoned.
type Pending struct {
	store *Store
	c     Container

	made      chan struct{} // closed when what follows is set
	err       error
	hierarchy *cgroup.Hierarchy
	group     *cgroup.Group
	child     *launch.Child // nil: an external runtime makes the process
	host      spec.Host
	bounding  uint64
	profile   *specs.LinuxSeccomp // nil: none
	filter    []byte
}

// Begin begins to make what a start of c needs beside its record and its root, and returns at once: the
// cgroup, the first process, waiting, and the seccomp filter. They take as long as record and root,
// which the caller makes meanwhile. The caller holds the claim of c until the container has finished.
func (s *Store) Begin(c Container) *Pending {
	p := &Pending{store: s, c: c, made: make(chan struct{})}
	go func() {
		defer close(p.made)
		p.err = p.make()
	}()
	return p
}

func (p *Pending) make() error {
	var err error
	if p.hierarchy, err = p.store.cgroups(); err != nil {
		return err
	}
	if p.host, err = spec.FindHost(p.c.Settings); err != nil {
		return err
	}
	p.group, err = p.hierarchy.CreateAround(cgroupPath(p.c.ID), spec.Resources(p.c.Settings, p.host), func(g *cgroup.Group) {
		if p.c.Runtime == "" {
			p.child = launch.Spawn(spec.Namespaces(p.c.Settings, onlyV2(p.hierarchy)), g)
		}
	})
	if err != nil {
		return err
	}
	trace.Step("cgroup made")
	if p.bounding, err = boundingSet(); err != nil || p.c.Settings.Privileged {
		return err
	}
	return p.compile()
}

// compile makes the seccomp profile, which depends on the capabilities, and its filter.
func (p *Pending) compile() error {
	kept, err := spec.Capabilities(p.c.Settings, p.bounding)
	if err != nil {
		return err
	}
	if p.profile, err = seccomp.Default(kept); err != nil || p.child == nil {
		return err
	}
	program, err := seccomp.Compile(p.profile)
	if err != nil {
		return fmt.Errorf("compile the seccomp profile: %w", err)
	}
	p.filter = seccomp.Bytes(program)
	trace.Step("filter compiled")
	return nil
}

func (p *Pending) wait() error {
	<-p.made
	return p.err
}

// Abandon takes back what Begin has made, as far as it came.
func (p *Pending) Abandon() error {
	<-p.made
	var err error
	if p.child != nil {
		err = p.child.Abandon()
	}
	return errors.Join(err, p.removeGroup())
}

func (p *Pending) removeGroup() error {
	if p.group == nil {
		return nil
	}
	return errors.Join(p.group.Kill(), p.group.Remove())
}

func cgroupPath(id string) string { return "/lrun/" + id }

func onlyV2(h *cgroup.Hierarchy) bool {
	for _, m := range h.Mounts() {
		if !m.Unified {
			return false
		}
	}
	return true
}
