package oracle

import (
	"slices"
	"strings"
	"testing"
)

// What a tool does with a case that lrun accepts.
const (
	refuses = "refuses it"
	differs = "makes another tree"
)

// difference is a way in which tools do not do as lrun, and the cases in which it shows.
type difference struct {
	why   string
	tools string
	kind  string
	cases []string
}

const (
	both = "containerd moby"
	all  = "containerd moby umoci"
)

// differences are all that there are. containerd is its package pkg/archive, moby its package go-archive.
var differences = []difference{
	{"a whiteout removes what the same layer added, too (the specification: only what is below)", both, differs, []string{
		"whiteout: after the name was added", "whiteout: between entries of the directory",
	}},
	{"a whiteout removes a directory that the same layer added, whose time is then to be set", both, refuses, []string{
		"whiteout: after a directory was added",
	}},
	{"an opaque marker removes what its layer added in directories that the layer does not name", both, differs, []string{
		"opaque: parent of implied directories",
	}},
	{"the parents of a whiteout are made, although it has nothing to remove", both, differs, []string{
		"whiteout: of a parent and of what is in it", "whiteout: of what is nowhere", "whiteout: in the lowest layer", "opaque: of what is nowhere",
		"escape: whiteout, absolute", "escape: whiteout through a link", "escape: whiteout through a link below", "escape: opaque, absolute", "escape: opaque through a link",
	}},
	{"the parents of a whiteout are made, although it has nothing to remove", "containerd", differs, []string{
		"escape: whiteout, dots", "escape: whiteout of the directory", "escape: opaque, dots", "escape: opaque through a link below",
	}},
	{"a whiteout below a file is an error", both, refuses, []string{"whiteout: below a file"}},
	{"a whiteout below a file is an error", "containerd", refuses, []string{"opaque: of a file"}},
	{"what is in a directory of aufs's own is made", "containerd umoci", differs, []string{"whiteout: aufs's own"}},
	{"a name that begins with dots, and a link that leads above the root, are errors, not names from the root", "moby", refuses, []string{
		"escape: directory outside", "escape: dots in the middle", "escape: dots", "escape: long name of GNU", "escape: name in PAX records", "escape: whiteout, dots",
		"escape: whiteout of the directory", "escape: opaque, dots", "escape: relative link", "escape: relative link of the layer below", "escape: opaque through a link below",
		"escape: hard link to what only the layer has there",
	}},
	{"the time of a directory is set by its name when all is unpacked, and then it is a link", "containerd", differs, []string{"escape: directory turned into a link"}},
	{"the time of a directory is set by its name when all is unpacked, and then it is a link", "moby", refuses, []string{"escape: directory turned into a link"}},
	{"xattrs of symbolic links are set on what they lead to", "moby", refuses, []string{"escape: xattr and owner of a link"}},
	{"xattrs that the file system refuses are left out with a warning", "containerd", differs, []string{"escape: xattr and owner of a link"}},
	{"a hard link must come after its target", all, refuses, []string{"hard link: to a later entry", "hard link: chain of later entries"}},
	{"a hard link to itself removes the file first", all, refuses, []string{"hard link: to itself"}},
	{"the owner, mode and xattrs of a hard link's entry are given to the file", both, differs, []string{"hard link: its metadata do not count"}},
	{"a file loses its capabilities when a layer links to it, and gets the owner and mode of the link's entry", both, differs, []string{"xattr: capabilities of a copied file"}},
	{"a directory that is described again keeps the xattrs that it had; on overlayfs the upper ones alone show", both, differs, []string{
		"duplicate: directory", "xattr: of a directory, lost when it is described again",
	}},
	{"what is made in a directory with a default ACL gets it, although the tar does not say so", both, differs, []string{"xattr: ACLs"}},
	{"an implied directory in a setgid directory gets its group, and with umoci the bit", all, differs, []string{"metadata: setgid directory"}},
	{"the records of libarchive are ignored", all, differs, []string{"xattr: records of libarchive"}},
	{"times before 1970 become 1970", both, differs, []string{"metadata: times", "number: time in base 256, before 1970"}},
	{"a sparse file in the old form of GNU is an unknown type", all, refuses, []string{"sparse: old form of GNU"}},
	{"a name that with the root before it is longer than the kernel takes is refused", all, refuses, []string{"name: 4095 bytes"}},
	{"an xattr without a value is left out", "umoci", differs, []string{"xattr: empty, binary, with an equals sign in its name"}},
	{"global records are an unknown type", "umoci", refuses, []string{"format: global records"}},
}

// explained returns what tool is known to do with a case, "" for what lrun does.
func explained(tool, name string) string {
	for _, d := range differences {
		if strings.Contains(d.tools, tool) && slices.Contains(d.cases, name) {
			return d.kind
		}
	}
	return ""
}

// everySeen fails for a difference that a tool no longer shows.
func everySeen(t *testing.T, tool string, seen []string) {
	t.Helper()
	for _, d := range differences {
		for _, name := range d.cases {
			if strings.Contains(d.tools, tool) && !slices.Contains(seen, name) {
				t.Errorf("%s: %s: it is said that %s, which is not seen", tool, name, d.why)
			}
		}
	}
}
