package mount

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Propagation says of the mount on which path lies where it is mounted, whether it is shared with other mounts and
// whether it is the slave of some (mount_namespaces(7)). It reads the mounts of this namespace.
func Propagation(path string) (point string, shared, slave bool, err error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return "", false, false, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", false, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	id := strconv.FormatUint(st.Mnt_id, 10)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// id parent device root point options [shared:N] [master:N] - type source data
		fields := strings.Fields(lines.Text())
		if len(fields) < 7 || fields[0] != id {
			continue
		}
		for _, field := range fields[6:] {
			if field == "-" {
				break
			}
			shared = shared || strings.HasPrefix(field, "shared:")
			slave = slave || strings.HasPrefix(field, "master:")
		}
		return fields[4], shared, slave, nil
	}
	return "", false, false, errors.Join(lines.Err(), fmt.Errorf("find the mount of %s: it is not in /proc/self/mountinfo", path))
}
