package unpack

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// node is the record of one name of the layer while it is unpacked. The tree of nodes knows what the disk cannot
// tell: whether the tar itself named a file, in which order, and what a whiteout must therefore leave alone.
type node struct {
	children map[string]*node
	seq      int  // number of the entry that made it, from 1; 0: only implied
	dir      bool // else a file, a whiteout or a link that waits
	holds    bool // a directory: an entry at or below this name added something
	whiteout bool // nothing but a whiteout
	// opaque: nothing of the layers below is left in this directory.
	opaque bool
	// severed: the directory is not the one that the layers below have by this name.
	severed bool
	link    string         // of a hard link that waits: its target
	hidden  bool           // of such a link: its target is none of the layers below
	used    map[string]int // links of the layers below, in this directory, and the first entry that went through each

	mtime unix.Timespec // to be restored when all entries are there
	timed bool
}

// named reports that the tar has an entry of this name; otherwise an entry below, or a whiteout, implied it.
func (n *node) named() bool { return n.seq > 0 }

// adds reports that the layer itself has something by this name, which for a directory that it only implies means
// something in it.
func (n *node) adds() bool { return n != nil && (n.named() || n.holds) }

func (n *node) child(name string) *node { return n.children[name] }

func (n *node) put(name string, child *node) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[name] = child
	return child
}

func (n *node) setTime(t unix.Timespec) { n.mtime, n.timed = t, true }

// uses reports that entries before number seq went through a link of the layers below that is still at or below base.
func (n *node) uses(base string, seq int) bool {
	child := n.child(base)
	if child == nil {
		return n.used[base] > 0 && n.used[base] < seq
	}
	if child.opaque {
		return false
	}
	for base := range child.used {
		if child.child(base) == nil && child.uses(base, seq) {
			return true
		}
	}
	for base := range child.children {
		if child.uses(base, seq) {
			return true
		}
	}
	return false
}

// find returns the node at path, nil when the layer has none.
func (n *node) find(path string) *node {
	for component := range strings.SplitSeq(path, "/") {
		if n != nil && component != "" {
			n = n.child(component)
		}
	}
	return n
}

// order writes down which entry made each name.
func (n *node) order(name string, numbers map[string]int) {
	if n.named() {
		numbers[name] = n.seq
	}
	for base, child := range n.children {
		child.order(path.Join(name, base), numbers)
	}
}
