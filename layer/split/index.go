package split

import (
	"crypto/sha256"
	"path"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// Index finds the files of a layer by their contents.
type Index struct {
	files map[string]content
	by    map[content]string // made when a file is not what its name says
}

type content struct {
	sum  [sha256.Size]byte
	size int64
}

// NewIndex takes in the regular files of a layer's manifest, which it reads to the end. It takes some 150 bytes of memory
// for each.
func NewIndex(m *manifest.Reader) (*Index, error) {
	x := &Index{files: map[string]content{}}
	for e, err := range m.All() {
		if err != nil {
			return nil, err
		}
		if e.Type == manifest.Regular && e.Size > 0 {
			x.files[e.Path] = content{e.SHA256, e.Size}
		}
	}
	return x, nil
}

// find returns the path of a file that has the content c, the one of the tar's entry name rather than another.
func (x *Index) find(name string, c content) (string, bool) {
	own := path.Clean("/" + name)[1:]
	if x.files[own] == c {
		return own, true
	}
	if x.by == nil {
		x.by = make(map[content]string, len(x.files))
		for p, c := range x.files {
			if other, ok := x.by[c]; !ok || p < other {
				x.by[c] = p
			}
		}
	}
	p, ok := x.by[c]
	return p, ok
}
