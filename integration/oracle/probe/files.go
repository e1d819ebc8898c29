package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mounts are those of this namespace, with ids replaced by what they stand for: the mount that is above.
func mounts(r *report) {
	points := map[string]string{}
	for line := range strings.Lines(content("/proc/self/mountinfo")) {
		f := strings.Fields(line)
		points[f[0]] = f[4]
	}
	seen := map[string]int{}
	for line := range strings.Lines(content("/proc/self/mountinfo")) {
		f := strings.Fields(line)
		end := slices.Index(f, "-")
		seen[f[4]]++
		key := fmt.Sprintf("mount %s", f[4])
		if n := seen[f[4]]; n > 1 {
			key += fmt.Sprintf(" again %d", n)
		}
		optional := slices.Clone(f[6:end])
		for i, o := range optional {
			optional[i], _, _ = strings.Cut(o, ":") // the numbers of peer groups differ
		}
		r.add(key, "on %s root %s %s %v %s %s %s", points[f[1]], f[3], f[5], optional, f[end+1], f[end+2], f[end+3])
	}
}

// tree is every file of the root and of what is mounted in it, but for the kernel's own and what may be the host's: with
// --ipc host other programs make and remove files in /dev/shm meanwhile.
func tree(r *report) {
	_ = filepath.WalkDir("/", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			r.add("entries of "+path, "%s", errorName(err))
			return nil
		}
		if slices.Contains([]string{"/proc", "/sys", "/dev/shm"}, path) {
			describe(r, path)
			return filepath.SkipDir
		}
		if strings.HasPrefix(path, "/dev/pts/") && path != "/dev/pts/ptmx" && path != "/dev/pts/0" {
			return nil // terminals of the host
		}
		describe(r, path)
		return nil
	})
}

func describe(r *report, path string) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		r.add("file "+path, "%s", errorName(err))
		return
	}
	target, _ := os.Readlink(path)
	number := ""
	if st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK {
		number = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	var fsys unix.Statfs_t
	_ = unix.Statfs(path, &fsys)
	r.add("file "+path, "%o %d:%d %s%s on %#x flags %#x", st.Mode, st.Uid, st.Gid, number, target, fsys.Type, fsys.Flags)
	if strings.HasPrefix(path, "/etc/") && st.Mode&unix.S_IFMT == unix.S_IFREG {
		r.add("content of "+path, "%s", content(path))
	}
	if n, err := unix.Listxattr(path, nil); err == nil && n > 0 {
		names := make([]byte, n)
		n, _ = unix.Listxattr(path, names)
		r.add("attributes of "+path, "%s", strings.ReplaceAll(string(names[:max(n, 0)]), "\x00", " "))
	}
}

// access is what opening files for reading and for writing gives: those that are masked or read-only in containers, some
// that are not, and all below proc that are no process.
func access(r *report) {
	paths := []string{
		"/", "/etc/passwd", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/sys/fs/cgroup", "/sys/kernel/profiling", "/sys/kernel/mm/transparent_hugepage/enabled",
		"/sys/firmware", "/sys/devices/virtual/powercap", "/sys/fs/bpf", "/sys/kernel/security", "/sys/kernel/debug", "/sys/kernel/notes",
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/vm/drop_caches", "/proc/self/mem", "/proc/self/oom_score_adj", "/proc/self/attr/exec", "/proc/self/setgroups",
		"/proc/self/root/etc/shadow", "/dev/mqueue", "/dev/shm", "/dev/console", "/dev/tty", "/dev/ptmx", "/dev/pts/ptmx", "/dev/stdin", "/dev/stdout",
		"/dev/fd/0", "/dev/kmsg", "/dev/mem", "/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/bind", "/bind/file", "/bind/in/file", "/other/file", "/t", "/srv",
	}
	listed, _ := filepath.Glob("/proc/[a-z]*")
	for _, path := range append(paths, listed...) {
		if slices.Contains([]string{"/dev/stdin", "/dev/fd/0", "/proc/kmsg", "/proc/kcore", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup"}, path) {
			r.add("open "+path, "%s", opened(path, unix.O_RDONLY, false)) // endless, or nothing yet
			continue
		}
		r.add("open "+path, "%s", opened(path, unix.O_RDONLY, true))
		if path != "/proc/sysrq-trigger" && path != "/proc/latency_stats" {
			r.add("write "+path, "%s", opened(path, unix.O_WRONLY|unix.O_APPEND, false))
		}
		r.result("access "+path, 0, unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, 0))
	}
	r.add("write /proc/sysrq-trigger", "%s", opened("/proc/sysrq-trigger", unix.O_WRONLY, false))
	for _, dir := range []string{"/", "/t", "/bind", "/bind/in", "/other", "/dev", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup", "/proc", "/srv", "/var"} {
		r.result("mkdir "+dir, 0, unix.Mkdir(dir+"/probe-dir", 0o777))
		r.result("rmdir "+dir, 0, unix.Rmdir(dir+"/probe-dir"))
	}
}

// opened is how opening a file goes, and whether it has bytes or entries.
func opened(path string, flags int, read bool) string {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return errorName(err)
	}
	defer unix.Close(fd)
	if !read {
		return "opened"
	}
	entries, err := unix.ReadDirent(fd, make([]byte, 4096))
	if err == nil {
		return fmt.Sprintf("a directory, empty %t", entries <= 48)
	}
	n, err := unix.Read(fd, make([]byte, 1))
	return fmt.Sprintf("%d bytes %s", n, errorName(err))
}
