package diff

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/pack"
)

const compareSize = 128 << 10

// sameDirectory tells whether two directories have the same metadata. Times are not looked at.
func sameDirectory(a, b pack.File) (bool, error) {
	if a.Stat.Mode != b.Stat.Mode || a.Stat.Uid != b.Stat.Uid || a.Stat.Gid != b.Stat.Gid {
		return false, nil
	}
	return sameXattrs(a, b)
}

// sameFile tells whether two files that are no directories are the same in all that an image keeps. Bytes are read only
// when all else is the same: whoever sets size and time back changes neither that nor anything that can be trusted
// more, for the time of the last change of a file is that of a clock which can be set back.
func sameFile(ctx context.Context, a, b pack.File) (bool, error) {
	x, y := &a.Stat, &b.Stat
	if x.Mode != y.Mode || x.Uid != y.Uid || x.Gid != y.Gid || x.Size != y.Size || x.Mtim != y.Mtim || x.Rdev != y.Rdev {
		return false, nil
	}
	if same, err := sameXattrs(a, b); err != nil || !same {
		return false, err
	}
	switch x.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return sameBytes(ctx, a, b)
	case unix.S_IFLNK:
		one, err := inode.Readlink(a.Dir, a.Base)
		if err != nil {
			return false, a.Wrap("read link", pack.IgnoreMissing(err))
		}
		other, err := inode.Readlink(b.Dir, b.Base)
		return one == other, b.Wrap("read link", err)
	}
	return true, nil
}

func sameXattrs(a, b pack.File) (bool, error) {
	x, err := ownXattrs(a)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	y, err := ownXattrs(b)
	return maps.Equal(x, y), err
}

// sameBytes compares two regular files that have the same size.
func sameBytes(ctx context.Context, a, b pack.File) (bool, error) {
	if a.Stat.Size == 0 || a.ID() == b.ID() {
		return true, nil
	}
	one, err := a.Open()
	if err != nil {
		return false, pack.IgnoreMissing(err)
	}
	defer one.Close()
	other, err := b.Open()
	if err != nil {
		return false, err
	}
	defer other.Close()
	same, err := equal(ctx, one, other, a.Stat)
	return same, a.Wrap("compare", err)
}

// equal compares two open files of the size in st. What is a hole in both is not read.
func equal(ctx context.Context, a, b *os.File, st unix.Stat_t) (bool, error) {
	sparse := st.Blocks*512 < st.Size
	size := min(st.Size, compareSize)
	x, y := make([]byte, size), make([]byte, size)
	for at := int64(0); at < st.Size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if sparse {
			var err error
			if at, err = nextData(a, b, at, st.Size); err != nil {
				return false, err
			}
		}
		n := min(size, st.Size-at)
		if err := errors.Join(readAt(a, x[:n], at), readAt(b, y[:n], at)); errors.Is(err, io.EOF) {
			return false, nil // it is written to at this moment
		} else if err != nil {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
		at += n
	}
	return true, nil
}

// readAt fills buf.
func readAt(f *os.File, buf []byte, at int64) error {
	_, err := io.ReadFull(io.NewSectionReader(f, at, int64(len(buf))), buf)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// nextData returns where the next bytes begin that are no hole in one of the files.
func nextData(a, b *os.File, at, size int64) (int64, error) {
	x, err := pack.NextData(a, at, size)
	if err != nil {
		return 0, err
	}
	y, err := pack.NextData(b, at, size)
	return min(x, y), err
}
