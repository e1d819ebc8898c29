package tree

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Usage counts the bytes on disk and the files of the directory path and all below it; a file with
// several names counts once, a sparse one by its blocks. What vanishes or is moved meanwhile is left out, what is
// mounted below too. However deep the directories are nested, few are open at once.
func Usage(ctx context.Context, path string) (size, inodes int64, err error) {
	top, err := openTop(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, top.Close()) }()
	var st unix.Stat_t
	if err := unix.Fstat(int(top.Fd()), &st); err != nil {
		return 0, 0, entryError("stat", top, ".", err)
	}
	several := map[inode]bool{} // files that have several names
	count := func(_ struct{}, _ string, st *unix.Stat_t) struct{} {
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if several[inodeOf(st)] {
				return struct{}{}
			}
			several[inodeOf(st)] = true
		}
		size += st.Blocks * 512
		inodes++
		return struct{}{}
	}
	count(struct{}{}, "", &st)
	if err := walk(ctx, int(top.Fd()), struct{}{}, count); err != nil {
		return size, inodes, fmt.Errorf("count what %q holds: %w", path, err)
	}
	return size, inodes, nil
}

// Allocated counts the bytes on disk of path, a file or a directory with all below it: see Usage.
func Allocated(ctx context.Context, path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return st.Blocks * 512, nil
	}
	size, _, err := Usage(ctx, path)
	return size, err
}
