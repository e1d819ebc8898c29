package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bad is an argument that is no descriptor, no address and no flag of any call, so that a call that passes the filter
// fails with something else than the filter's EPERM and ENOSYS.
const bad = ^uintptr(0)

// A call is a system call with arguments that do no harm, whatever rights the program has.
type call struct {
	name string
	nr   uintptr
	args []uintptr
}

// calls is what system calls give.
func calls(r *report) {
	table := refused()
	for _, class := range [][]call{risky(), own(), families(), personalities(), clones(), others32()} {
		table = append(table, class...)
	}
	for i, c := range table {
		args := [6]uintptr{}
		copy(args[:], c.args)
		value, _, errno := unix.RawSyscall6(c.nr, args[0], args[1], args[2], args[3], args[4], args[5])
		key := fmt.Sprintf("call %d %s", i, c.name)
		if errno == 0 && len(c.name) > 6 && c.name[:6] == "socket" { // what it returns is a descriptor
			_ = unix.Close(int(value)) // it is of no use
			value = 0
		}
		if c.nr == unix.SYS_PERSONALITY {
			_, _, _ = unix.RawSyscall(unix.SYS_PERSONALITY, 0, 0, 0) // back; where it is refused, nothing was changed
		}
		r.result(key, value, errno)
	}
	clonedProcesses(r)
	newCalls(r)
}

// refused are calls that the profile lets pass for some capabilities only, or for none.
func refused() []call {
	empty := uintptr(unsafe.Pointer(&[]byte("/nonexistent\x00")[0]))
	return []call{
		{"swapon", unix.SYS_SWAPON, []uintptr{empty, bad}},
		{"swapoff", unix.SYS_SWAPOFF, []uintptr{empty}},
		{"acct", unix.SYS_ACCT, []uintptr{empty}},
		{"add_key", unix.SYS_ADD_KEY, []uintptr{0, 0, 0, 0, 0}},
		{"request_key", unix.SYS_REQUEST_KEY, []uintptr{0, 0, 0, 0}},
		{"keyctl", unix.SYS_KEYCTL, []uintptr{bad}},
		{"adjtimex", unix.SYS_ADJTIMEX, []uintptr{0}},
		{"clock_adjtime", unix.SYS_CLOCK_ADJTIME, []uintptr{bad, 0}},
		{"clock_settime", unix.SYS_CLOCK_SETTIME, []uintptr{bad, 0}},
		{"settimeofday", unix.SYS_SETTIMEOFDAY, []uintptr{0, 0}},
		{"bpf", unix.SYS_BPF, []uintptr{bad, 0, 0}},
		{"chroot", unix.SYS_CHROOT, []uintptr{0}},
		{"delete_module", unix.SYS_DELETE_MODULE, []uintptr{0, 0}},
		{"finit_module", unix.SYS_FINIT_MODULE, []uintptr{bad, 0, 0}},
		{"init_module", unix.SYS_INIT_MODULE, []uintptr{0, 0, 0}},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT, []uintptr{bad, bad}},
		{"fanotify_mark", unix.SYS_FANOTIFY_MARK, []uintptr{bad, 0, 0, bad, 0}},
		{"fsconfig", unix.SYS_FSCONFIG, []uintptr{bad, bad, 0, 0, 0}},
		{"fsmount", unix.SYS_FSMOUNT, []uintptr{bad, 0, 0}},
		{"fsopen", unix.SYS_FSOPEN, []uintptr{0, bad}},
		{"fspick", unix.SYS_FSPICK, []uintptr{bad, 0, bad}},
		{"mount", unix.SYS_MOUNT, []uintptr{0, 0, 0, 0, 0}},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, []uintptr{bad, 0, bad, 0, 0}},
		{"move_mount", unix.SYS_MOVE_MOUNT, []uintptr{bad, 0, bad, 0, bad}},
		{"open_tree", unix.SYS_OPEN_TREE, []uintptr{bad, 0, bad}},
		{"umount2", unix.SYS_UMOUNT2, []uintptr{0, bad}},
		{"pivot_root", unix.SYS_PIVOT_ROOT, []uintptr{0, 0}},
		{"setns", unix.SYS_SETNS, []uintptr{bad, 0}},
		{"unshare nothing", unix.SYS_UNSHARE, []uintptr{0}},
		{"unshare files", unix.SYS_UNSHARE, []uintptr{unix.CLONE_FS | unix.CLONE_FILES}},
		{"unshare user", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUSER}},
		{"unshare bad", unix.SYS_UNSHARE, []uintptr{bad}},
	}
}

