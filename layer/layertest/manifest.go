package layertest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// Entries tells the tree in root as its manifest should, slowly: every file is read and nothing was noted before.
func Entries(t testing.TB, root string) []manifest.Entry {
	t.Helper()
	var entries []manifest.Entry
	first := map[[2]uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if name == "." {
			name = ""
		}
		e, err := entryOf(path, name, first)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		t.Fatalf("entries of %s: %v", root, err)
	}
	return entries
}

func entryOf(path, name string, first map[[2]uint64]string) (manifest.Entry, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return manifest.Entry{}, err
	}
	e := manifest.Entry{Path: name, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Mtime: st.Mtim}
	xattrs, err := Xattrs(path)
	if err != nil {
		return e, err
	}
	for name, value := range xattrs {
		e.Xattrs = append(e.Xattrs, manifest.Xattr{Name: name, Value: value})
	}
	slices.SortFunc(e.Xattrs, func(a, b manifest.Xattr) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	if err := addContent(&e, path, st.Rdev); err != nil || e.Type == manifest.Dir || e.Type == manifest.Whiteout {
		e.Opaque = xattrs["trusted.overlay.opaque"] == "y"
		return e, err
	}
	id := [2]uint64{st.Dev, st.Ino}
	if e.Link = first[id]; e.Link == "" {
		first[id] = name
	}
	return e, nil
}

func addContent(e *manifest.Entry, path string, rdev uint64) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	types := map[fs.FileMode]manifest.Type{
		0: manifest.Regular, fs.ModeDir: manifest.Dir, fs.ModeSymlink: manifest.Symlink, fs.ModeNamedPipe: manifest.Fifo,
		fs.ModeSocket: manifest.Socket, fs.ModeDevice: manifest.Block, fs.ModeDevice | fs.ModeCharDevice: manifest.Char,
	}
	switch e.Type = types[fi.Mode().Type()]; e.Type {
	case manifest.Char, manifest.Block:
		if e.Rdev = rdev; rdev == 0 {
			e.Type = manifest.Whiteout
		}
	case manifest.Symlink:
		e.Target, err = os.Readlink(path)
	case manifest.Regular:
		e.Size = fi.Size()
		e.SHA256, err = sumOf(path)
	default:
	}
	return err
}

func sumOf(path string) ([32]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [32]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [32]byte(h.Sum(nil)), err
}

// DiffEntries tells in which entries two manifests differ, "" if in none.
func DiffEntries(got, want []manifest.Entry) string {
	lines := func(entries []manifest.Entry) (lines []string) {
		for i, e := range entries {
			lines = append(lines, fmt.Sprintf("%d %q %+v", i, e.Type, e))
		}
		return lines
	}
	return Diff(lines(got), lines(want))
}

// CheckMerged holds what a chain of manifests says against the tree in root, as Entries tells it. Which names are one
// file is looked at where one layer says it.
func CheckMerged(t testing.TB, root string, layers []*manifest.Reader) {
	t.Helper()
	var got []manifest.Entry
	from := map[string]int{}
	for e, err := range manifest.Merge(layers) {
		if err != nil {
			t.Fatalf("merge: %v", err)
		}
		if at, ok := from[e.Link]; e.Link != "" && ok && (at == e.Layer || e.LinkBelow && at < e.Layer) && !sameFile(root, e.Link, e.Path) {
			t.Errorf("%q and %q are not one file", e.Path, e.Link)
		}
		from[e.Path] = e.Layer
		got = append(got, withoutLinks(e.Entry))
	}
	want := Entries(t, root)
	for i := range want {
		want[i] = withoutLinks(want[i])
	}
	if diff := DiffEntries(got, want); diff != "" {
		t.Errorf("the merged manifests are not the tree:\n%s", diff)
	}
}

func withoutLinks(e manifest.Entry) manifest.Entry {
	e.Link, e.LinkBelow, e.Opaque = "", false, false
	return e
}

func sameFile(root, a, b string) bool {
	x, err := os.Lstat(filepath.Join(root, a))
	y, err2 := os.Lstat(filepath.Join(root, b))
	return err == nil && err2 == nil && os.SameFile(x, y)
}
