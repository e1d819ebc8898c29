package testutil

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TreeHash returns a hash over all that a tree is, dir itself included: names, types, modes, owners,
// modification times in nanoseconds, extended attributes, link targets, device numbers, bytes, and
// which names are hard links of each other. Access and change times, inode numbers and holes do not
// count. It follows no symbolic link and does not leave dir's filesystem unless something is mounted
// in it. It shares no code with package layer, so that each can judge the other.
func TreeHash(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	if err := writeTree(h, dir); err != nil {
		t.Fatalf("hash tree %q: %v", dir, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeTree writes one line for each file below dir, in the order of names.
func writeTree(w io.Writer, dir string) error {
	first := map[[2]uint64]string{} // device and inode of hard links: the name met first
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return writeFile(w, path, name, first)
	})
}

// writeFile writes the line of the file at path.
func writeFile(w io.Writer, path, name string, first map[[2]uint64]string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	format := st.Mode & unix.S_IFMT
	content, err := content(path, format)
	if err != nil {
		return err
	}
	attrs, err := xattrs(path)
	if err != nil {
		return err
	}
	rdev := uint64(0)
	if format == unix.S_IFCHR || format == unix.S_IFBLK {
		rdev = st.Rdev
	}
	link := ""
	if format != unix.S_IFDIR && st.Nlink > 1 {
		inode := [2]uint64{st.Dev, st.Ino}
		if link = first[inode]; link == "" {
			first[inode] = name
		}
	}
	_, err = fmt.Fprintf(w, "%q mode=%o uid=%d gid=%d mtime=%d.%09d rdev=%d link=%q content=%s xattrs=%q\n",
		name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, rdev, link, content, attrs)
	return err
}

// content says what a file holds: a hash of its bytes, or the target of a link, quoted.
func content(path string, format uint32) (string, error) {
	switch format {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return fmt.Sprintf("%q", target), err
	case unix.S_IFREG:
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
	default:
		return "", nil
	}
}

// xattrs returns the extended attributes of path as sorted name=value strings.
func xattrs(path string) ([]string, error) {
	list, err := growing(func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	var attrs []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := growing(func(buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
		if err != nil {
			return nil, &fs.PathError{Op: "lgetxattr " + name, Path: path, Err: err}
		}
		attrs = append(attrs, name+"="+string(value))
	}
	slices.Sort(attrs)
	return attrs, nil
}

// growing calls get with ever larger buffers until the answer fits.
func growing(get func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := get(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
