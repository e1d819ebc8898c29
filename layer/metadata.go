package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	paxXattr = "SCHILY.xattr."

	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"

	permissions = 0o7777
	// defaultMode is that of a directory which a tar implies and nobody describes.
	defaultMode = 0o755
)

// metadata is what an inode has beside its type and its bytes.
type metadata struct {
	mode     uint32 // permissions, setuid, setgid and sticky
	uid, gid int
	mtime    unix.Timespec
	xattrs   map[string]string
	symlink  bool // has no mode of its own
}

// impliedMetadata is for directories that no tar describes. The time is fixed, so that unpacking twice gives the same.
func impliedMetadata() metadata { return metadata{mode: defaultMode} }

// headerMetadata reads the metadata of a tar entry (PAX SCHILY.xattr records are xattrs).
func headerMetadata(h *tar.Header) (metadata, error) {
	m := metadata{
		mode: uint32(h.Mode) & permissions, uid: h.Uid, gid: h.Gid,
		mtime:   unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())},
		symlink: h.Typeflag == tar.TypeSymlink,
	}
	// The kernel takes the highest id, -1, for "leave it".
	for _, id := range []int{h.Uid, h.Gid} {
		if id < 0 || int64(id) >= math.MaxUint32 {
			return m, invalid("owner %d is outside 0 to %d", id, uint32(math.MaxUint32-1))
		}
	}
	for key, value := range h.PAXRecords {
		xattr, ok := strings.CutPrefix(key, paxXattr)
		if !ok {
			continue
		}
		if isOverlayXattr(xattr) {
			return m, invalid("xattr %q is overlayfs's own and would change the layers below", xattr)
		}
		if m.xattrs == nil {
			m.xattrs = map[string]string{}
		}
		m.xattrs[xattr] = value
	}
	return m, nil
}

// isOverlayXattr tells the attributes in which overlayfs keeps its own records (Documentation/filesystems/overlayfs).
func isOverlayXattr(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// isForeignXattr tells the attributes that are no part of an image: overlayfs's own, and the label that the host's
// security module puts on every file.
func isForeignXattr(name string) bool {
	return isOverlayXattr(name) || name == "security.selinux" || strings.HasPrefix(name, "security.SMACK64")
}

// inodeMetadata reads the metadata of the inode behind an O_PATH descriptor, without foreign xattrs.
func inodeMetadata(fd int) (metadata, error) {
	st, err := fstat(fd)
	if err != nil {
		return metadata{}, err
	}
	m := metadata{
		mode: st.Mode & permissions, uid: int(st.Uid), gid: int(st.Gid),
		mtime: st.Mtim, symlink: isType(st, unix.S_IFLNK),
	}
	m.xattrs, err = readXattrs(fd)
	maps.DeleteFunc(m.xattrs, func(name, _ string) bool { return isForeignXattr(name) })
	return m, err
}

// inode is a file that a layer is making. fd is open on it, or -1 where opening would block or call a driver.
type inode struct {
	dir  int
	name string
	fd   int
}

// write gives all of m to the file. The order is the kernel's: chown drops setuid and security.capability, so it
// comes first; the mode comes last, and nothing may be written to the file afterwards.
func (m metadata) write(i inode) error {
	if err := m.writeExceptTime(i); err != nil {
		return err
	}
	if err := setTime(i.dir, i.name, m.mtime); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

func (m metadata) writeExceptTime(i inode) error {
	if err := unix.Fchownat(i.dir, i.name, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", m.uid, m.gid, err)
	}
	if err := m.writeXattrs(i); err != nil {
		return err
	}
	if m.symlink {
		return nil
	}
	if err := unix.Fchmodat(i.dir, i.name, m.mode, 0); err != nil {
		return fmt.Errorf("chmod to %04o: %w", m.mode, err)
	}
	return nil
}

func (m metadata) writeXattrs(i inode) error {
	if len(m.xattrs) == 0 {
		return nil
	}
	return i.withPath(func(path string) error {
		for _, name := range slices.Sorted(maps.Keys(m.xattrs)) {
			if err := unix.Setxattr(path, name, []byte(m.xattrs[name]), 0); err != nil {
				return fmt.Errorf("set xattr %q: %w", name, err)
			}
		}
		return nil
	})
}

// dropXattrs removes the xattrs that the file has, except foreign ones.
func (i inode) dropXattrs() error {
	return i.withPath(func(path string) error {
		names, err := listXattrs(path)
		if err != nil {
			return fmt.Errorf("list xattrs: %w", err)
		}
		for _, name := range names {
			if isForeignXattr(name) {
				continue
			}
			if err := unix.Removexattr(path, name); err != nil {
				return fmt.Errorf("remove xattr %q: %w", name, err)
			}
		}
		return nil
	})
}

func (i inode) withPath(do func(path string) error) error {
	if i.fd >= 0 {
		return do(procPath(i.fd))
	}
	fd, err := openPath(i.dir, i.name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(procPath(fd))
}

// readXattrs returns all xattrs of the inode behind fd, which may be an O_PATH descriptor; none is nil.
func readXattrs(fd int) (map[string]string, error) {
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
