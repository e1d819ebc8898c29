package runtime

import (
	"errors"
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/idpool"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// TakeIDs gives c, whose claim the caller has, a range of ids that no other container of the root has until c is deleted. It
// does nothing unless c asks for one. A pool with nothing left is errdefs.ErrFailedPrecondition.
func (s *Store) TakeIDs(c *Container) error {
	if !c.Settings.UserNS.Auto {
		return nil
	}
	start, err := s.idRanges().Take(c.ID)
	if err != nil {
		return fmt.Errorf("--userns auto: %w", err)
	}
	c.Settings.UserNS = spec.SameIDs(spec.IDRange{Host: start, Size: idpool.Size})
	c.Settings.UserNS.Auto = true
	return nil
}

func (s *Store) idRanges() idpool.Pool { return idpool.Open(filepath.Join(s.root, "userns")) }

// retakeIDs records the range of c again.
func (s *Store) retakeIDs(c Container) error {
	if !c.Settings.UserNS.Auto {
		return nil
	}
	return s.idRanges().Retake(c.Settings.UserNS.UIDs[0].Host, c.ID)
}

// dropIDs frees the range of c. Of a container without a record it looks through all ranges.
func (s *Store) dropIDs(c Container) error {
	if c.Settings.UserNS.Auto {
		return s.idRanges().Drop(c.Settings.UserNS.UIDs[0].Host, c.ID)
	}
	if c.Created.IsZero() {
		return s.idRanges().DropOf(func(id string) bool { return id == c.ID })
	}
	return nil
}

// dropLostIDs frees the ranges of containers that are not there, nor being made.
func (s *Store) dropLostIDs() error {
	return s.idRanges().DropOf(s.homeless)
}

// Owners returns the container's user namespace, by which its root is to be mounted; nil when it is the host's. It waits for
// what Begin has begun. The pending container closes it.
func (p *Pending) Owners() (*mount.Owners, error) {
	ids := p.c.Settings.UserNS
	if !ids.Own() || p.owners != nil {
		return p.owners, nil
	}
	if _, _, err := (begun{p}).Child(); err != nil {
		return nil, err
	}
	o, err := p.openOwners()
	if err != nil {
		return nil, err
	}
	o.UID, o.GID = ids.Root()
	p.owners = o
	return o, nil
}

// openOwners opens the first process's namespaces. An external runtime makes that later: then it is another one with
// the same map, which is all that a mount takes of it.
func (p *Pending) openOwners() (o *mount.Owners, err error) {
	child := p.child
	if child == nil {
		child = launch.Spawn([]specs.LinuxNamespace{{Type: specs.UserNamespace}}, p.c.Settings.UserNS, nil)
		defer func() { err = errors.Join(err, child.Abandon()) }()
	}
	return child.Owners()
}

func (p *Pending) closeOwners() error {
	if p.owners == nil {
		return nil
	}
	err := p.owners.Close()
	p.owners = nil
	return err
}
