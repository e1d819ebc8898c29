package layer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

func TestHardLinks(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		chainTest
		same []string // names that must be one file in both ways
	}{
		{chainTest{name: "within the layer", layers: one(lt.File("a", "1"), lt.Link("b", "a"), lt.Link("etc/c", "/b"))}, []string{"a", "b", "etc/c"}},
		{chainTest{name: "metadata of the link do not count", layers: one(lt.File("a", "1", lt.Mode(0o4755), lt.Owner(1, 2)), lt.Link("b", "a", lt.Mode(0), lt.Owner(9, 9)))}, []string{"a", "b"}},
		{chainTest{name: "to a lower file", layers: one(lt.Link("a", "file"))}, []string{"a", "file"}},
		{chainTest{name: "two to a lower file", layers: one(lt.Link("a", "etc/passwd"), lt.Link("b", "./etc/passwd"), lt.Link("usr/c", "a"))}, []string{"a", "b", "usr/c", "etc/passwd"}},
		{chainTest{name: "to a lower file through a lower link", layers: one(lt.Link("a", "lib/libc"))}, []string{"a", "usr/lib/libc"}},
		{chainTest{name: "to a lower file through a link of the layer", layers: one(lt.Symlink("l", "etc"), lt.Link("a", "l/passwd"))}, []string{"a", "etc/passwd"}},
		{chainTest{name: "in an implied directory that is a link below", layers: one(lt.Link("lib/a", "lib/libc"))}, []string{"usr/lib/a", "usr/lib/libc"}},
		{chainTest{name: "to a file of the layer through a lower link", layers: one(lt.File("usr/lib/n", ""), lt.Link("a", "lib/n"))}, []string{"a", "usr/lib/n"}},
		{chainTest{name: "to a link of the layer", layers: one(lt.Symlink("s", "nowhere"), lt.Link("a", "s"))}, []string{"a", "s"}},
		{chainTest{name: "to a lower link", layers: one(lt.Link("a", "lib"))}, []string{"a", "lib"}},
		{chainTest{name: "to a FIFO and a device", layers: one(lt.Fifo("f"), lt.Link("a", "f"), lt.Block("dev", 7, 1), lt.Link("b", "dev"))}, []string{"a", "f"}},
		{chainTest{name: "to a lower FIFO", layers: [][]lt.Entry{{lt.Fifo("f", lt.Mode(0o640))}, {lt.Link("a", "f")}}}, []string{"a", "f"}},
		{chainTest{name: "to a later entry", layers: one(lt.Link("a", "b"), lt.File("b", "1"))}, []string{"a", "b"}},
		{chainTest{name: "through a later link", layers: one(lt.Link("a", "l/passwd"), lt.Symlink("l", "etc"))}, []string{"a", "etc/passwd"}},
		{chainTest{name: "to a later link to a lower file", layers: one(lt.Link("a", "b"), lt.Link("b", "file"))}, []string{"a", "b", "file"}},
		{chainTest{name: "before the target is replaced", layers: one(lt.Link("a", "file"), lt.File("file", "new"))}, nil},
		{chainTest{name: "two before the target is replaced", layers: one(lt.Link("a", "file"), lt.Link("b", "file"), lt.File("file", "new"))}, []string{"a", "b"}},
		{chainTest{name: "after the target is replaced", layers: one(lt.File("file", "new"), lt.Link("a", "file"))}, []string{"a", "file"}},
		{chainTest{name: "to itself", layers: one(lt.Link("file", "file"))}, nil},
		{chainTest{name: "to itself in the layer", layers: one(lt.File("a", "1"), lt.Link("a", "a"), lt.Whiteout("a"))}, nil},
		{chainTest{name: "to itself, not to be removed", layers: one(lt.Whiteout("tmp/x"), lt.Link("./file", "/file"))}, nil},
		{chainTest{name: "through a link that changes", layers: one(lt.File("d/x", "1"), lt.File("e/x", "2"), lt.Symlink("l", "d"), lt.Link("a", "l/x"), lt.Symlink("l", "e"), lt.Link("b", "l/x"))}, []string{"b", "e/x"}},
		{chainTest{name: "through a directory that changes", layers: one(lt.File("d/x", "1"), lt.Link("a", "d/x"), lt.File("d", ""), lt.File("d", ""), lt.Dir("d"), lt.File("d/x", "2"), lt.Link("b", "d/x"))}, []string{"b", "d/x"}},
		{chainTest{name: "instead of a lower file", layers: one(lt.Link("tmp/x", "file"))}, []string{"tmp/x", "file"}},
		{chainTest{name: "instead of a directory", layers: one(lt.Link("deep", "file"))}, []string{"deep", "file"}},
	} {
		tt.run(t)
		t.Run(tt.name+", one file", func(t *testing.T) {
			tars := [][]byte{base}
			for _, l := range tt.layers {
				tars = append(tars, lt.Tar(l...))
			}
			for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
				dir, err := unpack(t, tars...)
				must(t, err)
				for _, name := range tt.same {
					sameFile(t, filepath.Join(dir, tt.same[0]), filepath.Join(dir, name))
				}
			}
		})
	}
}

// A link whose target is nowhere does not matter when a later entry takes its place.
func TestHardLinksReplaced(t *testing.T) {
	testutil.RequireRoot(t)
	for _, later := range []lt.Entry{lt.File("d/a", "1"), lt.Dir("d/a"), lt.Symlink("d/a", "x"), lt.File("d", ""), lt.Link("d/a", "file")} {
		tars := [][]byte{base, lt.Tar(lt.Link("d/a", "nowhere"), later)}
		for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
			if _, err := unpack(t, tars...); err != nil {
				t.Errorf("%v: %v", later, err)
			}
		}
	}
}

