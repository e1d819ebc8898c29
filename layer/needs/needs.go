// Package needs says what a layer that was unpacked alone leaves open until the layers below it are known: what
// layer/unpack notes and layer/settle does.
package needs

import (
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// Limits of the name of a directory in a layer, from its root.
const (
	MaxName  = 4095 // PATH_MAX without its NUL: what no tool could name must not be made
	MaxDepth = 255  // each level that is open costs a descriptor
)

// Needs is what a layer that was unpacked alone leaves open until its parents are known. It is for Settle; only a
// layer whose Needs are Empty looks the same on every chain, so that its directory can be shared by DiffID.
type Needs struct {
	// ImpliedDirs are directories that the tar used as parents but did not hold, parents before children. Mode,
	// owner, times and xattrs come from below, and below the name may be a symbolic link.
	ImpliedDirs []string `json:"impliedDirs,omitempty"`
	// Links are hard links to files that the layer does not hold, in the order of the tar.
	Links []Link `json:"links,omitempty"`
	// Parents are directories that the tar used as parents before it described, replaced or removed them.
	Parents []Parent `json:"parents,omitempty"`
	// Whiteouts are directories in which the layer has whiteouts. A whiteout in a directory that no layer below has
	// too shows as a broken name (Linux up to 6.18 at least), so such whiteouts must go.
	Whiteouts []string `json:"whiteouts,omitempty"`
	// Opaque says that the tar hides the whole tree below. The kernel ignores an opaque marker on the root of a
	// layer, so each name below needs a whiteout of its own.
	Opaque bool `json:"opaque,omitempty"`
	// Root says that the tar did not name the root: its metadata come from below. It alone does not keep a layer
	// from being shared as long as the parents' roots are alike.
	Root bool `json:"root,omitempty"`

	// Order numbers the names of the layer by their entries. Where two names turn out to be one, the later counts;
	// without it, as when Needs were written down and read again, the one that has no link in it.
	Order map[string]int `json:"-"`

	// Sums holds the digests of the layer's files, if ApplyOptions.Sums asked for them: a file that Settle makes may
	// have the inode number of one that is gone.
	Sums *manifest.Sums `json:"-"`
}

// Link is a hard link that waits for its target. Both names are relative to the root of the layer; Name is there as
// an empty file that holds the place, Target is as the tar says it, cleaned.
type Link struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	// Hidden says that an earlier entry of the layer hides what the layers below have by the name Target.
	Hidden bool `json:"hidden,omitempty"`
}

// Parent is a directory that the tar used before it said what it is. Below it must not be a link, through which what is in
// it went elsewhere, nor, if the layer had added something in it, a file.
type Parent struct {
	Name string `json:"name"`
	Adds bool   `json:"adds,omitempty"`
}

// UsedLink is the error for a Parent that is a link below.
func UsedLink(name string) error {
	return Invalid("%q, a symbolic link of a layer below, is replaced or removed after entries went through it", name)
}

// Empty reports that nothing but perhaps the root's own metadata depends on the parents.
func (n Needs) Empty() bool {
	return len(n.ImpliedDirs) == 0 && len(n.Links) == 0 && len(n.Parents) == 0 && len(n.Whiteouts) == 0 && !n.Opaque
}

// NoTarget is the error for a hard link whose target is nowhere.
func NoTarget(link, target string) error {
	return Invalid("hard link %q: its target %q is neither in this layer nor below", link, target)
}

// NotDir says that a parent is neither a directory nor a link to one.
type NotDir struct{ Name string }

// Error names the parent.
func (e NotDir) Error() string { return fmt.Sprintf("parent %q is not a directory", e.Name) }

// Unwrap says that the layer is invalid.
func (e NotDir) Unwrap() error { return errdefs.ErrInvalidArgument }

// Invalid is an error for which the layer is to blame.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument)
}
