package corpus

import (
	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// above is what a layer of entries makes of the base.
func above(name string, changes []string, entries ...lt.Entry) Case {
	return accept(name, onBase(changes...), base(), lt.Tar(entries...))
}

type lines = []string

func removals() []Case {
	return []Case{
		above("whiteout: file", lines{"-etc/passwd"}, lt.Whiteout("etc/passwd")),
		above("whiteout: directory", lines{"-deep"}, lt.Whiteout("deep")),
		above("whiteout: link and not its target", lines{"-lib"}, lt.Whiteout("lib")),
		above("whiteout: through a link below", lines{"-usr/lib/libc"}, lt.Whiteout("lib/libc")),
		above("whiteout: before the name is added", lines{"file = new"}, lt.Whiteout("file"), lt.File("file", "new")),
		above("whiteout: after the name was added", lines{"file = new"}, lt.File("file", "new"), lt.Whiteout("file")),
		above("whiteout: before a directory is added", lines{"-deep", "deep/ 0700"}, lt.Whiteout("deep"), lt.Dir("deep", lt.Mode(0o700))),
		above("whiteout: after a directory was added", lines{"-deep", "deep/ 0700", "deep/new = n"},
			lt.Dir("deep", lt.Mode(0o700)), lt.File("deep/new", "n"), lt.Whiteout("deep")),
		above("whiteout: between entries of the directory", lines{"-deep", "deep/ @0", "deep/a = a", "deep/b = b"},
			lt.File("deep/a", "a"), lt.Whiteout("deep"), lt.File("deep/b", "b")),
		above("whiteout: of a parent and of what is in it", lines{"-deep"}, lt.Whiteout("deep/er/y"), lt.Whiteout("deep"), lt.Whiteout("deep/er")),
		above("whiteout: of what is nowhere", nil, lt.Whiteout("none"), lt.Whiteout("etc/none"), lt.Whiteout("no/such/x")),
		above("whiteout: below a file", nil, lt.Whiteout("file/x")),
		above("whiteout: twice", lines{"-file"}, lt.Whiteout("file"), lt.Whiteout("./file")),
		above("whiteout: as a directory with content", lines{"-file"}, lt.Dir(".wh.file")),
		above("whiteout: with bytes and metadata", lines{"-file"}, lt.File(".wh.file", "bytes", lt.Mode(0o7777), lt.Owner(5, 6), lt.Xattr("user.x", "y"))),
		above("whiteout: as a hard link", lines{"-file"}, lt.Link(".wh.file", ".wh..wh.aufs"), lt.File(".wh..wh.aufs", "")),
		above("whiteout: aufs's own", nil, lt.File(".wh..wh.aufs", ""), lt.Dir(".wh..wh.plnk"), lt.File(".wh..wh.plnk/4.5", ""), lt.Dir("etc/.wh..wh.orph")),
		accept("whiteout: undone by the next layer", onBase("-deep", "deep/ @0", "deep/n = n"), base(), lt.Tar(lt.Whiteout("deep")), lt.Tar(lt.File("deep/n", "n"))),
		accept("whiteout: in the lowest layer", lines{"d/"}, lt.Tar(lt.Whiteout("x"), lt.Dir("d"), lt.Whiteout("d/x"), lt.Whiteout("no/x"))),
		above("whiteout: of a name that looks like one", lines{"-file", ".wh = x"}, lt.File(".wh", "x"), lt.Whiteout("file")),
	}
}

func opaqueMarkers() []Case {
	return []Case{
		above("opaque: first", lines{"-etc/group", "-etc/passwd", "etc/new = n"}, lt.Opaque("etc"), lt.File("etc/new", "n")),
		above("opaque: last", lines{"-etc/group", "-etc/passwd", "etc/new = n"}, lt.File("etc/new", "n"), lt.Opaque("etc")),
		above("opaque: in the middle", lines{"-etc/group", "etc/passwd = p", "etc/z = z"}, lt.File("etc/passwd", "p"), lt.Opaque("etc"), lt.File("etc/z", "z")),
		above("opaque: before its directory", lines{"-etc", "etc/ 0711 1:2"}, lt.Opaque("etc"), lt.Dir("etc", lt.Mode(0o711), lt.Owner(1, 2))),
		above("opaque: with whiteouts inside", lines{"-etc/group", "-etc/passwd"}, lt.Whiteout("etc/passwd"), lt.Opaque("etc"), lt.Whiteout("etc/none")),
		above("opaque: parent of implied directories", lines{"-deep", "deep/", "deep/er/ @0", "deep/er/n = n"}, lt.File("deep/er/n", "n"), lt.Opaque("deep")),
		above("opaque: of a file", nil, lt.Opaque("file")),
		above("opaque: of what is nowhere", nil, lt.Opaque("no/such")),
		above("opaque: through a link below", lines{"-usr/lib/libc"}, lt.Opaque("lib")),
		above("opaque: directory over a link", lines{"-lib", "lib/", "lib/n = n"}, lt.Dir("lib"), lt.Opaque("lib"), lt.File("lib/n", "n")),
		accept("opaque: root", lines{"new = n"}, base(), lt.Tar(lt.File("new", "n"), lt.Opaque(""))),
		accept("opaque: root, in each layer", lines{"b/", "b/c = c"}, base(), lt.Tar(lt.Opaque("."), lt.File("a", "a")), lt.Tar(lt.Dir("b"), lt.File("b/c", "c"), lt.Opaque("/"))),
		accept("opaque: undone by the layer above", onBase("-etc", "etc/ 0750", "etc/back = b"), base(), lt.Tar(lt.Opaque("etc")), lt.Tar(lt.File("etc/back", "b"))),
	}
}

func replacements() []Case {
	return []Case{
		above("replace: file by directory", lines{"file/", "file/x = x"}, lt.Dir("file"), lt.File("file/x", "x")),
		above("replace: directory by file", lines{"-deep", "deep = d"}, lt.File("deep", "d")),
		above("replace: directory by link", lines{"-deep", "deep -> etc"}, lt.Symlink("deep", "etc")),
		above("replace: link by directory", lines{"lib/ 0700"}, lt.Dir("lib", lt.Mode(0o700))),
		above("replace: link by file", lines{"lib = l"}, lt.File("lib", "l")),
		above("replace: directory by hard link", lines{"-deep", "deep = f"}, lt.Link("deep", "file")),
		above("replace: directory by FIFO, file by device", lines{"-deep", "deep |", "file b7:1"}, lt.Fifo("deep"), lt.Block("file", 7, 1)),
		above("replace: within a layer, all in turn", lines{"x -> etc"},
			lt.File("x", "1"), lt.Dir("x"), lt.File("x/y", ""), lt.Fifo("x"), lt.Dir("x"), lt.File("x/z", ""), lt.Symlink("x", "etc")),
		accept("replace: across layers, all in turn", onBase("x/", "x/b = b"), base(), lt.Tar(lt.File("x", "1")), lt.Tar(lt.Dir("x"), lt.File("x/a", "a")),
			lt.Tar(lt.Symlink("x", "etc")), lt.Tar(lt.Dir("x"), lt.File("x/b", "b"))),
		above("replace: directory by file and back", lines{"-deep", "deep/", "deep/n = n"}, lt.File("deep", ""), lt.Dir("deep"), lt.File("deep/n", "n")),
		refuse("replace: file as a parent", errdefs.ErrInvalidArgument, lt.Tar(lt.File("f", ""), lt.File("f/x", ""))),
		refuse("replace: file below as a parent", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("file/x", ""))),
		refuse("replace: device as a parent", errdefs.ErrInvalidArgument, lt.Tar(lt.Char("d", 1, 3), lt.File("d/x", ""))),
		refuse("replace: link to a file as a parent", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Symlink("l", "file"), lt.File("l/x", ""))),
	}
}

