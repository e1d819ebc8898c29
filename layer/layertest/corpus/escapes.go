package corpus

import (
	"path"
	"strings"

	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// up leads from anywhere to the root of the file system.
var up = strings.Repeat("../", 40)

// escapes lead out by the name of an entry and by symbolic links. Inside a root all of them mean something in it.
func escapes(outside string) []Case {
	in := strings.TrimPrefix(outside, "/") // the same place inside
	climb := up + in
	return []Case{
		accept("escape: absolute name", withParents(outside, in+"/new = x"), lt.Tar(lt.File(outside+"/new", "x"))),
		accept("escape: dots", withParents(outside, in+"/new = x"), lt.Tar(lt.File(climb+"/new", "x"))),
		accept("escape: dots in the middle", withParents(outside, in+"/new = x"), lt.Tar(lt.File("x/y/"+climb+"/new", "x"))),
		accept("escape: directory outside", withParents(path.Dir(outside), in+"/ 0777 5:6"), lt.Tar(lt.Dir(climb, lt.Mode(0o777), lt.Owner(5, 6)))),
		accept("escape: absolute link", withParents(outside, in+"/new = x", "l -> "+text(outside)),
			lt.Tar(lt.Symlink("l", outside), lt.File("l/new", "x"))),
		accept("escape: relative link", withParents(outside, in+"/new = x", "l -> "+text(climb)),
			lt.Tar(lt.Symlink("l", climb), lt.File("l/new", "x"))),
		accept("escape: link of the layer below", withParents(outside, in+"/new = x", "l -> "+text(outside)),
			lt.Tar(lt.Symlink("l", outside)), lt.Tar(lt.File("l/new", "x"))),
		accept("escape: relative link of the layer below", withParents(outside, in+"/new = x", "l -> "+text(climb)),
			lt.Tar(lt.Symlink("l", climb)), lt.Tar(lt.File("l/new", "x"))),
		accept("escape: link to a link", withParents(outside, in+"/new = x", "a -> b", "b -> "+text(outside)),
			lt.Tar(lt.Symlink("a", "b"), lt.Symlink("b", outside), lt.File("a/new", "x"))),
		accept("escape: link to a link below", withParents(outside, in+"/new = x", "a -> b", "b -> "+text(outside)),
			lt.Tar(lt.Symlink("b", outside)), lt.Tar(lt.Symlink("a", "b"), lt.File("a/new", "x"))),
		accept("escape: directory over a link", []string{"l/ 0700", "l/new = x"},
			lt.Tar(lt.Symlink("l", outside), lt.Dir("l", lt.Mode(0o700)), lt.File("l/new", "x"))),
		accept("escape: directory over a link below", []string{"l/ 0700", "l/new = x"},
			lt.Tar(lt.Symlink("l", outside)), lt.Tar(lt.Dir("l", lt.Mode(0o700)), lt.File("l/new", "x"))),
		accept("escape: directory turned into a link", withParents(outside, in+"/new = x", "d -> "+text(outside)),
			lt.Tar(lt.Dir("d"), lt.File("d/a", ""), lt.Symlink("d", outside), lt.File("d/new", "x"))),
		accept("escape: directory turned into a link above", withParents(outside, in+"/new = x", "d -> "+text(outside)),
			lt.Tar(lt.Dir("d"), lt.File("d/a", "")), lt.Tar(lt.Symlink("d", outside), lt.File("d/new", "x"))),
		accept("escape: file over a link", []string{"l = mine"}, lt.Tar(lt.Symlink("l", outside+"/secret"), lt.File("l", "mine"))),
		accept("escape: FIFO over a link", []string{"l |"}, lt.Tar(lt.Symlink("l", outside+"/secret")), lt.Tar(lt.Fifo("l"))),
		accept("escape: device over a link", []string{"l c1:3"}, lt.Tar(lt.Symlink("l", outside+"/secret"), lt.Char("l", 1, 3))),
		accept("escape: xattr and owner of a link", []string{"l -> " + text(outside+"/secret") + ` 5:6 trusted.x="y"`},
			lt.Tar(lt.Symlink("l", outside+"/secret", lt.Owner(5, 6), lt.Xattr("trusted.x", "y")))),
		accept("escape: through proc", []string{"new = x", "proc/ @0", "proc/self/ @0", "proc/self/root -> /"},
			lt.Tar(lt.Symlink("proc/self/root", "/"), lt.File("proc/self/root/new", "x"))),
		accept("escape: name in PAX records", withParents(outside, in+"/new = x"+second),
			raw(fields{name: "innocent", typ: '0', size: 1, pax: records("path", climb+"/new")}, "x")),
		accept("escape: long name of GNU", withParents(outside, in+"/new = x"+second),
			concat(entry(fields{name: "././@LongLink", typ: 'L', size: len(climb) + 5}, climb+"/new\x00"), raw(fields{name: "short", typ: '0', size: 1}, "x"))),
		refuse("escape: loop", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("a", "b"), lt.Symlink("b", "a"), lt.File("a/x", ""))),
		refuse("escape: loop across layers", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("a", "b")), lt.Tar(lt.Symlink("b", "a"), lt.File("a/x", ""))),
		refuse("escape: link to itself", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("a", "a")), lt.Tar(lt.File("a/x", ""))),
		refuse("escape: the root as a file", errdefs.ErrInvalidArgument, lt.Tar(lt.File("..", ""))),
		refuse("escape: the root as a link", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("./", outside))),
	}
}

