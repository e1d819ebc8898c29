package unpack

import (
	"archive/tar"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// The PAX records of xattrs, and those in which "tar --acls" writes ACLs with names that only its own host knows.
const (
	paxXattr = "SCHILY.xattr."
	paxACL   = "SCHILY.acl."
)

// metadata reads the metadata of a tar entry. PAX SCHILY.xattr records are xattrs.
func metadata(h *tar.Header) (inode.Metadata, error) {
	m := inode.Metadata{
		Mode: uint32(h.Mode) & inode.Permissions, UID: h.Uid, GID: h.Gid,
		Mtime:   unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())},
		Symlink: h.Typeflag == tar.TypeSymlink,
	}
	// The kernel takes the highest id, -1, for "leave it".
	for _, id := range []int{h.Uid, h.Gid} {
		if id < 0 || int64(id) >= math.MaxUint32 {
			return m, needs.Invalid("owner %d is outside 0 to %d", id, uint32(math.MaxUint32-1))
		}
	}
	for key, value := range h.PAXRecords {
		xattr, ok := strings.CutPrefix(key, paxXattr)
		if strings.HasPrefix(key, paxACL) {
			return m, needs.Invalid("an ACL as text (record %s) is not supported: write it as an xattr, as tools for containers do", key)
		}
		if !ok {
			continue
		}
		if inode.IsOverlayXattr(xattr) {
			return m, needs.Invalid("xattr %q is overlayfs's own and would change the layers below", xattr)
		}
		if m.Xattrs == nil {
			m.Xattrs = map[string]string{}
		}
		m.Xattrs[xattr] = value
	}
	return m, nil
}
