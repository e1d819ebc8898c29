package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// descriptors are those that the program was started with.
func descriptors(r *report) {
	for fd := range 256 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if closing, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); closing != 0 {
			continue // opened by Go's runtime
		}
		link := make([]byte, 256)
		n, _ := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), link)
		name, _, _ := strings.Cut(string(link[:max(n, 0)]), "[")
		r.add(fmt.Sprintf("descriptor %d", fd), "%s mode %o owner %d:%d flags %#x", name, st.Mode, st.Uid, st.Gid, flags)
	}
}

// process is what the kernel says of this process, and what it says of others.
func process(r *report) {
	blocked, ignored := startSignals()
	r.add("signals", "blocked %#x ignored %v", blocked, ignored)
	ours := []string{"Vm", "Rss", "Hugetlb", "State", "SigQ", "SigBlk", "SigIgn", "SigCgt", "Threads", "FDSize", "voluntary", "nonvoluntary"}
	for line := range strings.Lines(content("/proc/self/status")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(name, p) }) {
			r.add("status "+name, "%s", strings.TrimSpace(value))
		}
	}
	stat := content("/proc/self/stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	r.add("stat", "ppid %s pgrp %s session %s tty %s tpgid %s priority %s nice %s policy %s", fields[1], fields[2], fields[3], fields[4],
		fields[5], fields[15], fields[16], fields[38])
	cwd, err := os.Getwd()
	r.add("cwd", "%s %s", cwd, errorName(err))
	r.add("arguments", "%q", os.Args)
	for i, v := range os.Environ() {
		r.add(fmt.Sprintf("environment %d", i), "%s", v)
	}
	for _, name := range []string{
		"comm", "cgroup", "oom_score_adj", "personality", "timerslack_ns", "coredump_filter", "loginuid", "sessionid", "setgroups",
		"uid_map", "gid_map", "attr/current", "cpuset",
	} {
		r.add("self "+name, "%s", content("/proc/self/"+name))
	}
	others(r)
	controls(r)
	terminal(r)
}

// others are the processes that can be seen.
func others(r *report) {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	if len(pids) > 8 {
		r.add("processes", "many")
		return
	}
	r.add("processes", "%v", pids)
	for _, dir := range pids {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		r.add("process "+dir, "%s", strings.ReplaceAll(content(dir+"/cmdline"), "\x00", " "))
		for _, file := range []string{"environ", "exe", "cwd", "root"} {
			f, err := os.Open(dir + "/" + file)
			r.add("process "+dir+" "+file, "%s", errorName(err))
			_ = f.Close() // it was for looking
		}
	}
}

// controls are what prctl and its relatives tell.
func controls(r *report) {
	for name, option := range map[string]int{
		"dumpable": unix.PR_GET_DUMPABLE, "keepcaps": unix.PR_GET_KEEPCAPS, "securebits": unix.PR_GET_SECUREBITS,
		"thp": unix.PR_GET_THP_DISABLE, "mce": unix.PR_MCE_KILL_GET, "io flusher": unix.PR_GET_IO_FLUSHER,
		"no new privileges": unix.PR_GET_NO_NEW_PRIVS, "seccomp": unix.PR_GET_SECCOMP, "timer slack": unix.PR_GET_TIMERSLACK,
	} {
		value, _, errno := unix.Syscall6(unix.SYS_PRCTL, uintptr(option), 0, 0, 0, 0, 0)
		r.result("prctl "+name, value, errno)
	}
	for name, option := range map[string]int{"death signal": unix.PR_GET_PDEATHSIG, "subreaper": unix.PR_GET_CHILD_SUBREAPER} {
		var value int32
		_, _, errno := unix.Syscall(unix.SYS_PRCTL, uintptr(option), uintptr(unsafe.Pointer(&value)), 0)
		r.result("prctl "+name, uintptr(value), errno)
	}
	for name, nr := range map[string]uintptr{"ioprio_get": unix.SYS_IOPRIO_GET, "getpriority": unix.SYS_GETPRIORITY} {
		value, _, errno := unix.Syscall(nr, 1, 0, 0)
		r.result(name, value, errno)
	}
	session, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	r.add("session keyring", "number %d %s", session, errorName(err))
}

// terminal is the state of what the standard streams are connected to.
func terminal(r *report) {
	for fd := range 3 {
		key := fmt.Sprintf("terminal %d", fd)
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			r.result(key, 0, err)
			continue
		}
		size, _ := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		group, _ := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		r.add(key, "%x %x %x %x %x size %dx%d group %d", state.Iflag, state.Oflag, state.Cflag, state.Lflag, state.Cc, size.Row, size.Col, group)
	}
}

func limits(r *report) {
	for line := range strings.Lines(content("/proc/self/limits")) {
		name := strings.TrimSpace(line[:min(26, len(line))])
		r.add("limit "+name, "%s", strings.Join(strings.Fields(line[len(line[:min(26, len(line))]):]), " "))
	}
}

// namespaces are numbers, which the oracle knows those of the host of.
func namespaces(r *report) {
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"} {
		link, err := os.Readlink("/proc/self/ns/" + name)
		r.add("namespace "+name, "%s%s", link, errorName(err))
	}
	host, err := os.Hostname()
	r.add("hostname", "%s %s", host, errorName(err))
	interfaces, _ := filepath.Glob("/sys/class/net/*")
	r.add("interfaces", "%v", interfaces)
	for line := range strings.Lines(content("/proc/net/if_inet6")) {
		fields := strings.Fields(line)
		r.add("address "+fields[len(fields)-1]+" "+fields[0], "%v", fields[1:])
	}
	r.add("loopback", "%s", content("/sys/class/net/lo/flags"))
}
