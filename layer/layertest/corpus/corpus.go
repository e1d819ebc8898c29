// Package corpus is a collection of hostile and odd layers and images, each with a verdict: the tree that it is, or the
// class of the error with which it is refused. It is the same at every run. It is for tests only.
package corpus

import (
	"maps"
	"path"
	"slices"
	"strings"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// Case is a stack of layers and what is to become of it, on every driver alike.
type Case struct {
	Name string
	// Layers are the blobs as they are stored, bottom first: plain, or compressed.
	Layers [][]byte
	// Tree is the tree of the stack, as Describe tells it.
	Tree []string
	// Refused is the class of the error, nil when the stack is accepted.
	Refused error
	// Same are names that must be one file, whatever the driver.
	Same []string
	// Long cases take seconds: the usual run leaves them out.
	Long bool
}

// Layers returns all stacks of layers. outside is the absolute name of a directory outside all roots: the hostile ones
// want what is there and must not change it. It holds the file "secret".
func Layers(outside string) []Case {
	return slices.Concat(
		escapes(outside), linkEscapes(outside), removals(), opaqueMarkers(), removedOutside(outside), replacements(), duplicates(),
		hardLinks(), implied(), devices(), overlayOwn(), xattrs(), metadata(), numbers(), formats(), sparse(), damaged(), ends(),
		names(), deep(), bombs(), compressed(), damagedCompression(), counts(),
	)
}

func accept(name string, tree []string, layers ...[]byte) Case {
	return Case{Name: name, Tree: tree, Layers: layers}
}

func refuse(name string, class error, layers ...[]byte) Case {
	return Case{Name: name, Refused: class, Layers: layers}
}

// base is the bottom layer of most cases, and onBase what it is as a tree after changes: a line is added, or replaces
// that of its name; one that begins with "-" takes a name away and all that is in it.
func base() []byte {
	return lt.Tar(
		lt.Dir("etc", lt.Mode(0o750)), lt.File("etc/passwd", "root"), lt.File("etc/group", "wheel"), lt.Dir("usr"),
		lt.Dir("usr/lib", lt.Mode(0o711), lt.Owner(3, 4)), lt.File("usr/lib/libc", "elf"), lt.Symlink("lib", "usr/lib"),
		lt.Dir("deep"), lt.Dir("deep/er"), lt.File("deep/er/y", "y"), lt.File("file", "f"),
	)
}

func onBase(changes ...string) []string {
	lines := map[string]string{}
	all := append([]string{
		"etc/ 0750", "etc/passwd = root", "etc/group = wheel", "usr/", "usr/lib/ 0711 3:4", "usr/lib/libc = elf", "lib -> usr/lib",
		"deep/", "deep/er/", "deep/er/y = y", "file = f",
	}, changes...)
	for _, line := range all {
		name, gone := strings.CutPrefix(strings.TrimSuffix(strings.Split(line, " ")[0], "/"), "-")
		if !gone {
			lines[name] = line
			continue
		}
		maps.DeleteFunc(lines, func(other, _ string) bool { return other == name || strings.HasPrefix(other, name+"/") })
	}
	return slices.Sorted(maps.Values(lines))
}

// withParents adds to lines the directories that nothing but the absolute name dir implies, dir too.
func withParents(dir string, lines ...string) []string {
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		lines = append(lines, strings.TrimPrefix(dir, "/")+"/ @0")
	}
	return lines
}
