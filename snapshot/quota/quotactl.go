package quota

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of quotactl(2) for projects, in the form of XFS, which ext4 knows too: linux/dqblk_xfs.h.
const (
	project  = 2
	getQuota = ('X'<<8+3)<<8 | project // Q_XGETQUOTA
	setQuota = ('X'<<8+4)<<8 | project // Q_XSETQLIM
)

// diskQuota is struct fs_disk_quota.
type diskQuota struct {
	version    int8
	flags      int8
	fields     uint16
	id         uint32
	blocksHard uint64
	blocksSoft uint64
	inodesHard uint64
	inodesSoft uint64
	blocks     uint64
	inodes     uint64
	_          [56]byte
}

const (
	quotaVersion = 1      // FS_DQUOT_VERSION
	ofProject    = 2      // FS_PROJ_QUOTA
	hardBlocks   = 1 << 3 // FS_DQ_BHARD
	quotaBlock   = 512
)

// quotactl is quotactl_fd(2), from Linux 5.14 on, of the file system of dir.
func quotactl(dir *os.File, command, id uint32, q *diskQuota) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, dir.Fd(), uintptr(command), uintptr(id), uintptr(unsafe.Pointer(q)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("quotactl_fd", errno)
	}
	return nil
}

// isUsed tells whether the project id has files or a limit on the file system of dir.
func isUsed(dir *os.File, id uint32) (bool, error) {
	var q diskQuota
	err := quotactl(dir, getQuota, id, &q)
	if errors.Is(err, unix.ENOENT) { // xfs of one that it never had
		return false, nil
	}
	return q.blocks|q.inodes|q.blocksHard|q.blocksSoft|q.inodesHard|q.inodesSoft != 0, err
}

// setLimit bounds the project id to size bytes; 0 is no limit.
func setLimit(dir *os.File, id uint32, size int64) error {
	q := diskQuota{version: quotaVersion, flags: ofProject, fields: hardBlocks, id: id, blocksHard: uint64(size) / quotaBlock}
	return quotactl(dir, setQuota, id, &q)
}

// fileAttributes is struct fsxattr of linux/fs.h.
type fileAttributes struct {
	flags, extent, extents, project, copyExtent uint32
	_                                           [8]byte
}

const (
	getAttributes = 0x801c581f // FS_IOC_FSGETXATTR
	setAttributes = 0x401c5820 // FS_IOC_FSSETXATTR
	inherit       = 0x200      // FS_XFLAG_PROJINHERIT
)

func attributes(f *os.File) (a fileAttributes, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getAttributes, uintptr(unsafe.Pointer(&a)))
	if errno != 0 {
		err = os.NewSyscallError("FS_IOC_FSGETXATTR", errno)
	}
	return a, err
}

// setProject gives the directory dir the project id, and all that will be made in it.
func setProject(dir *os.File, id uint32) error {
	a, err := attributes(dir)
	if err != nil {
		return err
	}
	a.project, a.flags = id, a.flags|inherit
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), setAttributes, uintptr(unsafe.Pointer(&a))); errno != 0 {
		return os.NewSyscallError("FS_IOC_FSSETXATTR", errno)
	}
	return nil
}
