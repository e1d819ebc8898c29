package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/snapshot"
)

// containers checks the records of containers: each has its snapshot and its name.
func (c *checker) containers() error {
	if c.Containers == nil {
		return nil
	}
	list, err := c.Containers.List()
	damaged := each(err)
	for _, e := range damaged {
		if !errdefs.IsDataLoss(e) {
			return e
		}
		c.report(Finding{Severity: Damage, Kind: "container", ID: "record", Problem: e.Error(), Remedy: "nothing can rebuild it"})
	}
	known := map[string]bool{}
	for _, k := range list {
		known[k.ID] = true
		c.sum.Containers++
		problem, remedy := k.Problem, removal(k.ID)
		if problem == "" {
			problem, remedy = c.container(k), "remove it with lrun rm "+short(k.ID)
		}
		if problem == "" {
			problem = c.missingVolume(k)
		}
		if problem != "" && !c.Containers.Busy(k.ID) && !c.Containers.Gone(k.ID) {
			c.report(Finding{
				Severity: Damage, Kind: "container", ID: k.ID, Driver: k.Driver, Problem: problem,
				Remedy: remedy,
			})
		}
	}
	if len(damaged) > 0 { // whose snapshots the others are is not known
		return nil
	}
	return c.abandoned(known)
}

// abandoned reports snapshots of containers that are not there.
func (c *checker) abandoned(known map[string]bool) error {
	for _, d := range c.Drivers {
		if d.Lost != nil {
			continue
		}
		err := d.Snapshots.Walk(c.ctx, func(info snapshot.Info) error {
			if info.Kind != snapshot.Active || len(info.Key) != containerID || known[info.Key] {
				return nil
			}
			if c.Containers.Busy(info.Key) || !c.Containers.Gone(info.Key) {
				return nil
			}
			if _, err := d.Snapshots.Stat(c.ctx, info.Key); !errdefs.IsNotFound(err) { // else it went with its container
				c.report(Finding{Severity: Leftover, Kind: "container", ID: info.Key, Driver: d.Name, Problem: "a snapshot of a container that is gone"})
			}
			return nil
		})
		if err != nil && !errdefs.IsDataLoss(err) {
			return err
		}
	}
	return nil
}

// removal says how to remove the container id, whatever is damaged of it.
func removal(id string) string { return "remove it with lrun rm -f " + short(id) }

// short is as much of a container's id as people write.
func short(id string) string {
	const length = 12
	return id[:min(length, len(id))]
}

// containerID is the length of a container's id.
const containerID = 64

// container says what is wrong with one container, "" for nothing.
func (c *checker) container(k Container) string {
	if k.Holder != k.ID {
		if k.Holder == "" {
			return fmt.Sprintf("its name %s is not recorded", k.Name)
		}
		return fmt.Sprintf("its name %s is recorded as that of %s", k.Name, k.Holder)
	}
	if !k.Snapshot {
		return ""
	}
	for _, d := range c.Drivers {
		if d.Name != k.Driver {
			continue
		}
		if d.Lost != nil { // that was told
			return ""
		}
		info, err := d.Snapshots.Stat(c.ctx, k.ID)
		if err == nil && info.Kind == snapshot.Active {
			err = c.files(d, info)
		}
		switch {
		case errdefs.IsNotFound(err):
			return "its snapshot is missing"
		case err != nil:
			return err.Error()
		}
		return ""
	}
	return fmt.Sprintf("its snapshot is missing: there is nothing of the driver %q", k.Driver)
}

// files tells that the directory or the disk is missing that holds what a container has written.
func (c *checker) files(d Driver, info snapshot.Info) error {
	path, err := d.Snapshots.Path(c.ctx, info.Key)
	if err != nil {
		return err
	}
	if info.Limit != nil {
		err = info.Limit.Check(path)
	}
	if err != nil || info.Limit.Inside() {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its files, %q, are missing: %w", path, errdefs.ErrDataLoss)
	} else if err != nil {
		return err
	}
	return nil
}

// missingVolume tells that a volume is not there that k mounts. One that is damaged is told of by itself.
func (c *checker) missingVolume(k Container) string {
	for _, name := range k.Volumes {
		if !c.Volumes.Has(name) {
			return fmt.Sprintf("its volume %s is missing: lrun volume create %s makes an empty one", name, name)
		}
	}
	return ""
}

// each returns the errors that are joined in err.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return slices.DeleteFunc([]error{err}, func(e error) bool { return e == nil })
}
