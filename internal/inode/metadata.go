package inode

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Permissions are the bits of a mode that are not its type.
const Permissions = 0o7777

// Metadata is what a file has beside its type and its bytes.
type Metadata struct {
	Mode     uint32 // permissions, setuid, setgid and sticky
	UID, GID int
	Mtime    unix.Timespec
	Xattrs   map[string]string
	Symlink  bool // has no mode of its own
}

// Implied returns the metadata of a directory that nobody describes: mode 0755, owner 0:0 and, so that making it
// twice gives the same, the time 0.
func Implied() Metadata { return Metadata{Mode: 0o755} }

// Read returns the metadata of the file that fd is open on (O_PATH will do), without foreign xattrs.
func Read(fd int) (Metadata, error) {
	st, err := Fstat(fd)
	if err != nil {
		return Metadata{}, err
	}
	m := Metadata{
		Mode: st.Mode & Permissions, UID: int(st.Uid), GID: int(st.Gid),
		Mtime: st.Mtim, Symlink: IsType(st, unix.S_IFLNK),
	}
	m.Xattrs, err = Xattrs(fd)
	maps.DeleteFunc(m.Xattrs, func(name, _ string) bool { return IsForeignXattr(name) })
	return m, err
}

// File names a file whose metadata are written: an entry of a directory.
type File struct {
	Dir  int
	Name string
}

// Write gives all of m to the file. The order is the kernel's: chown drops setuid and security.capability, so it
// comes first; the mode comes last, and nothing may be written to the file afterwards.
func (m Metadata) Write(f File) error {
	if err := m.WriteExceptTime(f); err != nil {
		return err
	}
	if err := SetTime(f.Dir, f.Name, m.Mtime); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// WriteNew is Write for a regular file that was just made, has the status st and no xattr: it leaves out what is right
// already, which for most files is all but the time.
func (m Metadata) WriteNew(f File, st unix.Stat_t) error {
	if int(st.Uid) != m.UID || int(st.Gid) != m.GID || len(m.Xattrs) > 0 || st.Mode&Permissions != m.Mode {
		return m.Write(f)
	}
	if err := SetTime(f.Dir, f.Name, m.Mtime); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// WriteExceptTime is Write for a directory whose entries are still to come.
func (m Metadata) WriteExceptTime(f File) error {
	if err := unix.Fchownat(f.Dir, f.Name, m.UID, m.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", m.UID, m.GID, err)
	}
	if err := m.writeXattrs(f); err != nil {
		return err
	}
	if m.Symlink {
		return nil
	}
	if err := unix.Fchmodat(f.Dir, f.Name, m.Mode, 0); err != nil {
		return fmt.Errorf("chmod to %04o: %w", m.Mode, err)
	}
	return nil
}

func (m Metadata) writeXattrs(f File) error {
	if len(m.Xattrs) == 0 {
		return nil
	}
	return f.withPath(func(path string) error {
		for _, name := range slices.Sorted(maps.Keys(m.Xattrs)) {
			if err := unix.Setxattr(path, name, []byte(m.Xattrs[name]), 0); err != nil {
				return fmt.Errorf("set xattr %q: %w", name, err)
			}
		}
		return nil
	})
}
