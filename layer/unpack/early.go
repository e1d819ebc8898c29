package unpack

import (
	"maps"
	"path"
	"slices"

	"github.com/lrun-dev/lrun/layer/needs"
)

// decide is called before the name base in the directory parent, where the walk ended, is described, replaced or, with all
// that is in it, removed. If an earlier entry went through a link that the parents' tree has there, it refuses the layer:
// what that entry meant depends on the order. In a layer of its own it notes for Settle what is to be no link.
func (u *unpacker) decide(parent *node, base string, all bool) error {
	name := path.Join(u.parents.path(), base)
	if !u.overlay() {
		if (all || parent.child(base) == nil) && parent.uses(base, u.seq) {
			return needs.UsedLink(name)
		}
		return nil
	}
	if child := parent.child(base); child != nil && !u.parents.alone() {
		u.noteEarly(name, child, all)
	}
	return nil
}

// decideAll is decide for all that is in the directory where the walk ended.
func (u *unpacker) decideAll(dir *node) error {
	names := slices.Collect(maps.Keys(dir.used))
	for _, base := range slices.Sorted(slices.Values(slices.AppendSeq(names, maps.Keys(dir.children)))) {
		if err := u.decide(dir, base, true); err != nil {
			return err
		}
	}
	return nil
}

// noteEarly notes the directory name if nothing but entries in it implied it yet, and with all, those in it too.
func (u *unpacker) noteEarly(name string, n *node, all bool) {
	if !n.dir || n.severed || n.opaque {
		return
	}
	if !n.named() {
		u.early = append(u.early, needs.Parent{Name: name, Adds: n.holds})
	}
	if !all {
		return
	}
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		u.noteEarly(path.Join(name, base), n.child(base), true)
	}
}
