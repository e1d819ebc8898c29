package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// settings are those of the kernel that belong to a namespace.
func settings(r *report) {
	patterns := []string{
		"kernel/hostname", "kernel/domainname", "kernel/shm*", "kernel/msg*", "kernel/sem*", "fs/mqueue/*", "net/ipv4/ip_*", "net/ipv4/ping_group_range",
		"net/ipv4/tcp_*mem", "net/ipv4/conf/*/forwarding", "net/ipv6/conf/all/*", "net/core/somaxconn", "user/*", "kernel/ns_last_pid", "kernel/pid_max",
	}
	for _, p := range patterns {
		paths, _ := filepath.Glob("/proc/sys/" + p)
		for _, path := range paths {
			if !strings.Contains(path, "/sem_next") && filepath.Base(path) != "ns_last_pid" {
				r.add("setting "+path, "%s", content(path))
			}
		}
	}
}

// cgroups are the limits that can be read of the cgroup of this process.
func cgroups(r *report) {
	names := strings.Fields(`memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness memory.oom_control
		memory.use_hierarchy cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.rt_runtime_us cpu.idle cpu.uclamp.max cpuset.cpus cpuset.mems cpuset.cpu_exclusive
		cpuset.memory_migrate pids.max devices.list blkio.weight blkio.bfq.weight blkio.throttle.read_bps_device hugetlb.2MB.limit_in_bytes
		freezer.state net_cls.classid net_prio.ifpriomap notify_on_release cgroup.clone_children
		memory.max memory.high memory.low memory.min memory.swap.max memory.oom.group cpu.max cpu.weight io.weight io.max cgroup.type cgroup.subtree_control
		cgroup.max.depth cgroup.max.descendants cgroup.freeze`)
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*")
	for _, dir := range append([]string{"/sys/fs/cgroup"}, dirs...) {
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		for _, name := range names {
			if text := content(dir + "/" + name); text != "ENOENT" {
				r.add("cgroup "+dir+"/"+name, "%s", text)
			}
		}
		if entries, err := os.ReadDir(dir); err == nil && dir != "/sys/fs/cgroup" {
			below := slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() })
			r.add("cgroup "+dir, "%o %d:%d %d groups below", st.Mode, st.Uid, st.Gid, len(below))
		}
	}
}

// devices is which nodes can be made and opened.
func devices(r *report) {
	nodes := []struct {
		kind         uint32
		major, minor uint32
	}{
		{unix.S_IFCHR, 1, 1},
		{unix.S_IFCHR, 1, 3},
		{unix.S_IFCHR, 1, 5},
		{unix.S_IFCHR, 1, 7},
		{unix.S_IFCHR, 1, 8},
		{unix.S_IFCHR, 1, 9},
		{unix.S_IFCHR, 1, 11},
		{unix.S_IFCHR, 5, 0},
		{unix.S_IFCHR, 5, 1},
		{unix.S_IFCHR, 5, 2},
		{unix.S_IFCHR, 136, 0},
		{unix.S_IFCHR, 10, 200},
		{unix.S_IFCHR, 10, 229},
		{unix.S_IFCHR, 10, 237},
		{unix.S_IFCHR, 4, 1},
		{unix.S_IFCHR, 10, 130},
		{unix.S_IFBLK, 7, 0},
		{unix.S_IFBLK, 253, 0},
		{unix.S_IFBLK, 8, 0},
		{unix.S_IFIFO, 0, 0},
		{unix.S_IFCHR, 0, 0},
	}
	for _, dir := range []string{"/tmp", "/dev", "/t"} {
		for _, n := range nodes {
			key := fmt.Sprintf("%s/probe-%o-%d-%d", dir, n.kind, n.major, n.minor)
			err := unix.Mknod(key, n.kind|0o666, int(unix.Mkdev(n.major, n.minor)))
			r.result("mknod "+key, 0, err)
			if err == nil && n.major != 10 { // a watchdog bites when it is closed
				r.add("open "+key, "%s", opened(key, unix.O_RDONLY, false))
				if n.kind != unix.S_IFBLK { // the host takes note of those that were open for writing
					r.add("write "+key, "%s", opened(key, unix.O_WRONLY, false))
				}
			}
			_ = unix.Unlink(key) // it may not be there
		}
	}
}
