package filesystem

import (
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// OverProc refuses, with errdefs.ErrInvalidArgument, a tree that would hide the kernel's answers in /proc behind files of
// somebody's choice, as an image's own VOLUME could: programs write there what confines them (CVE-2019-16884). The host's
// own procfs may stand for it, and what only tells of the machine's size may be replaced, as lxcfs does.
func OverProc(destination string, tree *os.File) error {
	if destination != "/proc" && !strings.HasPrefix(destination, "/proc/") {
		return nil
	}
	switch strings.TrimPrefix(destination, "/proc/") {
	case "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev":
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(tree.Fd()), &st); err != nil {
		return err
	}
	if st.Type == unix.PROC_SUPER_MAGIC {
		return nil
	}
	return fmt.Errorf("%s belongs to the kernel, and only a part of procfs may be mounted there; choose another place: %w",
		destination, errdefs.ErrInvalidArgument)
}
