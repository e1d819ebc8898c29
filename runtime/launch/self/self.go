// Package self gives lrun's own program to the processes of a container.
package self

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// outOfTheWay is the least number of the executable's descriptor: package syscall uses numbers from 0 upwards in the
// child before it executes.
const outOfTheWay = 64

// Executable returns lrun's own program through a read-only mount that nothing else can reach: a
// container that opens /proc/self/exe for writing gets EROFS (CVE-2019-5736).
func Executable() (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("clone the mount of lrun's executable: %w", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return nil, fmt.Errorf("make the mount of lrun's executable read-only: %w", err)
	}
	// It is executed by its number after the child has put its own descriptors at 0 to 3 and some above.
	fd, err := unix.FcntlInt(uintptr(tree), unix.F_DUPFD_CLOEXEC, outOfTheWay)
	if errors.Is(err, unix.EINVAL) { // fcntl(2): the number is beyond what the process may have
		return nil, fmt.Errorf("duplicate the descriptor of lrun's executable: raise the limit of open files (ulimit -n) above %d: %w", outOfTheWay, unix.EMFILE)
	}
	if err != nil {
		return nil, fmt.Errorf("duplicate the descriptor of lrun's executable: %w", err)
	}
	return os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd)), nil
}
