package layer_test

import (
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

func TestReplace(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []chainTest{
		{"a file by a directory", one(lt.Dir("file"), lt.File("file/x", "")), []string{"file/x"}, nil},
		{"a directory by a file", one(lt.File("deep", "now a file")), []string{"deep"}, nil},
		{"a directory by a link", one(lt.Symlink("deep", "etc")), []string{"deep/passwd"}, nil},
		{"a link by a directory", one(lt.Dir("lib"), lt.File("lib/n", "")), []string{"lib/n", "usr/lib/libc"}, []string{"lib/libc"}},
		{"a link by a file", one(lt.File("lib", "")), []string{"lib", "usr/lib/libc"}, nil},
		{"a file by a link to itself", one(lt.Symlink("file", "file")), nil, nil},
		{"a file by a FIFO and a device", one(lt.Fifo("file"), lt.Char("tmp/x", 1, 3)), []string{"file", "tmp/x"}, nil},
		{"a directory merges", one(lt.Dir("etc", lt.Mode(0o700), lt.Owner(1, 2)), lt.File("etc/n", "")), []string{"etc/n", "etc/passwd"}, nil},
		{"a directory loses its xattrs", [][]lt.Entry{{lt.Dir("etc", lt.Xattr("user.a", "1"))}, {lt.Dir("etc", lt.Xattr("user.b", "2"))}}, []string{"etc/passwd"}, nil},
		{"within: file, directory", one(lt.File("deep", ""), lt.Dir("deep"), lt.File("deep/n", "")), []string{"deep/n"}, []string{"deep/er"}},
		{"within: directory, file", one(lt.Dir("deep"), lt.File("deep/n", ""), lt.File("deep", "")), []string{"deep"}, nil},
		{"within: directory, file, directory", one(lt.Dir("deep"), lt.File("deep/n", ""), lt.File("deep", ""), lt.Dir("deep")), []string{"deep"}, []string{"deep/er", "deep/n"}},
		{"within: link, directory", one(lt.Symlink("tmp", "etc"), lt.File("tmp/n", ""), lt.Dir("tmp"), lt.File("tmp/m", "")), []string{"etc/n", "tmp/m"}, []string{"tmp/n", "tmp/x"}},
		{"within: directory, link", one(lt.File("new/n", ""), lt.Symlink("new", "etc"), lt.File("new/m", "")), []string{"etc/m"}, []string{"etc/n"}},
		{"within: link to itself's directory", one(lt.Dir("a"), lt.Symlink("a/l", "."), lt.File("a/l/x", ""), lt.Dir("a/l/l"), lt.File("a/l/y", "")), []string{"a/x", "a/l/y"}, []string{"a/y"}},
		{"duplicates: last wins", one(lt.File("file", "1", lt.Mode(0o4755)), lt.File("file", "2", lt.Xattr("user.x", "y")), lt.File("file", "3", lt.Mode(0o600))), []string{"file"}, nil},
		{"duplicates: directory keeps what is in it", one(lt.Dir("d", lt.Xattr("user.x", "1")), lt.File("d/f", ""), lt.Dir("d", lt.Mode(0o700))), []string{"d/f"}, nil},
		{"implied, then described", one(lt.File("tmp/n", ""), lt.Dir("tmp", lt.Mode(0o700))), []string{"tmp/n", "tmp/x"}, nil},
		{"with a name that is a hard link", [][]lt.Entry{{lt.Link("tmp/l", "file")}, {lt.File("file", "new")}}, []string{"tmp/l"}, nil},
	} {
		tt.run(t)
	}
}

func TestImpliedDirectories(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []chainTest{
		{"mode of /tmp stays", one(lt.File("tmp/n", "")), []string{"tmp/n", "tmp/x"}, nil},
		{"all the way", one(lt.File("usr/lib/new/er/n", "")), []string{"usr/lib/new/er/n", "usr/lib/libc"}, nil},
		{"link below", one(lt.File("lib/n", ""), lt.Dir("lib/d"), lt.File("lib/d/m", "")), []string{"usr/lib/n", "lib/libc", "lib/d/m"}, nil},
		{"absolute link below", one(lt.File("abs/n", "")), []string{"etc/n"}, nil},
		{"link below to where it lies itself", [][]lt.Entry{{lt.Symlink("a", "."), lt.Symlink("b", "a")}, {lt.File("a/a/a/f", ""), lt.File("a/b/a/g", ""), lt.File("b/b/h", "")}}, []string{"f", "g", "h"}, nil},
		{"removal through a link below to where it lies itself", [][]lt.Entry{{lt.Symlink("a", "."), lt.File("f", "")}, {lt.Whiteout("a/a/f")}}, []string{"a"}, []string{"f"}},
		{"two links below, the later entry in the first", [][]lt.Entry{{lt.Symlink("l0", "usr"), lt.Symlink("l1", "usr")}, {lt.File("l1/n", "old"), lt.File("l0/n", "new")}}, []string{"usr/n"}, nil},
		{"dangling link below", one(lt.File("dangling/n", "")), []string{"not/there/n"}, nil},
		{"link below and its target named", one(lt.Dir("usr/lib", lt.Mode(0o700)), lt.File("lib/n", ""), lt.File("usr/lib/m", "")), []string{"usr/lib/n", "usr/lib/m"}, nil},
		{"one file by two names, link last", one(lt.File("usr/lib/n", "1"), lt.File("lib/n", "2")), nil, nil},
		{"one file by two names, link first", one(lt.File("lib/n", "1"), lt.File("usr/lib/n", "2")), nil, nil},
		{"one directory by two names", one(lt.Dir("lib/d", lt.Mode(0o700)), lt.File("usr/lib/d/n", ""), lt.File("lib/d/m", "")), []string{"usr/lib/d/n", "usr/lib/d/m"}, nil},
		{"directory and file by two names", one(lt.File("usr/lib/d", ""), lt.Dir("lib/d"), lt.File("lib/d/m", "")), []string{"usr/lib/d/m"}, nil},
		{"file and directory by two names", one(lt.Dir("usr/lib/d"), lt.File("usr/lib/d/m", ""), lt.File("lib/d", "")), []string{"usr/lib/d"}, nil},
		{"whiteout and file by two names", one(lt.Whiteout("usr/lib/libc"), lt.File("lib/libc", "new")), []string{"usr/lib/libc"}, nil},
		{"file and whiteout by two names", one(lt.Whiteout("lib/libc"), lt.File("usr/lib/libc", "new")), []string{"usr/lib/libc"}, nil},
		{"whiteout and directory by two names", [][]lt.Entry{{lt.File("usr/lib/d/old", "")}, {lt.Whiteout("lib/d"), lt.Dir("usr/lib/d")}}, []string{"usr/lib/d"}, []string{"usr/lib/d/old"}},
		{"directory and whiteout by two names", [][]lt.Entry{{lt.File("usr/lib/d/old", "")}, {lt.Whiteout("usr/lib/d"), lt.Dir("lib/d")}}, []string{"usr/lib/d"}, []string{"usr/lib/d/old"}},
		{"whiteout and implied directory by two names", [][]lt.Entry{{lt.Dir("usr/lib/d", lt.Mode(0o700)), lt.File("usr/lib/d/old", "")}, {lt.Whiteout("usr/lib/d"), lt.File("lib/d/n", "")}}, []string{"usr/lib/d/n"}, []string{"usr/lib/d/old"}},
		{"implied directory and whiteout by two names", [][]lt.Entry{{lt.Dir("usr/lib/d", lt.Mode(0o700)), lt.File("usr/lib/d/old", "")}, {lt.Whiteout("lib/d"), lt.File("usr/lib/d/n", "")}}, []string{"usr/lib/d/n"}, []string{"usr/lib/d/old"}},
		{"described by one name, implied by the other", [][]lt.Entry{{lt.Dir("usr/lib/d", lt.Mode(0o700))}, {lt.Dir("lib/d", lt.Mode(0o711)), lt.File("usr/lib/d/n", "")}}, []string{"usr/lib/d/n"}, nil},
		{"one file by two links", [][]lt.Entry{{lt.Symlink("l1", "usr/lib"), lt.Symlink("l2", "usr/lib")}, {lt.Dir("l2/d"), lt.File("l2/d/f", "1"), lt.Dir("l1/d"), lt.File("l1/d/f", "2")}}, []string{"usr/lib/d/f"}, nil},
		{"useless whiteout in what moves", one(lt.Dir("lib/new"), lt.Whiteout("lib/new/x")), []string{"usr/lib/new"}, nil},
		{"useless whiteout behind a dangling link", one(lt.File("dangling/n", ""), lt.Whiteout("dangling/x")), []string{"not/there/n"}, nil},
		{"whiteout and whiteout inside, by two names", [][]lt.Entry{{lt.File("usr/lib/d/old", "")}, {lt.Whiteout("lib/d"), lt.Whiteout("usr/lib/d/old")}}, nil, []string{"usr/lib/d"}},
		{"whiteout inside and whiteout, by two names", [][]lt.Entry{{lt.File("usr/lib/d/old", "")}, {lt.Whiteout("lib/d/old"), lt.Whiteout("usr/lib/d")}}, nil, []string{"usr/lib/d"}},
		{"file and whiteout inside, by two names", [][]lt.Entry{{lt.File("usr/lib/d/old", "")}, {lt.Whiteout("usr/lib/d/old"), lt.File("lib/d", "")}}, []string{"usr/lib/d"}, nil},
		{"through a link to its own directory", [][]lt.Entry{{lt.Dir("c"), lt.Symlink("c/c", "/c"), lt.File("c/f", "")}, {lt.Whiteout("c/c/c"), lt.File("c/n", "")}}, []string{"c/f", "c/n"}, []string{"c/c"}},
		{"through a link to its own name", [][]lt.Entry{{lt.Dir("c"), lt.Symlink("c/c", "."), lt.File("c/f", "")}, {lt.File("c/c/c", "now a file"), lt.File("c/n", "")}}, []string{"c/f", "c/n", "c/c"}, nil},
		{"opaque by the other name", one(lt.Opaque("lib"), lt.File("usr/lib/n", "")), []string{"usr/lib/n"}, []string{"usr/lib/libc"}},
		{"link in the layer to a link below", one(lt.Symlink("l", "lib"), lt.File("l/n", "")), []string{"usr/lib/n"}, nil},
		{"links one behind the other", [][]lt.Entry{{lt.Symlink("usr/lib/d", "../../deep")}, {lt.File("lib/d/er/n", "")}}, []string{"deep/er/n", "deep/er/y"}, nil},
		{"link to the root", [][]lt.Entry{{lt.Symlink("r", "/")}, {lt.File("r/etc/n", "")}}, []string{"etc/n", "etc/passwd"}, nil},
		{"link out of the root", [][]lt.Entry{{lt.Symlink("r", "../../../../etc")}, {lt.File("r/n", "")}}, []string{"etc/n"}, nil},
		{"whiteout of the parent in between", [][]lt.Entry{{lt.Whiteout("deep")}, {lt.File("deep/er/n", "")}}, []string{"deep/er/n"}, []string{"deep/er/y"}},
	} {
		tt.run(t)
	}
}
