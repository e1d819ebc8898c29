package tree

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
)

// subvolume deletes name in dir, whose open directory d is a subvolume of btrfs, all at once. When the
// kernel does not let it, what is in it can at least be written to, and goes file by file.
func (r *remover) subvolume(dir, d *os.File, name string) (gone bool, err error) {
	mounted, err := mountedIn(d)
	if mounted {
		return false, entryError("destroy subvolume", dir, name, errMounted)
	}
	long := errors.Is(err, unix.ENAMETOOLONG) // then who knows: file by file each mount is seen
	if err != nil && !long {
		return false, err
	}
	if err := subvolume.SetReadOnly(d, false); err != nil {
		return false, err
	}
	return !long && subvolume.Destroy(dir, name) == nil, nil
}

// mountedIn reports whether something is mounted on d or below it, in this mount namespace.
func mountedIn(d *os.File) (bool, error) {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(d.Fd())))
	if err != nil {
		return false, err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	return mountsBelow(string(info), path), nil
}

// mountsBelow reports whether a mountinfo (proc_pid_mountinfo(5)) has a mount point at path or below.
func mountsBelow(info, path string) bool {
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`, "#", `\043`).Replace(path)
	for line := range strings.Lines(info) {
		fields := strings.Fields(line)
		if len(fields) > 4 && (fields[4] == escaped || strings.HasPrefix(fields[4], escaped+"/")) {
			return true
		}
	}
	return false
}

// inner deletes the subvolume name in dir file by file, as a tree of its own.
func (r *remover) inner(dir *os.File, name string) error {
	i := &remover{ctx: r.ctx}
	i.emptied(dir, name, 1)
	r.more += i.more
	return errors.Join(i.errs...)
}
