// Package failure says in words what a step of a start that failed was about.
package failure

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/stage"
)

// Of returns the error of the step s, which is not the execution of the program: what it worked on, the system's error
// number, and what the user can make of it.
func Of(s stage.Step, f *stage.Failure) error {
	what := describe(s)
	switch {
	case isSysctl(s):
		what = fmt.Sprintf("set sysctl %s to %q", s.Path, s.Blob)
	case f.Detail != "":
		what += " (" + f.Detail + ")"
	}
	return advise(s, f.Errno, fmt.Errorf("%s: %w", what, f.Errno))
}

// What steps write as attributes: Sysctls is where the files of sysctls are, Label the file of the SELinux context.
const (
	Sysctls = "/proc/sys/"
	Label   = "/proc/thread-self/attr/exec"
)

func isSysctl(s stage.Step) bool {
	return s.Op == stage.OpAttribute && len(s.Data) == 1 && strings.HasPrefix(s.Data[0], Sysctls)
}

// isAppArmor says whether a step takes a profile of AppArmor: it alone has a second file to try, that of old kernels.
func isAppArmor(s stage.Step) bool {
	return s.Op == stage.OpAttribute && len(s.Data) == 2
}

func describe(s stage.Step) string {
	switch s.Op {
	case stage.OpJoin:
		return "join cgroup " + s.Path
	case stage.OpHostname:
		return fmt.Sprintf("set host name %q", s.Path)
	case stage.OpDomain:
		return fmt.Sprintf("set domain name %q", s.Path)
	case stage.OpLoopback:
		return "bring the loopback interface up"
	case stage.OpRoot:
		return "attach the container's root"
	case stage.OpAttach, stage.OpInside:
		return "mount on " + s.Path + " inside the container"
	case stage.OpFilesystem:
		return "mount " + s.Data[0] + " on " + s.Path + " inside the container"
	case stage.OpMask:
		return "mask " + s.Path
	case stage.OpReadOnly:
		return "make " + s.Path + " read-only"
	case stage.OpMkdir:
		return "make the working directory " + s.Path
	case stage.OpChdir:
		return "enter the working directory " + s.Path
	default:
		return describeProcess(s)
	}
}

func describeProcess(s stage.Step) string {
	switch s.Op {
	case stage.OpDevice:
		return "make the device " + s.Path + " inside the container"
	case stage.OpLimit:
		return "set the limit " + s.Path
	case stage.OpUser:
		return fmt.Sprintf("become user %d, group %d", s.Flags, s.Attr)
	default:
		return fmt.Sprintf("%s inside the container", opName(s))
	}
}

func opName(s stage.Step) string {
	switch s.Op {
	case stage.OpAttribute:
		if isAppArmor(s) {
			return fmt.Sprintf("take the AppArmor profile %q", s.Path)
		}
		return fmt.Sprintf("take the SELinux context %q", s.Path)
	case stage.OpUnshare:
		return "make a namespace"
	case stage.OpPivot:
		return "change the root directory"
	case stage.OpReadOnlyMount:
		return "make a mount read-only"
	case stage.OpNoNewPrivileges:
		return "set no_new_privs"
	case stage.OpSession:
		return "start a session"
	case stage.OpStdio:
		return "set up a standard stream"
	case stage.OpSeccomp:
		return "load the seccomp filter"
	case stage.OpBounding, stage.OpCapabilities:
		return "set capabilities"
	case stage.OpDeathSignal:
		return "bind the container's life to lrun's"
	default:
		return fmt.Sprintf("do step %d", s.Op)
	}
}

// advise adds to the error of a failed step what the user can make of it.
func advise(s stage.Step, errno unix.Errno, err error) error {
	switch {
	case s.Flags&stage.NoSymlinks != 0 && errors.Is(errno, unix.ELOOP) && (s.Op == stage.OpAttach || s.Op == stage.OpFilesystem):
		return fmt.Errorf("%w: the image has a symbolic link there, which could redirect the mount", err)
	case s.Op == stage.OpAttach && (errors.Is(errno, unix.ENOTDIR) || errors.Is(errno, unix.EINVAL)):
		return fmt.Errorf("%w: a directory cannot be mounted on a file, nor a file on a directory", err)
	case s.Op == stage.OpLimit && errors.Is(errno, unix.EPERM):
		return fmt.Errorf("%w: that is above the hard limit of lrun, which lacks CAP_SYS_RESOURCE to raise it, or above /proc/sys/fs/nr_open", err)
	case isSysctl(s) && errors.Is(errno, unix.ENOENT):
		return fmt.Errorf("%w: there is none of that name in the container's namespaces", err)
	case isAppArmor(s) && errors.Is(errno, unix.ENOENT):
		return fmt.Errorf("%w: the kernel has no profile of that name any more; load it with 'apparmor_parser -r FILE', lrun's own by starting the container again", err)
	case s.Op == stage.OpFilesystem && (s.Data[0] == "proc" || s.Data[0] == "sysfs") && errors.Is(errno, unix.EPERM):
		return fmt.Errorf("%w: in a user namespace the kernel mounts it only where lrun's own is wholly visible and writable, with nothing mounted over a part of it", err)
	case s.Op == stage.OpMask && errors.Is(errno, unix.ENODEV):
		return fmt.Errorf("%w: it is covered by the container's /dev/null, which is another device", err)
	case s.Op == stage.OpDevice && errors.Is(errno, unix.EEXIST):
		return fmt.Errorf("%w: the container has something else there; give another name with --device HOST:NAME", err)
	}
	return err
}