func duplicates() []Case {
	return []Case{
		above("duplicate: file", lines{"file = 3 0600 5:6"}, lt.File("file", "1"), lt.File("file", "two"), lt.File("./file", "3", lt.Mode(0o600), lt.Owner(5, 6))),
		above("duplicate: directory", lines{`etc/ 0711 user.b="2"`},
			lt.Dir("etc", lt.Mode(0o700), lt.Owner(1, 2), lt.Xattr("user.a", "1")), lt.Dir("/etc/", lt.Mode(0o711), lt.Xattr("user.b", "2"))),
		above("duplicate: link", lines{"l -> c"}, lt.Symlink("l", "a"), lt.Symlink("l", "b"), lt.Symlink("l", "c")),
		above("duplicate: root", lines{"/ 0700 1:2"}, lt.Dir("./", lt.Mode(0o777), lt.Xattr("user.gone", "1")), lt.Dir("/", lt.Mode(0o700), lt.Owner(1, 2))),
		above("duplicate: hard link keeps the first", lines{"a = new", "b = old"}, lt.File("a", "old"), lt.Link("b", "a"), lt.File("a", "new")),
		above("duplicate: in a directory that comes again", lines{"d/ 0700", "d/a = 2", "d/b = b"}, lt.Dir("d"), lt.File("d/a", "1"), lt.File("d/b", "b"), lt.Dir("d", lt.Mode(0o700)), lt.File("d/a", "2")),
		accept("duplicate: layer", onBase(), base(), base()),
		accept("duplicate: layer, with others between", onBase("file = f"), base(), lt.Tar(lt.Whiteout("file"), lt.Dir("etc", lt.Mode(0o700))), base()),
		accept("duplicate: whiteout layer", onBase("-file"), base(), lt.Tar(lt.Whiteout("file")), lt.Tar(lt.Whiteout("file"))),
	}
}

