package layer

import (
	"context"
	"io"
	"os"
	"runtime"

	"github.com/lrun-dev/lrun/layer/pack"
)

// TarOptions says what WriteTar writes.
type TarOptions struct {
	// Skip, when set, is asked for every name, relative to the root and without a leading slash; what it answers
	// true for is left out, a directory with all that it holds.
	Skip func(name string) bool
}

// WriteTar writes the tree in dir to w as a tar: the same bytes for the same tree, names in the order of their bytes,
// parents first, the root itself left out. PAX records carry what the plain header cannot: long and foreign names,
// high owners, times in nanoseconds, xattrs (SCHILY.xattr). Files with several names become hard links. Sockets are
// left out, as by every tar; so are overlayfs's own xattrs and the labels of the host's security module. Names are
// written byte for byte, UTF-8 or not. Holes of sparse files are written as zeros and not read.
//
// The tree may be in use: a file that vanishes is left out, one that grows is cut at the size that it had, one that
// shrinks while it is read is ErrDataLoss. w is not closed and, like the tree, only read through descriptors.
func WriteTar(ctx context.Context, w io.Writer, dir *os.File, o TarOptions) error {
	defer runtime.KeepAlive(dir)
	t, leftOut := pack.NewWriter(ctx, w), o.Skip
	err := pack.Walk(ctx, int(dir.Fd()), func(f pack.File) error {
		switch {
		case f.Path == "":
			return nil
		case leftOut != nil && leftOut(f.Path):
			return pack.ErrSkipDir
		}
		return t.Add(f)
	})
	if err != nil {
		return err
	}
	return t.Close()
}
