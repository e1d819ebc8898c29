package runtime

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/internal/stack"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/share"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Pending is a container whose cgroup and first process are being made. It ends up in Start or must be
// abandoned.
type Pending struct {
	store *Store
	c     Container

	known     chan struct{} // closed when the first five of what follows are set
	hierarchy *cgroup.Hierarchy
	host      spec.Host
	bounding  uint64
	joined    share.Joined
	appArmor  string

	grouped chan struct{} // closed when the next three are set
	group   *cgroup.Group
	child   *launch.Child // nil: an external runtime makes the process
	failed  error         // why there is no group, or nothing is known

	made    chan struct{} // closed when all is set
	err     error
	profile *specs.LinuxSeccomp // nil: none
	filter  launch.Filter

	owners *mount.Owners // what Owners has opened
}

// Begin begins to make what a start of c needs beside its record and its root, and returns at once: the
// cgroup, the first process, waiting, and the seccomp filter. They take as long as record and root,
// which the caller makes meanwhile. The caller holds the claim of c until the container has finished.
func (s *Store) Begin(c Container) *Pending {
	p := &Pending{store: s, c: c, known: make(chan struct{}), grouped: make(chan struct{}), made: make(chan struct{})}
	go func() {
		stack.Ensure()
		defer close(p.made)
		p.failed = p.find(c)
		close(p.known)
		if p.failed == nil {
			p.failed = p.make(c)
		}
		close(p.grouped)
		if p.err = p.failed; p.err == nil && spec.Filtered(c.Settings) {
			p.err = p.prepareFilter(c)
		}
	}()
	return p
}

// find reads what has to be known of the machine.
func (p *Pending) find(c Container) (err error) {
	if p.hierarchy, err = p.store.Cgroups(); err != nil {
		return err
	}
	if p.host, err = spec.FindHost(c.Settings); err != nil {
		return err
	}
	if p.joined, err = share.Open(donors{p.store}, c.ID, c.Settings); err != nil {
		return err
	}
	if p.appArmor, err = apparmor.This().Choose(c.Settings.Security.AppArmor, c.Settings.Privileged); err != nil {
		return err
	}
	p.bounding, err = p.store.Bounding()
	return err
}

// make makes the cgroup and, as soon as it can, the first process.
func (p *Pending) make(c Container) (err error) {
	spawn := func(g *cgroup.Group) {
		if c.Runtime == "" {
			p.child = launch.Spawn(spec.Namespaces(c.Settings, p.hierarchy.OnlyUnified(), p.joined.Paths), c.Settings.UserNS, g)
		}
	}
	everywhere := p.hierarchy.Everywhere(c.Settings.Privileged || c.Settings.Security.WritableCgroups)
	p.group, err = everywhere.CreateAround(cgroupPath(c.ID), spec.Resources(c.Settings, p.host), spawn)
	trace.Step("cgroup made")
	return err
}

func (p *Pending) wait() error {
	<-p.made
	return p.err
}

// begun is what the built-in runtime waits for while it prepares the rest.
type begun struct{ *Pending }

// Child implements launch.Begun.
func (b begun) Child() (*launch.Child, *cgroup.Group, error) {
	<-b.grouped
	return b.child, b.group, b.failed
}

// Filter implements launch.Begun.
func (b begun) Filter() (launch.Filter, error) {
	err := b.wait()
	return b.filter, err
}

// Abandon takes back what Begin has made, as far as it came.
func (p *Pending) Abandon() error {
	<-p.made
	var err error
	if p.child != nil {
		err = p.child.Abandon()
	}
	return errors.Join(err, p.closeOwners(), p.joined.Close(), p.store.abandonMemory(p.c), p.removeGroup())
}

func (p *Pending) removeGroup() error {
	if p.hierarchy == nil {
		return nil
	}
	if p.group == nil { // perhaps half made, by who had not what it takes to remove it
		return p.store.removeCgroup(p.c.ID)
	}
	return p.group.End()
}

func cgroupPath(id string) string { return "/lrun/" + id }
