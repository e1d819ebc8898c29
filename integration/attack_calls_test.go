package integration

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are the system calls that a container's root may not make, in the order of the list. Each is made so that
// it does no harm where it is allowed, and fails with another error than EPERM if only its arguments are wrong.
func forbidden() []attempt {
	var strings [][]byte
	cstring := func(s string) uintptr {
		strings = append(strings, append([]byte(s), 0))
		return uintptr(unsafe.Pointer(&strings[len(strings)-1][0]))
	}
	none, empty := cstring("/none"), cstring("")
	buffer := make([]byte, 256)
	into := uintptr(unsafe.Pointer(&buffer[0]))
	call := func(name string, number uintptr, args ...uintptr) attempt {
		return attempt{name, func() error {
			var a [6]uintptr
			copy(a[:], args)
			_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
			runtime.KeepAlive(buffer)
			runtime.KeepAlive(&strings)
			if errno == 0 {
				return nil
			}
			return errno
		}}
	}
	minus := ^uintptr(0)
	list := []attempt{
		call("keyctl", unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 0),
		call("add_key", unix.SYS_ADD_KEY, cstring("user"), none, none, 1, ^uintptr(0)),
		call("request_key", unix.SYS_REQUEST_KEY, cstring("user"), none, 0, 0),
		call("syslog", unix.SYS_SYSLOG, 3, into, 100),
		call("bpf", unix.SYS_BPF, unix.BPF_PROG_LOAD, into, 128),
		call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, into, 0, minus, minus, 0),
		call("userfaultfd", unix.SYS_USERFAULTFD, 0),
		call("mount", unix.SYS_MOUNT, none, none, cstring("tmpfs"), 0, 0),
		call("umount", unix.SYS_UMOUNT2, none, 0),
		call("pivot_root", unix.SYS_PIVOT_ROOT, none, none),
		call("fsopen", unix.SYS_FSOPEN, cstring("tmpfs"), 1),
		call("open_tree", unix.SYS_OPEN_TREE, minus-99, cstring("/"), 1),
		call("move_mount", unix.SYS_MOVE_MOUNT, minus-99, none, minus-99, none, 0),
		call("mount_setattr", unix.SYS_MOUNT_SETATTR, minus-99, cstring("/"), 0, into, 32),
		call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, minus-99, into, 0),
		call("unshare user", unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		call("unshare mount", unix.SYS_UNSHARE, unix.CLONE_NEWNS),
		call("unshare net", unix.SYS_UNSHARE, unix.CLONE_NEWNET),
		call("unshare cgroup", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP),
		call("setns", unix.SYS_SETNS, minus, 0),
		call("clone3", unix.SYS_CLONE3, into, 1),
		call("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, into),
		call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 1, 0, 0),
		call("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, minus, minus, 0, 0, 0),
		call("init_module", unix.SYS_INIT_MODULE, into, 1, empty),
		call("finit_module", unix.SYS_FINIT_MODULE, minus, empty, 0),
		call("delete_module", unix.SYS_DELETE_MODULE, none, 0),
		call("reboot", unix.SYS_REBOOT, 1, 2, 3, 0),
		call("settimeofday", unix.SYS_SETTIMEOFDAY, 0, into),
		call("swapon", unix.SYS_SWAPON, none, 0),
		call("acct", unix.SYS_ACCT, none),
		call("quotactl", unix.SYS_QUOTACTL, 0x80000000, none, 0, 0),
		call("sethostname", unix.SYS_SETHOSTNAME, into, minus),
		call("fanotify_init", unix.SYS_FANOTIFY_INIT, 0, 0),
		call("personality without protection", unix.SYS_PERSONALITY, 0x0040000),
		call("kcmp", unix.SYS_KCMP, 1, 1, 2, 0, 0),
		call("vsock", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0),
	}
	return append(list, forbiddenFiles()...)
}

// attempt is something to be tried and its name.
type attempt struct {
	name string
	try  func() error
}

// forbiddenFiles are names through which the kernel could be reached.
func forbiddenFiles() []attempt {
	open := func(file string, flags int) attempt {
		return attempt{fmt.Sprintf("open %s with %#x", file, flags), func() error {
			fd, err := unix.Open(file, flags|unix.O_NONBLOCK, 0)
			if errors.Is(err, unix.ENOENT) {
				return unix.ENOSYS // this kernel has it not
			}
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if n, err := unix.Read(fd, make([]byte, 100)); flags == unix.O_RDONLY && n == 0 && err == nil {
				return unix.EPERM // masked
			}
			return nil
		}}
	}
	var list []attempt
	for _, file := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/proc/1/../kcore", "/dev/core"} {
		list = append(list, open(file, unix.O_RDONLY))
	}
	for _, file := range []string{
		"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory",
		"/proc/sys/fs/file-max", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/profiling",
	} {
		list = append(list, open(file, unix.O_WRONLY))
	}
	return list
}

// attackCalls is calls [SKIP…]: it makes every forbidden call. Those that skip, by name, are not made.
func attackCalls(skipped []string) error {
	runtime.LockOSThread()
	var errs []error
	for _, a := range forbidden() {
		if strings.Contains(" "+strings.Join(skipped, " ")+" ", " "+a.name+" ") {
			continue
		}
		errs = append(errs, judge(a.name, a.try()))
	}
	for _, name := range []string{"/sys/firmware", "/proc/acpi", "/proc/scsi"} {
		if entries, err := os.ReadDir(name); err == nil && len(entries) > 0 {
			errs = append(errs, fmt.Errorf("got through: %s shows %d entries", name, len(entries)))
		}
	}
	return errors.Join(errs...)
}