// linkEscapes lead out by hard links.
func linkEscapes(outside string) []Case {
	climb := up + strings.TrimPrefix(outside, "/")
	return []Case{
		refuse("escape: hard link, absolute", errdefs.ErrInvalidArgument, lt.Tar(lt.Link("l", outside+"/secret"))),
		refuse("escape: hard link, dots", errdefs.ErrInvalidArgument, lt.Tar(lt.Link("l", climb+"/secret"))),
		refuse("escape: hard link above another layer", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.Link("l", climb+"/secret"))),
		refuse("escape: hard link through a link", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("s", outside), lt.Link("l", "s/secret"))),
		refuse("escape: hard link through a link below", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("s", outside)), lt.Tar(lt.Link("l", "s/secret"))),
		refuse("escape: hard link in a linked directory", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("s", outside)), lt.Tar(lt.Link("s/l", outside+"/secret"))),
		{
			Name: "escape: hard link to a link, then written to", Same: []string{"s", "k"},
			Tree:   []string{"k -> " + text(outside+"/secret"), "l = mine", "s -> " + text(outside+"/secret")},
			Layers: [][]byte{lt.Tar(lt.Symlink("s", outside+"/secret"), lt.Link("k", "s"), lt.Link("l", "s"), lt.File("l", "mine"))},
		},
		accept("escape: hard link to a link, then gone through", withParents(outside, strings.TrimPrefix(outside, "/")+"/new = x", "h -> "+text(outside), "s -> "+text(outside)),
			lt.Tar(lt.Symlink("s", outside), lt.Link("h", "s"), lt.File("h/new", "x"))),
		{
			Name: "escape: hard link to what only the layer has there", Same: []string{"l", strings.TrimPrefix(outside, "/") + "/secret"},
			Tree:   withParents(outside, strings.TrimPrefix(outside, "/")+"/secret = mine", "l = mine"),
			Layers: [][]byte{lt.Tar(lt.File(outside+"/secret", "mine"), lt.Link("l", climb+"/secret"))},
		},
	}
}

// removedOutside are whiteouts and opaque markers that lead out.
func removedOutside(outside string) []Case {
	climb := up + strings.TrimPrefix(outside, "/")
	return []Case{
		accept("escape: whiteout, absolute", onBase(), base(), lt.Tar(lt.Whiteout(outside+"/secret"))),
		accept("escape: whiteout, dots", onBase(), base(), lt.Tar(lt.Whiteout(climb+"/secret"))),
		accept("escape: whiteout of the directory", onBase(), base(), lt.Tar(lt.Whiteout(climb))),
		accept("escape: whiteout through a link", onBase("l -> "+text(outside)), base(), lt.Tar(lt.Symlink("l", outside), lt.Whiteout("l/secret"))),
		accept("escape: whiteout through a link below", onBase("l -> "+text(outside)), base(), lt.Tar(lt.Symlink("l", outside)), lt.Tar(lt.Whiteout("l/secret"))),
		accept("escape: whiteout of a link", onBase(), base(), lt.Tar(lt.Symlink("l", outside)), lt.Tar(lt.Whiteout("l"))),
		accept("escape: opaque, absolute", onBase(), base(), lt.Tar(lt.Opaque(outside))),
		accept("escape: opaque, dots", onBase(), base(), lt.Tar(lt.Opaque(climb))),
		accept("escape: opaque through a link", onBase("l -> "+text(outside)), base(), lt.Tar(lt.Symlink("l", outside), lt.Opaque("l"))),
		accept("escape: opaque through a link below", onBase("l -> "+text(climb)), base(), lt.Tar(lt.Symlink("l", climb)), lt.Tar(lt.Opaque("l"))),
		refuse("escape: whiteout of the parent", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("etc/.wh...", ""))),
		refuse("escape: whiteout of itself", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("etc/.wh..", ""))),
		refuse("escape: whiteout of nothing", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File("etc/.wh.", ""))),
		refuse("escape: whiteout as a parent", errdefs.ErrInvalidArgument, base(), lt.Tar(lt.File(".wh.etc/passwd", ""))),
	}
}
