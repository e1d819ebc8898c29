package diff

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/pack"
)

// The xattrs of overlayfs mounted by root (Documentation/filesystems/overlayfs.rst).
const (
	xattrOpaque   = "trusted.overlay.opaque"
	xattrWhiteout = "trusted.overlay.whiteout"
	xattrRedirect = "trusted.overlay.redirect"
	xattrMetacopy = "trusted.overlay.metacopy"
)

// isMarked tells whether the directory fd says that files in it may be whiteouts: opaque=x (Linux 6.7).
func isMarked(fd int) (bool, error) {
	value, err := overlayXattr(fd, xattrOpaque)
	return value == "x", err
}

// isWhiteout tells whether the file of an upperdir stands for a removed name.
func isWhiteout(f pack.File, marked bool) (bool, error) {
	if inode.IsType(f.Stat, unix.S_IFCHR) {
		return f.Stat.Rdev == 0, nil
	}
	if !marked || !inode.IsType(f.Stat, unix.S_IFREG) || f.Stat.Size > 0 {
		return false, nil
	}
	_, has, err := fileXattr(f, xattrWhiteout)
	return has, err
}

// isOpaque tells whether the directory of an upperdir hides what the parent has in its place, below, and that is
// something: a directory that took another's place is marked even if nothing was in it. Elsewhere none is.
func isOpaque(f pack.File, below int, overlay bool) (bool, error) {
	if !overlay {
		return false, nil
	}
	if _, has, err := fileXattr(f, xattrRedirect); err != nil || has {
		return false, errors.Join(err, when(has, unusable(f, "redirect_dir")))
	}
	value, _, err := fileXattr(f, xattrOpaque)
	if err != nil || value != "y" {
		return false, err
	}
	names, err := inode.Names(below)
	return len(names) > 0, f.Wrap("read", err)
}

// checkData refuses a regular file of an upperdir whose bytes are elsewhere.
func checkData(f pack.File) error {
	_, has, err := fileXattr(f, xattrMetacopy)
	return errors.Join(err, when(has, unusable(f, "metacopy")))
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// fileXattr returns one short xattr of a file.
func fileXattr(f pack.File, name string) (value string, has bool, err error) {
	fd, err := inode.OpenPath(f.Dir, f.Base)
	if err != nil {
		return "", false, f.Wrap("open", pack.IgnoreMissing(err))
	}
	defer unix.Close(fd)
	var buf [256]byte
	n, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), name, buf[:])
	switch {
	case errors.Is(err, unix.ERANGE):
		return "", true, nil
	case isNoXattr(err):
		return "", false, nil
	case err != nil:
		return "", false, f.Wrap("get xattr "+name+" of", err)
	}
	return string(buf[:n]), true, nil
}

// overlayXattr is fileXattr of a directory that is open for reading.
func overlayXattr(fd int, name string) (string, error) {
	var buf [16]byte
	n, err := unix.Fgetxattr(fd, name, buf[:])
	if isNoXattr(err) || errors.Is(err, unix.ERANGE) {
		return "", nil
	}
	return string(buf[:max(n, 0)]), err
}

func isNoXattr(err error) bool {
	return errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP)
}