// risky are further calls that the profile refuses or has an opinion on.
func risky() []call {
	return []call{
		{"get_mempolicy", unix.SYS_GET_MEMPOLICY, []uintptr{0, 0, 0, 0, bad}},
		{"mbind", unix.SYS_MBIND, []uintptr{1, 1, bad, 0, 0, 0}},
		{"set_mempolicy", unix.SYS_SET_MEMPOLICY, []uintptr{bad, 0, 0}},
		{"set_mempolicy_home_node", unix.SYS_SET_MEMPOLICY_HOME_NODE, []uintptr{1, 1, bad, bad}},
		{"migrate_pages", unix.SYS_MIGRATE_PAGES, []uintptr{bad, bad, 0, 0}},
		{"move_pages", unix.SYS_MOVE_PAGES, []uintptr{0, 0, 0, 0, 0, bad}},
		{"kcmp", unix.SYS_KCMP, []uintptr{bad >> 33, bad >> 33, 0, 0, 0}},
		{"kexec_load", unix.SYS_KEXEC_LOAD, []uintptr{0, 0, 0, bad}},
		{"kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, []uintptr{bad, bad, 0, 0, bad}},
		{"lookup_dcookie", unix.SYS_LOOKUP_DCOOKIE, []uintptr{0, 0, 0}},
		{"name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, []uintptr{bad, 0, 0, 0, bad}},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, []uintptr{bad, 0, 0}},
		{"nfsservctl", unix.SYS_NFSSERVCTL, []uintptr{0, 0, 0}},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, []uintptr{0, 0, 0, 0, bad}},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, []uintptr{bad, bad, 0}},
		{"pidfd_open", unix.SYS_PIDFD_OPEN, []uintptr{0, bad}},
		{"process_madvise", unix.SYS_PROCESS_MADVISE, []uintptr{bad, 0, 0, 0, bad}},
		{"process_mrelease", unix.SYS_PROCESS_MRELEASE, []uintptr{bad, bad}},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, []uintptr{bad >> 33, 0, 0, 0, 0, 0}},
		{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, []uintptr{bad >> 33, 0, 0, 0, 0, 0}},
		{"ptrace", unix.SYS_PTRACE, []uintptr{bad, bad >> 33, 0, 0}},
		{"quotactl", unix.SYS_QUOTACTL, []uintptr{bad, 0, 0, 0}},
		{"quotactl_fd", unix.SYS_QUOTACTL_FD, []uintptr{bad, bad, 0, 0}},
		{"reboot", unix.SYS_REBOOT, []uintptr{0, 0, 0, 0}},
		{"sethostname", unix.SYS_SETHOSTNAME, []uintptr{0, bad}},
		{"setdomainname", unix.SYS_SETDOMAINNAME, []uintptr{0, bad}},
		{"syslog", unix.SYS_SYSLOG, []uintptr{bad, 0, 0}},
		{"userfaultfd", unix.SYS_USERFAULTFD, []uintptr{bad}},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, []uintptr{0, 0}},
		{"io_uring_enter", unix.SYS_IO_URING_ENTER, []uintptr{bad, 0, 0, 0, 0, 0}},
		{"io_uring_register", unix.SYS_IO_URING_REGISTER, []uintptr{bad, bad, 0, 0}},
		{"landlock_create_ruleset", unix.SYS_LANDLOCK_CREATE_RULESET, []uintptr{0, 0, 1}},
		{"memfd_secret", unix.SYS_MEMFD_SECRET, []uintptr{bad}},
		{"seccomp", unix.SYS_SECCOMP, []uintptr{bad >> 33, bad, 0}},
		{"clone3", unix.SYS_CLONE3, []uintptr{0, 0}},
		{"setuid", unix.SYS_SETUID, []uintptr{bad}},
		{"setgroups", unix.SYS_SETGROUPS, []uintptr{bad >> 33, 0}},
		{"sched_setscheduler", unix.SYS_SCHED_SETSCHEDULER, []uintptr{0, bad >> 33, 0}},
		{"setpriority", unix.SYS_SETPRIORITY, []uintptr{bad >> 33, 0, 0}},
		{"mlock", unix.SYS_MLOCK, []uintptr{0, 0}},
		{"ioctl", unix.SYS_IOCTL, []uintptr{bad, 0x5412, 0}},
	}
}

