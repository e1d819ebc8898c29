package diff

import "github.com/lrun-dev/lrun/internal/inode"

// linkTable finds out which files with several names are what they were in the parent. Names and files are two things
// here: a name may have moved from one file to another, and bytes and metadata are the same.
type linkTable struct {
	files map[inode.ID]*links
	order []*links
}

// links is one file with all its names.
type links struct {
	changed bool     // all its names must be written
	names   int      // that were met
	was     inode.ID // the parent's file of its first name
}

func newLinkTable() linkTable { return linkTable{files: map[inode.ID]*links{}} }

// add notes a name of a file with several names; same tells that the parent's file of that name has the same bytes and
// metadata.
func (t *linkTable) add(n name, same bool) *links {
	l := t.files[n.ID()]
	if l == nil {
		l = &links{was: n.was.ID()}
		t.files[n.ID()] = l
		t.order = append(t.order, l)
	}
	l.names++
	if !same || l.was != n.was.ID() {
		l.changed = true
	}
	return l
}

// settle is called after the last name. When the names of one file of the parent's are several files now, one of these
// can stay what it is and the others must be written: names of the first one that are gone, or written as those of
// another file, leave it alone.
func (t *linkTable) settle() {
	kept := map[inode.ID]bool{}
	for _, l := range t.order {
		if !l.changed {
			l.changed = kept[l.was]
			kept[l.was] = true
		}
	}
}
