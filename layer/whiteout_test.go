package layer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// base is a layer with a bit of everything below it.
var base = lt.Tar(
	lt.Dir("etc", lt.Mode(0o750)), lt.File("etc/passwd", "root"), lt.File("etc/group", "wheel"),
	lt.Dir("usr"), lt.Dir("usr/lib", lt.Mode(0o711), lt.Owner(3, 4)), lt.File("usr/lib/libc", "elf"),
	lt.Symlink("lib", "usr/lib"), lt.Symlink("abs", "/etc"), lt.Symlink("dangling", "not/there"),
	lt.Dir("tmp", lt.Mode(0o1777)), lt.File("tmp/x", "x"), lt.Dir("deep"), lt.Dir("deep/er"), lt.File("deep/er/y", "y"),
	lt.File("file", "f"),
)

type chainTest struct {
	name   string
	layers [][]lt.Entry // on top of base
	have   []string     // a few names that must be there, for the reader and against an oracle that errs
	gone   []string
}

func (tt chainTest) run(t *testing.T) {
	t.Run(tt.name, func(t *testing.T) {
		tars := [][]byte{base}
		for _, l := range tt.layers {
			tars = append(tars, lt.Tar(l...))
		}
		sameAsOracle(t, tars...)
		for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
			dir, err := unpack(t, tars...)
			must(t, err)
			for _, name := range tt.have {
				if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
					t.Errorf("is not there: %v", err)
				}
			}
			for _, name := range tt.gone {
				if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
					t.Errorf("%q is still there", name)
				}
			}
		}
	})
}

func one(entries ...lt.Entry) [][]lt.Entry { return [][]lt.Entry{entries} }

func TestWhiteouts(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []chainTest{
		{"a file", one(lt.Whiteout("etc/passwd")), []string{"etc/group"}, []string{"etc/passwd"}},
		{"a directory", one(lt.Whiteout("deep")), []string{"etc"}, []string{"deep"}},
		{"a link, not its target", one(lt.Whiteout("lib")), []string{"usr/lib/libc"}, []string{"lib"}},
		{"through a link", one(lt.Whiteout("lib/libc")), []string{"lib", "usr/lib"}, []string{"usr/lib/libc"}},
		{"through an absolute link", one(lt.Whiteout("abs/passwd")), []string{"etc/group"}, []string{"etc/passwd"}},
		{"through a dangling link", one(lt.Whiteout("dangling/x")), []string{"dangling"}, []string{"not"}},
		{"in a directory that is nowhere", one(lt.Whiteout("no/such/x")), nil, []string{"no"}},
		{"of a name that is nowhere", one(lt.Whiteout("etc/none")), []string{"etc/passwd"}, []string{"etc/none"}},
		{"below a file", one(lt.Whiteout("file/x")), []string{"file"}, nil},
		{"below a file of this layer", one(lt.File("etc", ""), lt.Whiteout("etc/x")), []string{"etc"}, nil},
		{"before the layer adds it", one(lt.Whiteout("file"), lt.File("file", "new")), []string{"file"}, nil},
		{"after the layer added it", one(lt.File("file", "new"), lt.Whiteout("file")), []string{"file"}, nil},
		{"before a directory", one(lt.Whiteout("deep"), lt.Dir("deep")), []string{"deep"}, []string{"deep/er"}},
		{"after a directory", one(lt.Dir("deep"), lt.File("deep/new", ""), lt.Whiteout("deep")), []string{"deep/new"}, []string{"deep/er"}},
		{"before an implied directory", one(lt.Whiteout("tmp"), lt.File("tmp/n", "")), []string{"tmp/n"}, []string{"tmp/x"}},
		{"after an implied directory", one(lt.File("tmp/n", ""), lt.Whiteout("tmp")), []string{"tmp/n"}, []string{"tmp/x"}},
		{"after implied directories", one(lt.File("deep/er/n", ""), lt.Whiteout("deep")), []string{"deep/er/n"}, []string{"deep/er/y"}},
		{"after a whiteout inside", one(lt.Whiteout("deep/er/y"), lt.Whiteout("deep")), nil, []string{"deep"}},
		{"before a whiteout inside", one(lt.Whiteout("deep"), lt.Whiteout("deep/er/y")), nil, []string{"deep"}},
		{"twice", one(lt.Whiteout("deep"), lt.Whiteout("deep")), nil, []string{"deep"}},
		{"in a directory of this layer only", one(lt.Dir("new"), lt.Whiteout("new/x")), []string{"new"}, []string{"new/x"}},
		{"in the layer above what it adds", [][]lt.Entry{{lt.File("file", "2")}, {lt.Whiteout("file")}}, nil, []string{"file"}},
		{"and back in the next layer", [][]lt.Entry{{lt.Whiteout("deep")}, {lt.File("deep/n", "")}}, []string{"deep/n"}, []string{"deep/er"}},
		{"and back as a file", [][]lt.Entry{{lt.Whiteout("deep")}, {lt.File("deep", "")}}, []string{"deep"}, nil},
		{"as a directory or a link", one(lt.Dir("etc/.wh.passwd"), lt.Link("etc/.wh.group", ".wh..wh.aufs")), nil, []string{"etc/passwd", "etc/group"}},
		{"of aufs", one(lt.File(".wh..wh.aufs", ""), lt.Dir(".wh..wh.plnk"), lt.File(".wh..wh.plnk/4.5", ""), lt.Dir(".wh..wh.orph")), []string{"etc/passwd"}, []string{".wh..wh.aufs", ".wh..wh.plnk"}},
	} {
		tt.run(t)
	}
}

