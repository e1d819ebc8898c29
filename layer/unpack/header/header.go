// Package header reads from the header of a tar entry what the file is to have besides its bytes.
package header

import (
	"archive/tar"
	"math"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// Metadata reads the metadata of a tar entry. What a file cannot have is needs.Invalid.
func Metadata(h *tar.Header) (inode.Metadata, error) {
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
	var err error
	m.Xattrs, err = xattrs(h.PAXRecords)
	return m, err
}
