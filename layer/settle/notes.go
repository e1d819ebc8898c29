package settle

import (
	"container/heap"
	"path"
	"slices"
	"strings"

	"github.com/lrun-dev/lrun/layer/needs"
)

// notes is what is known of names of the layer, in the shape of its tree: a directory that moves takes with it what is
// known of all that is in it.
type notes struct {
	order map[string]int // which entry made a name, by the names that the tar had; may be nil
	top   note
	queue names // of implied directories, and of names that were such
	looks int   // how many notes were looked at, for the test of what a layer of many directories costs
}

// note is what is known of one name. Without one it is where the tar had it, and has neither whiteouts nor is it implied.
type note struct {
	implied   bool   // a directory that is not settled yet
	whiteouts bool   // a directory that holds some
	moved     bool   // the tar had it by another name: was
	was       string // "" if that is not known
	below     map[string]*note
}

func newNotes(n needs.Needs) *notes {
	ns := &notes{order: n.Order}
	for _, name := range n.ImpliedDirs {
		name = path.Clean("/" + name)[1:]
		ns.make(name).implied = true
		ns.queue = append(ns.queue, name)
	}
	heap.Init(&ns.queue)
	for _, name := range n.Whiteouts {
		ns.make(path.Clean("/" + name)[1:]).whiteouts = true
	}
	return ns
}

// components yields the parts of a real name: none for the root.
func components(name string) []string {
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// find returns the note of name, nil if there is none.
func (ns *notes) find(name string) *note {
	n := &ns.top
	for _, base := range components(name) {
		ns.looks++
		if n = n.below[base]; n == nil {
			return nil
		}
	}
	return n
}

// make returns the note of name, a new one if there is none.
func (ns *notes) make(name string) *note {
	n := &ns.top
	for _, base := range components(name) {
		ns.looks++
		if n.below[base] == nil {
			n.put(base, &note{})
		}
		n = n.below[base]
	}
	return n
}

// put makes child what is known of base in n.
func (n *note) put(base string, child *note) {
	if n.below == nil {
		n.below = map[string]*note{}
	}
	n.below[base] = child
}

// implied reports whether name is a directory that the layer only implies and that is not settled yet.
func (ns *notes) implied(name string) bool {
	n := ns.find(name)
	return n != nil && n.implied
}

// settled notes that the directory name is not, or no longer, one that the layer only implies.
func (ns *notes) settled(name string) {
	if n := ns.find(name); n != nil {
		n.implied = false
	}
}

// first returns the first of the implied directories by name, so that parents come before children.
func (ns *notes) first() (name string, ok bool) {
	for len(ns.queue) > 0 {
		ns.looks++
		if name = heap.Pop(&ns.queue).(string); ns.implied(name) {
			return name, true
		}
	}
	return "", false
}

// withWhiteouts returns the directories that hold whiteouts, sorted.
func (ns *notes) withWhiteouts() []string {
	var found []string
	ns.top.walk("", func(name string, n *note) {
		if n.whiteouts {
			found = append(found, name)
		}
	})
	slices.Sort(found)
	return found
}

// walk calls do for n, whose name is name, and all below it.
func (n *note) walk(name string, do func(string, *note)) {
	do(name, n)
	for base, below := range n.below {
		below.walk(path.Join(name, base), do)
	}
}

// move takes what is known of the directory from, and of all below it, to the name to. first finds the implied
// directories there only after arrived.
func (ns *notes) move(from, to string) {
	was, above := ns.origin(from), ns.make(parentOf(from))
	n := above.below[path.Base(from)]
	if n == nil {
		n = &note{}
	}
	n.moved, n.was = true, was
	above.put(path.Base(from), &note{moved: true}) // what comes to be here is another one
	ns.make(parentOf(to)).put(path.Base(to), n)
}

// moveFile is move for what is no directory, and whose old place goes.
func (ns *notes) moveFile(from, to string) {
	if ns.order != nil {
		ns.make(parentOf(to)).put(path.Base(to), &note{moved: true, was: ns.origin(from)})
	}
}

// arrived lets first find the implied directories that have moved to name.
func (ns *notes) arrived(name string) {
	ns.make(name).walk(name, func(name string, n *note) {
		ns.looks++
		if n.implied {
			heap.Push(&ns.queue, name)
		}
	})
}

// merged notes that all that was in the directory from has moved into the directory to.
func (ns *notes) merged(from, to string) {
	n := ns.find(from)
	if n == nil {
		return
	}
	if n.whiteouts {
		ns.make(to).whiteouts = true
	}
	n.implied, n.whiteouts = false, false
}

// origin is the name that the tar had for what is at name, "" if that is not known.
func (ns *notes) origin(name string) string {
	n, was, known := &ns.top, "", true
	for _, base := range components(name) {
		ns.looks++
		if n != nil {
			n = n.below[base]
		}
		switch {
		case n != nil && n.moved:
			was, known = n.was, n.was != ""
		case known:
			was = path.Join(was, base)
		}
	}
	return was
}

// later reports that the entry of a came after that of b. Where the tar's order is not known, b counts.
func (ns *notes) later(a, b string) bool { return ns.order[ns.origin(a)] > ns.order[ns.origin(b)] }

// names is a heap of names.
type names []string

// Len is how many there are.
func (s names) Len() int { return len(s) }

// Less tells which comes first.
func (s names) Less(i, j int) bool { return s[i] < s[j] }

// Swap swaps two.
func (s names) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

// Push adds one.
func (s *names) Push(name any) { *s = append(*s, name.(string)) }

// Pop takes the last.
func (s *names) Pop() any {
	last := len(*s) - 1
	name := (*s)[last]
	*s = (*s)[:last]
	return name
}
