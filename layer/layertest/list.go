package layertest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// List tells the tree in root line by line: type, mode, owners, time, name, and what the file has besides. Names
// that are one file are not marked, because overlayfs cannot keep that across layers.
func List(t testing.TB, root string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		line, err := listOne(path, true)
		name, _ := filepath.Rel(root, path)
		lines = append(lines, fmt.Sprintf("%q %s", name, line))
		return err
	})
	if err != nil {
		t.Fatalf("list %s: %v", root, err)
	}
	return lines
}

// Describe tells one file as List does, without its name and, if times is false, without its time.
func Describe(t testing.TB, path string, times bool) string {
	t.Helper()
	line, err := listOne(path, times)
	if err != nil {
		t.Fatalf("describe %s: %v", path, err)
	}
	return line
}

func listOne(path string, times bool) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%06o %d:%d", st.Mode, st.Uid, st.Gid)
	if times {
		line += fmt.Sprintf(" %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if len(data) > 40 {
			data = fmt.Appendf(nil, "%d bytes, sha256 %x", len(data), sha256.Sum256(data))
		}
		line += fmt.Sprintf(" %q", data)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" -> %q", target)
	case unix.S_IFCHR, unix.S_IFBLK:
		line += fmt.Sprintf(" device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	xattrs, err := Xattrs(path)
	if len(xattrs) > 0 {
		line += fmt.Sprintf(" %q", xattrs) // sorted by name
	}
	return line, err
}

// Xattrs returns all xattrs of the file at path, which may be a symbolic link itself; none where the file system has none.
func Xattrs(path string) (map[string]string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	xattrs := map[string]string{}
	for name := range bytes.SplitSeq(buf[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			return nil, err
		}
		xattrs[string(name)] = string(value[:n])
	}
	return xattrs, nil
}

// Diff tells in which lines two lists differ, "" if in none.
func Diff(got, want []string) string {
	var b strings.Builder
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&b, "missing: %s\n", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&b, "too much: %s\n", line)
		}
	}
	return b.String()
}
