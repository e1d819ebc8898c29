// Package diff finds what was changed in a tree since it was made from its parent, and writes it as the tar of an
// image layer. It is the inside of layer.Diff and layer.Changes, which say what is promised.
//
// First both trees are compared, name by name, and what may have to be said of each name is noted (compare, same,
// links). Then what has to be said is chosen: for the tar all that Apply needs to make the same tree, for people what
// Docker shows (choose). The tar is written last (write).
package diff

import (
	"context"
	"io"
	"os"
	"runtime"
	"time"
)

// Source is a tree and what it was made from. Both are only read.
type Source struct {
	// Dir is the tree or, with Overlay, the upperdir that holds what was changed.
	Dir *os.File
	// Parent is the tree of all layers below; nil when there is none.
	Parent *os.File
	// Overlay says that Dir is an upperdir of an overlayfs with redirect_dir and metacopy off.
	Overlay bool
}

// Options says what is left out or written otherwise.
type Options struct {
	// Made are names, relative and clean, that the runtime makes as places for its own mounts. One that the parent does
	// not have is left out as long as it is an empty file, or a directory with nothing in it but others of Made; so
	// are the directories that were made to hold them.
	Made []string
	// Latest, unless it is zero, takes the place of modification times after it, so that what was made twice from the
	// same is the same.
	Latest time.Time
}

// Kind is what happened to a name.
type Kind string

// The kinds of changes, as Docker writes them.
const (
	Added    Kind = "A"
	Modified Kind = "C"
	Deleted  Kind = "D"
)

// Change is one line of `diff`.
type Change struct {
	Kind Kind
	Path string // relative to the root
}

// Write writes the changes as a layer.
func Write(ctx context.Context, w io.Writer, s Source, o Options) error {
	defer runtime.KeepAlive(s)
	items, err := compare(ctx, s, o)
	if err != nil {
		return err
	}
	return write(ctx, w, s, o, chosen(items, item.forTar))
}

// Changes lists the changes.
func Changes(ctx context.Context, s Source, o Options) ([]Change, error) {
	defer runtime.KeepAlive(s)
	items, err := compare(ctx, s, o)
	if err != nil {
		return nil, err
	}
	var list []Change
	for _, it := range chosen(items, item.forPeople) {
		if it.path != "" {
			list = append(list, Change{Kind: it.kind, Path: it.path})
		}
	}
	return list, nil
}
