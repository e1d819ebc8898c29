package inode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's names of POSIX ACLs.
const (
	ACLAccess  = "system.posix_acl_access"
	ACLDefault = "system.posix_acl_default"
)

// IsOverlayXattr tells the attributes in which overlayfs keeps its own records (Documentation/filesystems/overlayfs).
func IsOverlayXattr(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// IsForeignXattr tells the attributes that are no part of an image: overlayfs's own, and the label that the host's
// security module puts on every file.
func IsForeignXattr(name string) bool {
	return IsOverlayXattr(name) || name == "security.selinux" || strings.HasPrefix(name, "security.SMACK64")
}

// HasDefaultACL reports that the directory fd has an ACL which the kernel copies to whatever is made in it.
func HasDefaultACL(fd int) bool {
	n, err := unix.Fgetxattr(fd, ACLDefault, nil)
	return err == nil && n > 0
}

// DropXattrs removes the xattrs that the file has, except foreign ones.
func (f File) DropXattrs() error {
	return f.withPath(func(path string) error {
		names, err := listXattrs(path)
		if err != nil {
			return fmt.Errorf("list xattrs: %w", err)
		}
		for _, name := range names {
			if IsForeignXattr(name) {
				continue
			}
			if err := unix.Removexattr(path, name); err != nil {
				return fmt.Errorf("remove xattr %q: %w", name, err)
			}
		}
		return nil
	})
}

func (f File) withPath(do func(path string) error) error {
	fd, err := OpenPath(f.Dir, f.Name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(procPath(fd))
}

// Xattrs returns all xattrs of the file that fd is open on (O_PATH will do), foreign ones too; nil if there is none.
func Xattrs(fd int) (map[string]string, error) {
	path := procPath(fd)
	names, err := listXattrs(path)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	xattrs := make(map[string]string, len(names))
	for _, name := range names {
		value, err := sized(func(buf []byte) (int, error) { return unix.Getxattr(path, name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("get xattr %q: %w", name, err)
		}
		xattrs[name] = string(value)
	}
	return xattrs, nil
}

// listXattrs returns the names of the xattrs; a filesystem that knows none has none.
func listXattrs(path string) ([]string, error) {
	list, err := sized(func(buf []byte) (int, error) { return unix.Listxattr(path, buf) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	var names []string
	for name := range bytes.SplitSeq(list, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names, err
}

// sized calls get with a buffer that is large enough, however often the answer grows in between.
func sized(get func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := get(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = get(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return buf[:max(n, 0)], err
	}
}
