package subvolume

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of include/uapi/linux/btrfs.h, as amd64 and arm64 number them. All but the two on flags
// take 4096 bytes.
const (
	toKernel   = 1<<30 | 0x94<<8
	fromKernel = 2<<30 | 0x94<<8
	page       = 4096 << 16
	eight      = 8 << 16

	subvolCreate  = toKernel | page | 14
	snapDestroy   = toKernel | page | 15
	treeSearch    = toKernel | fromKernel | page | 17
	inodeLookup   = toKernel | fromKernel | page | 18
	snapCreateV2  = toKernel | page | 23
	getFlags      = fromKernel | eight | 25
	setFlags      = toKernel | eight | 26
	snapDestroyV2 = toKernel | page | 63
)

const (
	readOnlyFlag = 1 << 1 // BTRFS_SUBVOL_RDONLY
	byID         = 1 << 4 // BTRFS_SUBVOL_SPEC_BY_ID

	rootTree   = 1   // BTRFS_ROOT_TREE_OBJECTID: the tree of all trees
	rootRefKey = 156 // BTRFS_ROOT_REF_KEY: a subvolume has another in it
)

// args is struct btrfs_ioctl_vol_args.
type args struct {
	_    int64
	name [4088]byte
}

func (a *args) setName(name string) error { return set(a.name[:], name) }

// argsV2 is struct btrfs_ioctl_vol_args_v2.
type argsV2 struct {
	fd    int64
	_     uint64
	flags uint64
	_     [4]uint64
	name  [4040]byte // or an id in the first eight
}

func (a *argsV2) setName(name string) error { return set(a.name[:], name) }
func (a *argsV2) setID(id uint64)           { binary.NativeEndian.PutUint64(a.name[:], id) }

// set puts name into to, with a zero byte behind.
func set(to []byte, name string) error {
	if len(name) >= len(to) {
		return unix.ENAMETOOLONG
	}
	copy(to, name)
	return nil
}

// lookup is struct btrfs_ioctl_ino_lookup_args.
type lookup struct {
	tree, object uint64
	_            [4080]byte
}

// search is struct btrfs_ioctl_search_args.
type search struct {
	tree                 uint64
	minObject, maxObject uint64
	minOffset, maxOffset uint64
	_, maxTransact       uint64
	minType, maxType     uint32
	items                uint32
	_                    uint32
	_                    [4]uint64
	found                [4096 - 104]byte
}

// itemHead is how long struct btrfs_ioctl_search_header is.
const itemHead = 32

// idOf returns the id of the subvolume that f is in.
func idOf(f *os.File) (uint64, error) {
	l := lookup{object: rootInode}
	err := ioctl(f, inodeLookup, &l)
	return l.tree, err
}

// children returns the ids of the subvolumes in that with the given id.
func children(f *os.File, id uint64) ([]uint64, error) {
	var ids []uint64
	next := uint64(0)
	for {
		s := search{
			tree: rootTree, minObject: id, maxObject: id, minType: rootRefKey, maxType: rootRefKey,
			minOffset: next, maxOffset: ^uint64(0), maxTransact: ^uint64(0), items: 64,
		}
		if err := ioctl(f, treeSearch, &s); err != nil {
			return nil, err
		}
		if s.items == 0 {
			return ids, nil
		}
		found := offsets(s.found[:], int(s.items))
		ids = append(ids, found...)
		if len(found) == 0 {
			return ids, nil
		}
		next = found[len(found)-1] + 1
	}
}

// offsets returns the offsets of the n items in b, which for references to subvolumes are their ids.
func offsets(b []byte, n int) []uint64 {
	var all []uint64
	for ; n > 0 && len(b) >= itemHead; n-- {
		all = append(all, binary.NativeEndian.Uint64(b[16:]))
		length := int(binary.NativeEndian.Uint32(b[28:]))
		b = b[min(itemHead+length, len(b)):]
	}
	return all
}

// ioctl makes a request whose argument the kernel reads and may write.
func ioctl[T any](f *os.File, request uintptr, arg *T) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(arg)))
	if errno != 0 {
		return errno
	}
	return nil
}
