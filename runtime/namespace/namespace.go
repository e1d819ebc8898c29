// Package namespace makes and joins the namespaces of a container for its first process.
package namespace

import (
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Enter moves the calling thread into the namespaces that are given by path, and returns the flags of clone(2) that make
// the others. The thread must be locked, and end locked. Of the cgroup namespace the
// child sees to itself: its root is the group that a process is in when it is made. So it does, with a user namespace, of
// the IPC namespace: the owner of its message queues is who makes it, who is to be root of that user namespace.
func Enter(namespaces []specs.LinuxNamespace) (uintptr, error) {
	var flags uintptr
	for _, ns := range namespaces {
		flag, ok := map[specs.LinuxNamespaceType]uintptr{
			specs.MountNamespace: unix.CLONE_NEWNS, specs.PIDNamespace: unix.CLONE_NEWPID, specs.IPCNamespace: unix.CLONE_NEWIPC,
			specs.UTSNamespace: unix.CLONE_NEWUTS, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.CgroupNamespace: 0,
			specs.UserNamespace: unix.CLONE_NEWUSER,
		}[ns.Type]
		switch {
		case !ok:
			return 0, unsupported("a new %s namespace", ns.Type)
		case ns.Path == "":
			flags |= flag
		default:
			if err := join(ns, int(flag)); err != nil {
				return 0, err
			}
		}
	}
	if flags&unix.CLONE_NEWUSER != 0 {
		flags &^= unix.CLONE_NEWIPC
	}
	return flags, nil
}

// join moves the calling thread into a namespace, and with that the child that it will make: of a pid namespace only
// children become members. The thread must be locked and end locked.
func join(ns specs.LinuxNamespace, flag int) error {
	if flag == 0 || flag == unix.CLONE_NEWNS || flag == unix.CLONE_NEWUSER {
		return unsupported("joining the %s namespace %s", ns.Type, ns.Path)
	}
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the %s namespace %s: %w", ns.Type, ns.Path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, flag); err != nil {
		return fmt.Errorf("join the %s namespace %s: %w", ns.Type, ns.Path, err)
	}
	return nil
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("the built-in runtime does not do %s; try --runtime runc: %w", fmt.Sprintf(format, args...), errdefs.ErrNotImplemented)
}
