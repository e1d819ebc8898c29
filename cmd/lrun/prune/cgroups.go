package prune

import (
	"errors"
	"slices"
	"time"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

const (
	cgroups = "/lrun" // where the containers of every root on the machine have theirs
	// cgroupAge is how long nobody has used one that goes: of another root it may be of a container that is just being started.
	cgroupAge = time.Minute
)

// lostCgroups are the cgroups without a process, that no container of this root has.
func lostCgroups(e *env.Env) ([]string, error) {
	hierarchy, err := e.Runtime().Cgroups()
	if err != nil {
		return nil, err
	}
	unused, err := hierarchy.Unused(cgroups, cgroupAge)
	if err != nil || len(unused) == 0 {
		return nil, err
	}
	known, err := e.Runtime().IDs()
	var lost []string
	for _, id := range unused {
		if IsContainerID(id) && !slices.Contains(known, id) {
			lost = append(lost, cgroups+"/"+id)
		}
	}
	return lost, err
}

// removeCgroups removes the groups and returns those that are gone. One that a process has entered meanwhile stays.
func removeCgroups(e *env.Env, groups []string) (gone []string, err error) {
	hierarchy, err := e.Runtime().Cgroups()
	errs := []error{err}
	for _, path := range groups {
		group, err := hierarchy.Open(path)
		if err == nil {
			err = group.Remove()
		}
		if err == nil {
			gone = append(gone, "cgroup "+path)
		}
		errs = append(errs, unlessTaken(err))
	}
	return gone, errors.Join(errs...)
}
