package check

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// comparison says in which way the files of a layer are compared with what was written down.
type comparison struct {
	deep   bool // with the bytes
	merged bool // a whole tree: no opaque directories, and links say nothing
	files  int
	differ func(path, problem string)
}

// run goes through both at once. Both are in the order of manifest.ComparePaths. The error is of one of them.
func (c *comparison) run(want, have iter.Seq2[manifest.Entry, error]) error {
	w, h := pull(want), pull(have)
	defer w.stop()
	defer h.stop()
	for w.ok || h.ok {
		if w.err != nil || h.err != nil {
			break
		}
		switch order := order(w, h); {
		case order < 0:
			c.differ("/"+w.entry.Path, "it is missing")
			w.skip()
		case order > 0:
			c.differ("/"+h.entry.Path, "it was not in the layer")
			h.skip()
		default:
			c.same(w, h)
		}
	}
	if w.err != nil {
		return w.err
	}
	return h.err
}

// same compares two entries of one name.
func (c *comparison) same(w, h *cursor) {
	c.files++
	want, have := w.entry, h.entry
	problems := c.problems(want, have)
	if len(problems) > 0 {
		c.differ("/"+want.Path, strings.Join(problems, ", "))
	}
	if want.Type != have.Type {
		w.skip()
		h.skip()
		return
	}
	w.next()
	h.next()
}

// problems says in which fields have differs from want, and how.
func (c *comparison) problems(want, have manifest.Entry) []string {
	if !c.deep {
		have.SHA256 = want.SHA256
	}
	if want.Type == manifest.Dir {
		have.Mtime = want.Mtime
	}
	if c.merged {
		have.Opaque, have.Link, have.LinkBelow = want.Opaque, want.Link, want.LinkBelow
	}
	want.Xattrs, have.Xattrs = c.xattrs(want.Xattrs), c.xattrs(have.Xattrs)
	var problems []string
	for _, name := range want.Differences(have) {
		problems = append(problems, describe(name, want, have))
	}
	return problems
}

// xattrs leaves out what overlayfs itself notes, and in a whole tree all that it knows.
func (c *comparison) xattrs(list []manifest.Xattr) []manifest.Xattr {
	return slices.DeleteFunc(slices.Clone(list), func(x manifest.Xattr) bool {
		name, ours := strings.CutPrefix(x.Name, "trusted.overlay.")
		return ours && (c.merged || name != "opaque")
	})
}

// describe says how the field name differs.
func describe(name string, want, have manifest.Entry) string {
	is := func(now, then any) string { return fmt.Sprintf("%s is %v, was %v", name, now, then) }
	switch name {
	case "type":
		return is(typeName(have.Type), typeName(want.Type))
	case "mode":
		return is(fmt.Sprintf("%04o", have.Mode), fmt.Sprintf("%04o", want.Mode))
	case "owner":
		return is(fmt.Sprintf("%d:%d", have.UID, have.GID), fmt.Sprintf("%d:%d", want.UID, want.GID))
	case "size":
		return is(have.Size, want.Size)
	case "mtime":
		return is(timeOf(have.Mtime), timeOf(want.Mtime))
	case "content":
		return is(fmt.Sprintf("sha256:%x", have.SHA256), fmt.Sprintf("sha256:%x", want.SHA256))
	case "device":
		return is(deviceOf(have.Rdev), deviceOf(want.Rdev))
	case "target":
		return is(fmt.Sprintf("%q", have.Target), fmt.Sprintf("%q", want.Target))
	case "link":
		if want.Link != "" && have.Link == "" {
			return fmt.Sprintf("it was one file with %q", "/"+want.Link)
		}
		return fmt.Sprintf("it is one file with %q", "/"+have.Link)
	case "xattrs":
		return describeXattrs(want.Xattrs, have.Xattrs)
	case "opaque":
		if want.Opaque {
			return "it hid what lies below, and does not now"
		}
		return "it hides what lies below, and did not"
	}
	return name + " differs"
}

// describeXattrs names the xattrs that differ.
func describeXattrs(want, have []manifest.Xattr) string {
	var words []string
	index := func(list []manifest.Xattr, name string) int {
		return slices.IndexFunc(list, func(x manifest.Xattr) bool { return x.Name == name })
	}
	for _, x := range want {
		switch i := index(have, x.Name); {
		case i < 0:
			words = append(words, fmt.Sprintf("xattr %s is missing", x.Name))
		case have[i].Value != x.Value:
			words = append(words, fmt.Sprintf("xattr %s has another value", x.Name))
		}
	}
	for _, x := range have {
		if index(want, x.Name) < 0 {
			words = append(words, fmt.Sprintf("xattr %s was not there", x.Name))
		}
	}
	return strings.Join(words, ", ")
}

func typeName(t manifest.Type) string {
	switch t {
	case manifest.Regular:
		return "file"
	case manifest.Dir:
		return "directory"
	case manifest.Symlink:
		return "symbolic link"
	case manifest.Char:
		return "character device"
	case manifest.Block:
		return "block device"
	case manifest.Fifo:
		return "FIFO"
	case manifest.Socket:
		return "socket"
	case manifest.Whiteout:
		return "whiteout"
	}
	return "unknown"
}

func timeOf(t unix.Timespec) string { return time.Unix(t.Unix()).UTC().Format(time.RFC3339Nano) }

func deviceOf(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// cursor is a place in a sequence of entries.
type cursor struct {
	entry manifest.Entry
	err   error
	ok    bool

	pull func() (manifest.Entry, error, bool)
	stop func()
}

func pull(seq iter.Seq2[manifest.Entry, error]) *cursor {
	c := &cursor{}
	c.pull, c.stop = iter.Pull2(seq)
	c.next()
	return c
}

func (c *cursor) next() { c.entry, c.err, c.ok = c.pull() }

// skip goes on, past all that is in the entry.
func (c *cursor) skip() {
	from := c.entry.Path
	for c.next(); c.ok && c.err == nil && manifest.Inside(c.entry.Path, from); c.next() {
	}
}

// order compares the places of two cursors, one of which is not at its end.
func order(w, h *cursor) int {
	switch {
	case !w.ok:
		return 1
	case !h.ok:
		return -1
	}
	return manifest.ComparePaths(w.entry.Path, h.entry.Path)
}
