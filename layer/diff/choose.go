package diff

import (
	"slices"
	"strings"
)

// item is what was found out about one name. A directory that is neither in tar nor in list is there because something
// in it may be.
type item struct {
	path   string
	kind   Kind
	dir    bool
	tar    bool   // Apply must be told
	list   bool   // people want to see it
	opaque bool   // a directory in which nothing of the parent's is left
	below  bool   // the parent has the name
	links  *links // of a file that has, or had, several names
}

func (it item) forTar() bool { return it.tar || it.links != nil && it.links.changed }

func (it item) forPeople() bool { return it.list }

// chosen returns the items that are wanted, and before them the directories that they are in.
func chosen(items []item, wanted func(item) bool) []item {
	var list []item
	last := "" // the path that was taken last, and comes next
	for _, it := range slices.Backward(items) {
		holds := it.dir && len(list) > 0 && it.path != "" && strings.HasPrefix(last, it.path+"/")
		if wanted(it) || holds {
			list = append(list, it)
			last = it.path
		}
	}
	slices.Reverse(list)
	return list
}
