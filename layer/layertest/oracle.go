package layertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Apply unpacks a chain of layers, bottom first, onto the directory root, and is what package layer is compared to.
// It cares for nothing but being right: each layer is read into memory; first all that it removes is removed from
// the tree, then all that it adds is made in the order of the tar, and at last the times of directories are put
// right. It trusts its input: names must not lead out of root.
func Apply(root string, layers ...[]byte) error {
	if err := describe(root, &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	for i, layer := range layers {
		if err := applyOne(root, layer); err != nil {
			return fmt.Errorf("oracle: layer %d: %w", i, err)
		}
	}
	return nil
}

func applyOne(root string, layer []byte) error {
	entries, err := readAll(layer)
	if err != nil {
		return err
	}
	times, err := dirTimes(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeOne(root, e.Header.Name); err != nil {
			return fmt.Errorf("%v: %w", e, err)
		}
	}
	late := map[string]Entry{} // hard links to what comes later, by the bytes that hold their place
	for i, e := range entries {
		holder := fmt.Sprintf("%s %d", placeholder, i)
		err := addOne(root, e, holder, times)
		if errors.Is(err, errNoTarget) {
			late[holder] = e
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%v: %w", e, err)
		}
	}
	if err := linkLate(root, late); err != nil {
		return err
	}
	for dir, t := range times {
		if at, err := filepath.EvalSymlinks(dir); err == nil && at == dir && isDir(dir) { // not by another name
			if err := os.Chtimes(dir, t, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkLate makes the links that wait, if no later entry has taken their place. One may wait for another.
func linkLate(root string, late map[string]Entry) error {
	for len(late) > 0 {
		var err error
		before := len(late)
		for holder, e := range late {
			dir, base := splitName(e.Header.Name)
			parent, err2 := Follow(root, dir)
			if err2 != nil || holderAt(filepath.Join(parent, base)) != holder {
				delete(late, holder)
				continue
			}
			if err2 = linkOne(root, filepath.Join(parent, base), e.Header.Linkname, holder); err2 == nil {
				delete(late, holder)
			}
			err = errors.Join(err, err2)
		}
		if len(late) == before {
			return err
		}
	}
	return nil
}

func readAll(layer []byte) ([]Entry, error) {
	var entries []Entry
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{*h, string(body)})
	}
}

func dirTimes(root string) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	return times, filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.IsDir() {
			times[path] = fi.ModTime()
		}
		return err
	})
}

func isDir(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.IsDir()
}

func splitName(name string) (dir, base string) {
	return filepath.Split(filepath.Clean("/" + name))
}

func removeOne(root, name string) error {
	dir, base := splitName(name)
	hidden, ok := strings.CutPrefix(base, ".wh.")
	if !ok || isAufs(name) {
		return nil
	}
	parent, err := Follow(root, dir)
	if err != nil {
		return err
	}
	if !isDir(parent) {
		return nil // nothing to remove
	}
	if hidden != ".wh..opq" {
		return os.RemoveAll(filepath.Join(parent, hidden))
	}
	names, err := os.ReadDir(parent)
	for _, d := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(parent, d.Name())))
	}
	return err
}

// isAufs tells aufs's bookkeeping, which is no part of the tree.
func isAufs(name string) bool {
	return strings.Contains("/"+name, "/.wh..wh.") && !strings.HasSuffix(name, "/.wh..wh..opq") && name != ".wh..wh..opq"
}

// Follow resolves name in root as a chrooted process would; what is missing is taken as it is spelt.
func Follow(root, name string) (string, error) {
	at, todo := "/", strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		next := filepath.Join(at, todo[0])
		todo = todo[1:]
		target, err := os.Readlink(root + next)
		if err != nil {
			at = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("%q is a loop", name)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return filepath.Join(root, at), nil
}

func addOne(root string, e Entry, holder string, times map[string]time.Time) error {
	h := &e.Header
	dir, base := splitName(h.Name)
	if strings.HasPrefix(base, ".wh.") || isAufs(h.Name) || h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	parent, err := Follow(root, dir)
	if err != nil {
		return err
	}
	if err := makeParents(parent, times); err != nil {
		return err
	}
	path := filepath.Join(parent, base)
	if h.Typeflag == tar.TypeLink {
		return linkOne(root, path, h.Linkname, holder)
	}
	old, err := os.Lstat(path)
	if err == nil && (!old.IsDir() || h.Typeflag != tar.TypeDir) && path != root {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := makeOne(path, e); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		times[path] = h.ModTime
	}
	return describe(path, h)
}

var errNoTarget = errors.New("no target")

const placeholder = "here a hard link waits"

// linkOne makes a hard link, or a file with the bytes holder in its place if the target is not there.
func linkOne(root, path, target, holder string) error {
	dir, base := splitName(target)
	parent, err := Follow(root, dir)
	if err != nil {
		return err
	}
	from := filepath.Join(parent, base)
	fi, err := os.Lstat(from)
	if err == nil && fi.IsDir() {
		return fmt.Errorf("hard link to directory %q", target)
	}
	if err == nil && from == path && !waits(from) {
		return nil
	}
	if err == nil && !waits(from) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.Link(from, path); err == nil {
			return nil
		}
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return errors.Join(errNoTarget, os.WriteFile(path, []byte(holder), 0))
}

// waits reports that a hard link is still to be made at path.
func waits(path string) bool { return strings.HasPrefix(holderAt(path), placeholder) }

// holderAt returns the bytes of a regular file, "" for anything else.
func holderAt(path string) string {
	fi, err := os.Lstat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

func makeParents(dir string, times map[string]time.Time) error {
	if fi, err := os.Lstat(dir); err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("parent %q is not a directory", dir)
		}
		return nil
	}
	if err := makeParents(filepath.Dir(dir), times); err != nil {
		return err
	}
	times[dir] = time.Unix(0, 0)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return describe(dir, &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)})
}

func makeOne(path string, e Entry) error {
	h := &e.Header
	dev := int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	switch h.Typeflag {
	case tar.TypeDir:
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg:
		return os.WriteFile(path, []byte(e.Body), 0o600)
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	case tar.TypeChar:
		return unix.Mknod(path, unix.S_IFCHR, dev)
	case tar.TypeBlock:
		return unix.Mknod(path, unix.S_IFBLK, dev)
	case tar.TypeFifo:
		return unix.Mkfifo(path, 0o600)
	}
	return fmt.Errorf("type %q", h.Typeflag)
}

func describe(path string, h *tar.Header) error {
	if err := os.Lchown(path, h.Uid, h.Gid); err != nil {
		return err
	}
	old, err := Xattrs(path)
	if err != nil {
		return err
	}
	for name := range old {
		if err := unix.Lremovexattr(path, name); err != nil {
			return err
		}
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
				return err
			}
		}
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := unix.Chmod(path, uint32(h.Mode)&0o7777); err != nil {
			return err
		}
	}
	t := unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
