package layer

import (
	"context"
	"fmt"
	"io"

	"github.com/lrun-dev/lrun/layer/diff"
)

// DiffSource is a tree and what it was made from: see Diff.
type DiffSource = diff.Source

// DiffOptions says what Diff and Changes leave out or say otherwise.
type DiffOptions = diff.Options

// Change is one change, as Docker's diff lists them.
type Change = diff.Change

// The kinds of changes.
const (
	Added    = diff.Added
	Modified = diff.Modified
	Deleted  = diff.Deleted
)

// Diff writes what was changed in s.Dir since it was made from s.Parent as the tar of a layer: Apply makes of it, on the
// parent, the same tree, to the last bit of what an image keeps. The same changes give the same bytes; the form is that
// of WriteTar, with names that are gone as `.wh.NAME` and a directory of which nothing was left as one that holds
// `.wh..wh..opq`. Before what was changed come the directories that it is in, with their metadata; the root is
// there, as "./", when its own metadata differ, times among them.
//
// For an upperdir it costs as much as was changed, whatever the parent holds. Otherwise both trees are walked, and the
// bytes of all files of which nothing else differs are compared: a file that was changed and got its size and times
// back is found, and nothing cheaper finds it on every filesystem. Holes of sparse files are not read.
//
// A socket is left out, and so are xattrs as by WriteTar, also those in overlayfs's own names that a program in a
// container set for itself. What a layer cannot say, a name that begins with `.wh.` or a device 0:0, is
// ErrInvalidArgument and named; an upperdir that was mounted with redirect_dir or metacopy is ErrFailedPrecondition. The
// tree may be in use, as for WriteTar. w is not closed; nothing is written to the trees.
func Diff(ctx context.Context, w io.Writer, s DiffSource, o DiffOptions) error {
	if err := diff.Write(ctx, w, s, o); err != nil {
		return fmt.Errorf("diff tree: %w", err)
	}
	return nil
}

// Changes lists what Diff would write as Docker lists it: in the order of the walk, names of a directory in the order
// of their bytes, directories before what is in them, also those that are there only for what is in them. Not listed
// are a directory of which only the time was changed, the root, and what is in a directory that is gone.
func Changes(ctx context.Context, s DiffSource, o DiffOptions) ([]Change, error) {
	list, err := diff.Changes(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	return list, nil
}