// families are sockets of every family and of some types.
func families() []call {
	var all []call
	for family := range uintptr(47) {
		for _, kind := range []uintptr{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW | unix.SOCK_CLOEXEC} {
			all = append(all, call{fmt.Sprintf("socket %d %#x", family, kind), unix.SYS_SOCKET, []uintptr{family, kind, 0}})
		}
	}
	for _, family := range []uintptr{1<<32 | unix.AF_VSOCK, 1<<32 | unix.AF_UNIX, bad} { // the kernel ignores the upper half
		all = append(all, call{fmt.Sprintf("socket %#x", family), unix.SYS_SOCKET, []uintptr{family, unix.SOCK_STREAM, 0}})
	}
	return all
}

func personalities() []call {
	var all []call
	for _, value := range []uintptr{0, 1, 2, 6, 8, 0x0008, 0x20000, 0x20008, 0x20007, 0x40000, 0x400000, 0x8000000, 0xffffffff, 0x100000000, bad} {
		all = append(all, call{fmt.Sprintf("personality %#x", value), unix.SYS_PERSONALITY, []uintptr{value}})
	}
	return all
}

// clones have flags that the kernel refuses, whichever there are beside them: a thread without its handlers.
func clones() []call {
	var all []call
	for bit := range 40 {
		flags := uintptr(1)<<bit | unix.CLONE_THREAD
		all = append(all, call{fmt.Sprintf("clone %#x", flags), unix.SYS_CLONE, []uintptr{flags &^ unix.CLONE_SIGHAND, 0, 0, 0, 0}})
	}
	return all
}

// others32 are numbers of the x32 ABI and numbers that no call has.
func others32() []call {
	var all []call
	for _, nr := range []uintptr{0x40000000 + 39, 0x40000000 + 102, 0x40000000 + 512, 0x40000000 + 999, 340, 400, 423, 600, 9999, bad} {
		all = append(all, call{fmt.Sprintf("number %#x", nr), nr, nil})
	}
	return all
}

// newCalls are those after the ones that golang.org/x/sys knows of, up to some that do not exist yet.
func newCalls(r *report) {
	for nr := uintptr(448); nr < 480; nr++ {
		value, _, errno := unix.RawSyscall6(nr, bad, bad, bad, bad, bad, bad)
		if errno == 0 {
			r.add(fmt.Sprintf("number %d", nr), "passed")
			continue
		}
		r.result(fmt.Sprintf("number %d", nr), value, errno)
	}
}

// clonedProcesses are children in new namespaces.
func clonedProcesses(r *report) {
	for name, flag := range map[string]uintptr{
		"user": unix.CLONE_NEWUSER, "pid": unix.CLONE_NEWPID, "net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS,
		"mnt": unix.CLONE_NEWNS, "cgroup": unix.CLONE_NEWCGROUP,
	} {
		child, err := os.StartProcess("/nonexistent", nil, &os.ProcAttr{Sys: &unix.SysProcAttr{Cloneflags: flag}})
		if err == nil {
			_, _ = child.Wait() // it cannot have started
		}
		r.add("clone into "+name, "%s", errorName(err))
	}
}
