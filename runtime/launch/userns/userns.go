// Package userns starts a process as root of a user namespace of its own.
package userns

import (
	"errors"
	"fmt"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Map has the process that is started with attr run as root of its user namespace, in which users and groups are ids. It
// does nothing for the host's.
func Map(attr *syscall.SysProcAttr, ids spec.UserNamespace) {
	if !ids.Own() {
		return
	}
	attr.UidMappings, attr.GidMappings = processMap(ids.UIDs), processMap(ids.GIDs)
	attr.GidMappingsEnableSetgroups = true
	attr.Credential = &syscall.Credential{Uid: 0, Gid: 0} // numbers of the namespace; the execution keeps root's capabilities
}

func processMap(list []spec.IDRange) []syscall.SysProcIDMap {
	var all []syscall.SysProcIDMap
	for _, r := range list {
		all = append(all, syscall.SysProcIDMap{ContainerID: int(r.Container), HostID: int(r.Host), Size: int(r.Size)})
	}
	return all
}

// Explain adds to an error of a start with attr what it means, where there is a user namespace or no room for a process.
func Explain(attr *syscall.SysProcAttr, err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("no more processes may be made here; lrun's own cgroup (pids.max) or user (ulimit -u) is at its limit: %w", err)
	case attr.Credential == nil:
		return err
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("lrun's own program must be executable for everybody (chmod 755), for the container's root is nobody on the host: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the kernel makes no user namespace for a process in a chroot (use pivot_root), nor where a security policy forbids it: %w", err)
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		return fmt.Errorf("the kernel makes no more user namespaces; see /proc/sys/user/max_user_namespaces: %w", err)
	}
	return err
}

// RaiseLimits lets the process pid, which is nobody on the host, set limits above its own. It does not set them: the process
// has to live with them before they are the container's. A limit of an unknown name is left alone.
func RaiseLimits(pid int, limits []specs.POSIXRlimit) error {
	for _, l := range limits {
		number, known := spec.RlimitNumber(l.Type)
		if !known {
			continue
		}
		var own unix.Rlimit
		err := unix.Prlimit(pid, int(number), nil, &own)
		if err == nil && l.Hard > own.Max {
			own.Max = l.Hard
			err = unix.Prlimit(pid, int(number), &own, nil)
		}
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("raise the limit %s: that is above the hard limit of lrun, which lacks CAP_SYS_RESOURCE to raise it, or above /proc/sys/fs/nr_open: %w", l.Type, err)
		}
		if err != nil {
			return fmt.Errorf("raise the limit %s of process %d: %w", l.Type, pid, err)
		}
	}
	return nil
}
