package unpack

import (
	"path"
	"strings"

	"github.com/lrun-dev/lrun/layer/needs"
)

const (
	maxName      = needs.MaxName
	maxDepth     = needs.MaxDepth
	maxComponent = 255
	maxLinks     = 40 // symbolic links in one lookup, as in the kernel

	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh."
	opaqueMarker   = ".wh..wh..opq"
)

// purpose is what a tar entry is for, going by its name.
type purpose int

const (
	adds     purpose = iota // the entry is to be made
	removes                 // a whiteout: base is the name to hide
	isolates                // an opaque marker for parent
	ignored                 // aufs's own bookkeeping
)

// name is a tar entry's name as seen from the root of the layer, without "..", "." and slashes at the ends.
type name struct {
	parent  string // "" is the root
	base    string // "" only for the root itself
	purpose purpose
}

// path returns the whole name, for messages and records.
func (n name) path() string { return path.Join(n.parent, n.base) }

// parseName reads a name as if the process were chrooted into the layer and tells whiteouts from entries to be made
// (OCI image spec, layer.md, Whiteouts; names that begin with ".wh..wh." were aufs's and mean nothing to anybody else).
func parseName(raw string) (name, error) {
	n, err := readName(raw, whiteoutPrefix)
	if err != nil || !strings.Contains(raw, whiteoutPrefix) {
		return n, err
	}
	if strings.HasPrefix(n.parent, metaPrefix) || strings.Contains(n.parent, "/"+metaPrefix) {
		n.purpose = ignored
		return n, nil
	}
	if strings.HasPrefix(n.parent, whiteoutPrefix) || strings.Contains(n.parent, "/"+whiteoutPrefix) {
		return n, needs.Invalid("a whiteout cannot be a parent")
	}
	switch hidden, isWhiteout := strings.CutPrefix(n.base, whiteoutPrefix); {
	case !isWhiteout:
	case n.base == opaqueMarker:
		n.base, n.purpose = "", isolates
	case strings.HasPrefix(n.base, metaPrefix):
		n.purpose = ignored
	case hidden == "" || hidden == "." || hidden == "..":
		return n, needs.Invalid("a whiteout of nothing")
	default:
		n.base, n.purpose = hidden, removes
	}
	return n, nil
}

// cleanName reads the name of a file, such as the target of a hard link.
func cleanName(raw string) (name, error) { return readName(raw, "") }

// readName cleans a name and holds it to the limits. A component may be as much longer as the prefix that it has.
func readName(raw, prefix string) (name, error) {
	if strings.IndexByte(raw, 0) >= 0 {
		return name{}, needs.Invalid("the name holds a NUL")
	}
	clean := path.Clean("/" + raw)[1:]
	if len(clean) > maxName {
		return name{}, needs.Invalid("the name is longer than %d bytes", maxName)
	}
	depth := 0
	for component := range strings.SplitSeq(clean, "/") {
		if len(strings.TrimPrefix(component, prefix)) > maxComponent {
			return name{}, needs.Invalid("a component of the name is longer than %d bytes", maxComponent)
		}
		if depth++; depth > maxDepth {
			return name{}, needs.Invalid("the name is deeper than %d directories", maxDepth)
		}
	}
	parent, base := path.Split(clean)
	return name{parent: strings.TrimSuffix(parent, "/"), base: base}, nil
}
