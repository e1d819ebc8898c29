// Package failure says in words what a step of a start that failed was about.
package failure

import (
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

// Early is the error of a first process that was killed before it executed program and has said nothing. ownFilter says that
// the user has chosen its seccomp filter.
func Early(pid int, program string, ownFilter bool) error {
	advice := ""
	if ownFilter {
		advice = "; a seccomp profile that forbids execve does that too"
	}
	return fmt.Errorf("process %d, the container's first, was killed before it executed %q%s", pid, program, advice)
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
	for _, advice := range []string{adviseMount(s, errno), adviseProcess(s, errno)} {
		if advice != "" {
			return fmt.Errorf("%w: %s", err, advice)
		}
	}
	return err
}

func adviseMount(s stage.Step, errno unix.Errno) string {
	switch {
	case s.Flags&stage.NoSymlinks != 0 && errno == unix.ELOOP && (s.Op == stage.OpAttach || s.Op == stage.OpFilesystem):
		return "the image has a symbolic link there, which could redirect the mount"
	case s.Op == stage.OpAttach && (errno == unix.ENOTDIR || errno == unix.EINVAL):
		return "a directory cannot be mounted on a file, nor a file on a directory"
	case s.Op == stage.OpFilesystem && (s.Data[0] == "proc" || s.Data[0] == "sysfs") && errno == unix.EPERM:
		return "in a user namespace the kernel mounts it only where lrun's own is wholly visible and writable, with nothing mounted over a part of it"
	case s.Op == stage.OpMask && errno == unix.ENODEV:
		return "it is covered by the container's /dev/null, which is another device"
	}
	return ""
}

func adviseProcess(s stage.Step, errno unix.Errno) string {
	switch {
	case s.Op == stage.OpLimit && errno == unix.EPERM:
		return "that is above the hard limit of lrun, which lacks CAP_SYS_RESOURCE to raise it, or above /proc/sys/fs/nr_open"
	case isSysctl(s) && errno == unix.ENOENT:
		return "there is none of that name in the container's namespaces"
	case isAppArmor(s) && errno == unix.ENOENT:
		return "the kernel has no profile of that name any more; load it with 'apparmor_parser -r FILE', lrun's own by starting the container again"
	case s.Op == stage.OpDevice && errno == unix.EEXIST:
		return "the container has something else there; give another name with --device HOST:NAME"
	}
	return ""
}
