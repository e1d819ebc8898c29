package manifest

import (
	"errors"
	"io"
	"iter"
)

// Layered is an entry and the number of the manifest that it is from.
type Layered struct {
	Entry
	Layer int
}

// Merge ranges over the tree that a chain of layers makes, bottom first: what the topmost layer with a name says of
// it, without the names that are gone. Link and LinkBelow are as the entry's own layer says them. It reads all
// manifests to their ends, in memory that does not depend on their length, and ends after an error. The caller closes
// the readers.
func Merge(layers []*Reader) iter.Seq2[Layered, error] {
	return func(yield func(Layered, error) bool) {
		m := &merger{layers: layers, heads: make([]Entry, len(layers)), done: make([]bool, len(layers))}
		for i := range layers {
			if err := m.advance(i); err != nil {
				yield(Layered{Layer: i}, err)
				return
			}
		}
		for {
			top, err := m.next()
			if errors.Is(err, io.EOF) || (err != nil || top.Type != Whiteout) && !yield(top, err) || err != nil {
				return
			}
		}
	}
}

type merger struct {
	layers []*Reader
	heads  []Entry // the next entry of each layer, unless it is done
	done   []bool
	covers []cover // directories and names on the way to the current entry that hide what is below, outermost first
}

// cover hides what the layers before the given one have inside a path.
type cover struct {
	path  string
	layer int
}

func (m *merger) advance(i int) (err error) {
	m.heads[i], err = m.layers[i].Next()
	if errors.Is(err, io.EOF) {
		m.done[i] = true
		return nil
	}
	return err
}

// next returns the next entry that is not hidden; a whiteout too. io.EOF is the end.
func (m *merger) next() (Layered, error) {
	for {
		top := m.first()
		if top < 0 {
			return Layered{}, io.EOF
		}
		e := Layered{m.heads[top], top}
		for len(m.covers) > 0 && !Inside(e.Path, m.covers[len(m.covers)-1].path) {
			m.covers = m.covers[:len(m.covers)-1]
		}
		hidden, err := m.take(e.Path)
		if err != nil || top >= hidden {
			return e, err
		}
	}
}

// take goes past the entries for path, and returns the layer before which path is hidden.
func (m *merger) take(path string) (outer int, err error) {
	if n := len(m.covers); n > 0 {
		outer = m.covers[n-1].layer
	}
	inner := outer
	for i := range m.layers {
		if m.done[i] || m.heads[i].Path != path {
			continue
		}
		if h := &m.heads[i]; h.Type != Dir || h.Opaque {
			inner = max(inner, i)
		}
		if err := m.advance(i); err != nil {
			return 0, err
		}
	}
	if inner > outer {
		m.covers = append(m.covers, cover{path, inner})
	}
	return outer, nil
}

// first returns the topmost of the layers whose next entry comes first, -1 at the end.
func (m *merger) first() int {
	top := -1
	for i := range m.layers {
		if !m.done[i] && (top < 0 || ComparePaths(m.heads[i].Path, m.heads[top].Path) <= 0) {
			top = i
		}
	}
	return top
}