func TestOpaque(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []chainTest{
		{"before", one(lt.Opaque("etc"), lt.File("etc/new", "")), []string{"etc/new"}, []string{"etc/passwd"}},
		{"after the entries", one(lt.File("etc/new", ""), lt.Opaque("etc")), []string{"etc/new"}, []string{"etc/passwd"}},
		{"after a file that is below, too", one(lt.File("etc/passwd", "new"), lt.Opaque("etc")), []string{"etc/passwd"}, []string{"etc/group"}},
		{"after an implied directory", one(lt.File("deep/er/n", ""), lt.Opaque("deep")), []string{"deep/er/n"}, []string{"deep/er/y"}},
		{"before an implied directory", one(lt.Opaque("deep"), lt.File("deep/er/n", "")), []string{"deep/er/n"}, []string{"deep/er/y"}},
		{"after a directory", one(lt.Dir("deep/er", lt.Mode(0o700)), lt.Opaque("deep")), []string{"deep/er"}, []string{"deep/er/y"}},
		{"with whiteouts inside", one(lt.Opaque("etc"), lt.Whiteout("etc/passwd"), lt.Whiteout("etc/none")), []string{"etc"}, []string{"etc/passwd", "etc/none"}},
		{"after whiteouts inside", one(lt.Whiteout("etc/passwd"), lt.Whiteout("deep/er/y"), lt.Opaque("etc"), lt.Opaque("deep")), []string{"etc"}, []string{"etc/group", "deep/er"}},
		{"of a directory that is nowhere", one(lt.Opaque("no/such")), nil, []string{"no"}},
		{"of a file", one(lt.Opaque("file")), []string{"file"}, nil},
		{"through a link", one(lt.Opaque("lib")), []string{"lib", "usr/lib"}, []string{"usr/lib/libc"}},
		{"of a directory over a link", one(lt.Dir("new"), lt.Opaque("new"), lt.Opaque("usr/lib"), lt.File("lib/n", "")), []string{"usr/lib/n"}, []string{"usr/lib/libc"}},
		{"of the root", one(lt.File("etc/new", ""), lt.Opaque(""), lt.Dir("only")), []string{"etc/new", "only"}, []string{"etc/passwd", "usr", "file", "lib"}},
		{"of the root, twice", [][]lt.Entry{{lt.Opaque("."), lt.File("a", "")}, {lt.File("b", ""), lt.Opaque("")}}, []string{"b"}, []string{"a", "etc"}},
		{"of the root, of a layer with whiteouts", one(lt.Whiteout("etc"), lt.Whiteout("tmp/x"), lt.Opaque("")), nil, []string{"etc", "tmp", "file"}},
	} {
		tt.run(t)
	}
}

// A directory that replaced a link is written by Docker as a directory with an opaque marker in it. That and any
// whiteout mean the new directory, not where the old link led. (The oracle, which removes first, would follow it.)
func TestRemovalsInDirectoryOverLink(t *testing.T) {
	testutil.RequireRoot(t)
	for _, removal := range []lt.Entry{lt.Opaque("lib"), lt.Whiteout("lib/libc")} {
		tars := [][]byte{base, lt.Tar(lt.Dir("lib"), removal, lt.File("lib/n", ""))}
		for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
			dir, err := unpack(t, tars...)
			must(t, err)
			for _, name := range []string{"usr/lib/libc", "lib/n"} {
				if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
					t.Errorf("%v: %v", removal, err)
				}
			}
			if names, _ := os.ReadDir(filepath.Join(dir, "lib")); len(names) != 1 {
				t.Errorf("%v: %v", removal, names)
			}
		}
	}
}

// Whiteouts with nothing below are broken names in what overlayfs shows of a directory that it need not merge.
func TestUselessWhiteoutsGo(t *testing.T) {
	testutil.RequireRoot(t)
	sameAsOracle(t, lt.Tar(lt.Whiteout("root"), lt.Dir("d"), lt.Whiteout("d/x"), lt.Whiteout("implied/x"), lt.Opaque("implied/too")))
}