func hardLinks() []Case {
	same := func(c Case, names ...string) Case { c.Same = names; return c }
	return []Case{
		same(above("hard link: to a lower file", lines{"a = f"}, lt.Link("a", "file")), "a", "file"),
		same(above("hard link: to a lower file through a link", lines{"a = elf"}, lt.Link("a", "lib/libc")), "a", "usr/lib/libc"),
		same(above("hard link: two to a lower file", lines{"a = root", "b = root"}, lt.Link("a", "etc/passwd"), lt.Link("b", "a")), "a", "b", "etc/passwd"),
		same(above("hard link: to a lower link", lines{"a -> usr/lib"}, lt.Link("a", "lib")), "a", "lib"),
		same(above("hard link: to a later entry", lines{"a = b", "b = b"}, lt.Link("a", "b"), lt.File("b", "b")), "a", "b"),
		same(above("hard link: chain of later entries", lines{"a = f", "b = f", "c = f"}, lt.Link("a", "b"), lt.Link("b", "c"), lt.Link("c", "file")), "a", "b", "c", "file"),
		above("hard link: its metadata do not count", lines{"a = 1 4755 1:2", "b = 1 4755 1:2"},
			lt.File("a", "1", lt.Mode(0o4755), lt.Owner(1, 2)), lt.Link("b", "a", lt.Mode(0), lt.Owner(9, 9), lt.Xattr("user.x", "y"))),
		above("hard link: to itself", nil, lt.Link("file", "file")),
		above("hard link: then the target is hidden", lines{"-file", "a = f"}, lt.Link("a", "file"), lt.Whiteout("file")),
		above("hard link: then the directory is opaque", lines{"-etc/group", "-etc/passwd", "a = root"}, lt.Link("a", "etc/passwd"), lt.Opaque("etc")),
		above("hard link: then the target is replaced", lines{"a = f", "file = new"}, lt.Link("a", "file"), lt.File("file", "new")),
		accept("hard link: through three layers", onBase("a = f", "b = f"), base(), lt.Tar(lt.Link("a", "file")), lt.Tar(lt.Link("b", "a"))),
		refuse("hard link: to nowhere", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("a", "no/where"))),
		refuse("hard link: to a directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("a", "etc"))),
		refuse("hard link: to the root", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("a", "/"))),
		refuse("hard link: to each other", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("a", "b"), lt.Link("b", "a"))),
		refuse("hard link: to a name that a layer removed", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("file")), lt.Tar(lt.Link("a", "file"))),
		same(above("hard link: the target is hidden, then added", lines{"file = new", "a = new"}, lt.Whiteout("file"), lt.Link("a", "file"), lt.File("file", "new")), "a", "file"),
		same(above("hard link: the target is replaced", lines{"file = new", "a = new"}, lt.File("file", "new"), lt.Link("a", "file")), "a", "file"),
		same(above("hard link: then a link on the way is replaced", lines{"-lib", "lib/", "lib/new = n", "a = elf"}, lt.Link("a", "lib/libc"), lt.Dir("lib"), lt.File("lib/new", "n")), "a", "usr/lib/libc"),
		same(above("hard link: then a link on the way is hidden", lines{"-lib", "a = elf"}, lt.Link("a", "lib/libc"), lt.Whiteout("lib")), "a", "usr/lib/libc"),
		same(above("hard link: then a directory on the way is a link", lines{"-deep/er", "deep/er -> ../etc", "a = y"}, lt.Link("a", "deep/er/y"), lt.Symlink("deep/er", "../etc")), "a"),
		same(above("hard link: then there is a link on the way", lines{"new -> etc", "a = root"}, lt.Link("a", "new/passwd"), lt.Symlink("new", "etc")), "a", "etc/passwd"),
		same(above("hard link: to a file of the directory that replaced a link", lines{"-lib", "lib/", "lib/libc = mine", "a = mine"},
			lt.Dir("lib"), lt.Link("a", "lib/libc"), lt.File("lib/libc", "mine")), "a", "lib/libc"),
		same(above("hard link: one through another to a lower link", lines{"a -> usr/lib", "b = elf"}, lt.Link("a", "lib"), lt.Link("b", "a/libc")), "b", "usr/lib/libc"),
		refuse("hard link: to a name that the layer removed", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("file"), lt.Link("a", "file"))),
		refuse("hard link: into a directory that the layer removed", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("deep"), lt.Link("a", "deep/er/y"))),
		refuse("hard link: two to a name that the layer removed", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("file"), lt.Link("a", "file"), lt.Link("b", "a"))),
		refuse("hard link: through a link that the layer removed", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("lib"), lt.Link("a", "lib/libc"))),
		refuse("hard link: into an opaque directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Dir("etc"), lt.Opaque("etc"), lt.Link("a", "etc/passwd"))),
		refuse("hard link: deep in an opaque directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Opaque("deep"), lt.Link("a", "deep/er/y"))),
		refuse("hard link: below an opaque root", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Opaque("."), lt.Link("a", "etc/passwd"))),
		refuse("hard link: into a directory that a file replaced", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("deep", "d"), lt.Link("a", "deep/er/y"))),
		refuse("hard link: without a target", errdefs.ErrInvalidArgument, raw(fields{name: "a", typ: '1'}, "")),
	}
}

