// Package manifest writes down what every file of a layer's directory is, so that it can be checked later without the
// layer's blob: name, type, mode, owner, size, time, device, xattrs, target, which names are one file, and the sha256
// of a regular file's bytes. docs/format.md describes the bytes.
//
// A manifest is written and read from its beginning to its end in memory that does not grow with it, and it is only
// good if its trailer fits: Reader tells damage and a cut.
package manifest

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kind is what a manifest describes.
type Kind byte

const (
	// Directory describes all that a layer's own directory holds, as overlayfs uses it.
	Directory Kind = 'd'
	// Changes describe what a layer adds to the tree below it, changes in it and removes from it, with the directories
	// on the way; for drivers whose directories hold the whole tree. Merge puts the manifests of a chain together.
	Changes Kind = 'c'
)

// Type is the type of a file.
type Type byte

// The types of files. A Whiteout is a character device 0:0 in a Directory; in Changes it is a name that is gone.
const (
	Regular   Type = 'f'
	Dir       Type = 'd'
	Symlink   Type = 'l'
	Char      Type = 'c'
	Block     Type = 'b'
	Fifo      Type = 'p'
	Socket    Type = 's'
	Whiteout  Type = 'w'
	noType    Type = 0
	typeNames      = "fdlcbpsw"
)

// Entry is one name of a layer.
type Entry struct {
	// Path is relative to the root of the layer, without a slash at either end; "" is the root itself. Its bytes are
	// those of the directory, UTF-8 or not.
	Path string
	Type Type
	// Opaque: nothing of what the layers below have in this directory is left.
	Opaque bool
	// Mode is the permissions with setuid, setgid and sticky; a symbolic link has 0777.
	Mode     uint32
	UID, GID uint32
	Mtime    unix.Timespec
	// Size is that of a regular file, SHA256 the digest of its bytes.
	Size   int64
	SHA256 [32]byte
	// Rdev is the number of a device, as the kernel encodes it for programs (unix.Major, unix.Minor).
	Rdev uint64
	// Target is where a symbolic link leads.
	Target string
	// Link is, of a file with several names, the first of them in this manifest, "" if this is it. With LinkBelow it
	// is a name that a layer below has, as only Changes say. What the two share is said for both.
	Link      string
	LinkBelow bool
	// Xattrs are sorted by name. The labels of the host's security modules are left out.
	Xattrs []Xattr
}

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// ComparePaths orders names as a walk meets them: a directory, then all that is in it, then what is beside it, by the
// bytes of the components. It returns -1, 0 or 1.
func ComparePaths(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return cmp.Compare(rank(a, n), rank(b, n))
}

// rank is what the byte n of path counts for: the end comes first, then the slash.
func rank(path string, n int) int {
	switch {
	case n == len(path):
		return -1
	case path[n] == '/':
		return 0
	}
	return int(path[n]) // never 0
}

// Inside reports that path lies in the directory dir, at any depth.
func Inside(path, dir string) bool {
	return dir == "" && path != "" || len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// Differences names what is not alike in e and o, in the order of the fields: "type", "opaque", "mode", "owner",
// "mtime", "size", "content", "device", "target", "link", "xattrs". The path does not count. Files of different types
// differ in their type alone.
func (e Entry) Differences(o Entry) []string {
	if e.Type != o.Type {
		return []string{"type"}
	}
	var names []string
	for _, d := range []struct {
		name string
		same bool
	}{
		{"opaque", e.Opaque == o.Opaque},
		{"mode", e.Mode == o.Mode},
		{"owner", e.UID == o.UID && e.GID == o.GID},
		{"mtime", e.Mtime == o.Mtime},
		{"size", e.Size == o.Size},
		{"content", e.SHA256 == o.SHA256},
		{"device", e.Rdev == o.Rdev},
		{"target", e.Target == o.Target},
		{"link", e.Link == o.Link && e.LinkBelow == o.LinkBelow},
		{"xattrs", slices.Equal(e.Xattrs, o.Xattrs)},
	} {
		if !d.same {
			names = append(names, d.name)
		}
	}
	return names
}
