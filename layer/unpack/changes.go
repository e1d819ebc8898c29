package unpack

import (
	"iter"
	"maps"
	"path"
	"slices"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// noteBelow remembers that link is another name of target, a file of the parents by that name if the layer has none.
func (u *unpacker) noteBelow(link, target *node, name string) {
	if below := u.below[target]; below != "" {
		u.below[link] = below
	} else if target == nil && !u.overlay() {
		u.below[link] = name
	}
}

// changes tells what the layer did, in the order of a walk; nil for one that has its directory for itself.
func (u *unpacker) changes() iter.Seq[manifest.Change] {
	if u.overlay() {
		return nil
	}
	root, below := u.root, u.below // and nothing else of u stays in memory
	return func(yield func(manifest.Change) bool) { root.changes("", below, yield) }
}

func (n *node) changes(name string, below map[*node]string, yield func(manifest.Change) bool) bool {
	if !yield(manifest.Change{Path: name, Removed: n.whiteout, Opaque: n.opaque, Below: below[n]}) {
		return false
	}
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		if !n.child(base).changes(path.Join(name, base), below, yield) {
			return false
		}
	}
	return true
}