// inDirectory has a link in a directory, and one to that.
func inDirectory() []byte {
	return lt.Tar(lt.Dir("d"), lt.Symlink("d/l", "../e"), lt.Dir("e"), lt.Symlink("to", "d"))
}

func implied() []Case {
	return []Case{
		accept("implied: never described", lines{"a/ @0", "a/b/ @0", "a/b/c = c"}, lt.Tar(lt.File("a/b/c", "c"))),
		accept("implied: described later", lines{"a/ 0700", "a/b/ 0711", "a/b/c = c"}, lt.Tar(lt.File("a/b/c", "c"), lt.Dir("a/b", lt.Mode(0o711)), lt.Dir("a", lt.Mode(0o700)))),
		above("implied: like below", lines{"usr/lib/new = n"}, lt.File("usr/lib/new", "n")),
		above("implied: a link below", lines{"usr/lib/new = n"}, lt.File("lib/new", "n")),
		above("implied: a link below, more than once", lines{"usr/lib/a/ @0", "usr/lib/a/b = b", "usr/lib/new = n"}, lt.File("lib/new", "n"), lt.File("lib/a/b", "b")),
		accept("implied: a dangling link below", lines{"d -> not/there", "not/ @0", "not/there/ @0", "not/there/x = x"}, lt.Tar(lt.Symlink("d", "not/there")), lt.Tar(lt.File("d/x", "x"))),
		accept("implied: links in a row below", lines{"a -> b", "b -> c/d", "c/", "c/d/", "c/d/x = x"},
			lt.Tar(lt.Dir("c"), lt.Dir("c/d"), lt.Symlink("a", "b")), lt.Tar(lt.Symlink("b", "c/d")), lt.Tar(lt.File("a/x", "x"))),
		accept("implied: the root below", lines{"/ 0700 1:2", "f = f"}, lt.Tar(lt.Dir("/", lt.Mode(0o700), lt.Owner(1, 2))), lt.Tar(lt.File("f", "f"))),
		above("implied: below a file, only to remove", lines{"-file", "file/"}, lt.Whiteout("file/x"), lt.Dir("file")),
		refuse("implied: a link below, then hidden", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.Whiteout("lib"))),
		refuse("implied: a link below, then a directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.Dir("lib"))),
		refuse("implied: a link below, then a file", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.File("lib", ""))),
		refuse("implied: a link below, then a link", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.Symlink("lib", "etc"))),
		refuse("implied: a link below, then a hard link", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.Link("lib", "file"))),
		refuse("implied: a link below, then an opaque root", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("lib/new", "n"), lt.Opaque("."))),
		refuse("implied: a link below, only to remove, then hidden", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("lib/libc"), lt.Whiteout("lib"))),
		refuse("implied: a link below, only to remove, then a directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Whiteout("lib/libc"), lt.Dir("lib"))),
		refuse("implied: a link below, for a hard link too", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("a", "lib/libc"), lt.File("lib/g", "g"), lt.Dir("lib"), lt.File("lib/h", "h"))),
		refuse("implied: a link in a directory below, then that is hidden", errdefs.ErrInvalidArgument, inDirectory(), lt.Tar(lt.File("d/l/new", "n"), lt.Whiteout("d"))),
		refuse("implied: a link in a directory below, then that is opaque", errdefs.ErrInvalidArgument, inDirectory(), lt.Tar(lt.File("d/l/new", "n"), lt.Opaque("d"))),
		refuse("implied: a link in a directory below, then that is a file", errdefs.ErrInvalidArgument, inDirectory(), lt.Tar(lt.File("d/l/new", "n"), lt.File("d", ""))),
		refuse("implied: a link below a link, then a directory", errdefs.ErrInvalidArgument, inDirectory(), lt.Tar(lt.File("to/l/new", "n"), lt.Dir("to/l"))),
		refuse("implied: a file below, then hidden", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("file/new", "n"), lt.Whiteout("file"))),
		refuse("implied: a file below, then a directory", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("file/new", "n"), lt.Dir("file"))),
		accept("implied: a directory that a layer removed", onBase("-deep", "deep/ @0", "deep/er/ @0", "deep/er/n = n"), base(), lt.Tar(lt.Whiteout("deep"), lt.File("deep/er/n", "n"))),
	}
}