// A hard link keeps the lower file that a later entry hides, and does not bring its old name back. (The oracle, which
// removes first, finds no target.)
func TestHardLinksThenHidden(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		target string
		hide   lt.Entry
	}{
		{"file", lt.Whiteout("file")},
		{"file", lt.Opaque("")},
		{"etc/passwd", lt.Whiteout("etc")},
		{"etc/passwd", lt.Opaque("etc")},
		{"etc/passwd", lt.Opaque("")},
		{"lib/libc", lt.Opaque("usr/lib")},
	} {
		tars := [][]byte{base, lt.Tar(lt.Link("new/a", tt.target), lt.Link("b", tt.target), tt.hide)}
		for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
			dir, err := unpack(t, tars...)
			must(t, err)
			sameFile(t, dir+"/new/a", dir+"/b")
			if data, err := os.ReadFile(dir + "/b"); err != nil || len(data) == 0 {
				t.Errorf("%v: %q, %v", tt, data, err)
			}
			if _, err := os.Stat(filepath.Join(dir, tt.target)); err == nil {
				t.Errorf("%v: the target is back", tt)
			}
		}
	}
}

func sameFile(t *testing.T, a, b string) {
	t.Helper()
	fa, err := os.Lstat(a)
	must(t, err)
	fb, err := os.Lstat(b)
	must(t, err)
	if !os.SameFile(fa, fb) {
		t.Errorf("%s and %s are two files", a, b)
	}
}

func TestHardLinksRefused(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name    string
		entries []lt.Entry
		says    []string
	}{
		{"to nowhere", []lt.Entry{lt.Link("a", "no/where")}, []string{`"a"`, `"no/where"`, "neither in this layer nor below"}},
		{"outside", []lt.Entry{lt.Link("a", "../../../../etc/hostname")}, []string{`"a"`, `"etc/hostname"`, "neither"}},
		{"to each other", []lt.Entry{lt.Link("a", "b"), lt.Link("b", "a")}, []string{`"a"`, `"b"`, "neither"}},
		{"to itself, which is nowhere", []lt.Entry{lt.Link("a", "a")}, []string{`"a"`, "neither"}},
		{"to a whiteout", []lt.Entry{lt.Whiteout("no"), lt.Link("a", "no")}, []string{`"a"`, `"no"`, "neither"}},
		{"below a file", []lt.Entry{lt.Link("a", "file/x")}, []string{`"a"`, `"file/x"`, "neither"}},
		{"to a directory", []lt.Entry{lt.Dir("d"), lt.Link("a", "d")}, []string{`"a"`, `"d"`, "directory"}},
		{"to a lower directory", []lt.Entry{lt.Link("a", "etc")}, []string{`"a"`, `"etc"`, "directory"}},
		{"to the root", []lt.Entry{lt.Link("a", "..")}, []string{`"a"`, `".."`, "root"}},
		{"into what it replaces", []lt.Entry{lt.Link("etc", "etc/passwd2")}, []string{`"etc"`, `"etc/passwd2"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tars := [][]byte{base, lt.Tar(tt.entries...)}
			for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
				_, err := unpack(t, tars...)
				if !errors.Is(err, errdefs.ErrInvalidArgument) {
					t.Fatalf("got %v", err)
				}
				for _, s := range tt.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("%q does not say %s", err, s)
					}
				}
			}
		})
	}
}

// A hard link to a lower file copies the file up with everything that it has, and leaves the layer below as it was.
func TestHardLinkCopiesUpAll(t *testing.T) {
	testutil.RequireRoot(t)
	lower := tempDir(t)
	must(t, lt.Apply(lower, lt.Tar(
		lt.Dir("bin", lt.Mode(0o711)),
		lt.File("bin/ping", strings.Repeat("x", 100<<10), lt.Mode(0o6755), lt.Owner(70000, 4_294_967_294),
			lt.Xattr("security.capability", capV2), lt.Xattr("user.x", "y")),
		lt.File("sparse", ""),
	)))
	must(t, os.Truncate(lower+"/sparse", 10<<20))
	f, err := os.OpenFile(lower+"/sparse", os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("data"), 5<<20)
	must(t, errors.Join(err, f.Close()))
	before := testutil.TreeHash(t, lower)

	upper := tempDir(t)
	needs := applyAlone(t, upper, lt.Tar(lt.Link("alias", "bin/ping"), lt.Link("hole", "sparse")))
	if len(needs.Links) != 2 || needs.Empty() {
		t.Fatalf("%+v", needs)
	}
	must(t, settle(t, upper, needs, mount(t, lower)))
	if diff := lt.Diff(lt.List(t, upper+"/bin"), lt.List(t, lower+"/bin")); diff != "" {
		t.Error(diff)
	}
	sameFile(t, upper+"/alias", upper+"/bin/ping")
	sameFile(t, upper+"/hole", upper+"/sparse")
	var st unix.Stat_t
	must(t, unix.Stat(upper+"/hole", &st))
	if st.Size != 10<<20 || st.Blocks*512 > 1<<20 {
		t.Errorf("copied %d blocks of a sparse file", st.Blocks)
	}
	if data, err := os.ReadFile(upper + "/hole"); err != nil || string(data[5<<20:5<<20+4]) != "data" {
		t.Error("the bytes of the sparse file are not there")
	}
	if testutil.TreeHash(t, lower) != before {
		t.Error("the layer below was changed")
	}
}
