package layer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// watched is a root with a directory beside it that nothing may change, and a layer below that tries to lead there.
func watched(t *testing.T) (root, outside string) {
	t.Helper()
	top := tempDir(t)
	root, outside = filepath.Join(top, "a", "root"), filepath.Join(top, "etc")
	must(t, os.MkdirAll(root, 0o755))
	must(t, os.Mkdir(outside, 0o755))
	must(t, os.WriteFile(outside+"/passwd", []byte("host"), 0o600))
	hash := testutil.TreeHash(t, outside)
	t.Cleanup(func() {
		if testutil.TreeHash(t, outside) != hash {
			t.Error("the directory outside was changed")
		}
		names, err := os.ReadDir(top)
		if err != nil || len(names) != 2 {
			t.Errorf("beside the root: %v, %v", names, err)
		}
	})
	return root, outside
}

func TestNamesStayInside(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name    string
		entries func(outside string) []lt.Entry
		made    string
	}{
		{"absolute", func(o string) []lt.Entry { return []lt.Entry{lt.File(o+"/new", "")} }, "*/*/etc/new"},
		{"dots", func(string) []lt.Entry { return []lt.Entry{lt.File("../../etc/new", "")} }, "etc/new"},
		{"dots in the middle", func(string) []lt.Entry { return []lt.Entry{lt.File("x/../../../etc/new", "")} }, "etc/new"},
		{"absolute link", func(o string) []lt.Entry { return []lt.Entry{lt.Symlink("l", o), lt.File("l/new", "")} }, "*/*/etc/new"},
		{"relative link", func(string) []lt.Entry {
			return []lt.Entry{lt.Symlink("l", "../../etc"), lt.File("l/new", ""), lt.Whiteout("l/passwd"), lt.Opaque("l")}
		}, "etc/new"},
		{"link behind link", func(string) []lt.Entry {
			return []lt.Entry{lt.Dir("d"), lt.Symlink("d/up", ".."), lt.Symlink("l", "d/up/../../d/up/../etc"), lt.File("l/new", "")}
		}, "etc/new"},
		{"last component", func(o string) []lt.Entry {
			return []lt.Entry{lt.Symlink("f", o+"/passwd"), lt.File("f", "mine"), lt.Symlink("g", o), lt.Dir("g", lt.Mode(0o777))}
		}, "f"},
		{"hard link target", func(o string) []lt.Entry {
			return []lt.Entry{lt.File("etc/passwd", "mine"), lt.Link("f", "../../etc/passwd"), lt.Symlink("l", o), lt.Link("g", "l"), lt.File("g", "mine")}
		}, "f"},
		{"whiteouts", func(o string) []lt.Entry {
			return []lt.Entry{lt.Symlink("l", o), lt.Whiteout("l"), lt.Whiteout("../../etc/passwd"), lt.Whiteout(o + "/passwd"), lt.File("x", "")}
		}, "x"},
	} {
		for _, o := range []layer.ApplyOptions{{}, onOverlay} {
			t.Run(fmt.Sprintf("%s, alone: %v", tt.name, o.Whiteouts != nil), func(t *testing.T) {
				root, outside := watched(t)
				_, err := applyWith(t, root, lt.Tar(tt.entries(outside)...), o)
				must(t, err)
				if found, _ := filepath.Glob(filepath.Join(root, tt.made)); len(found) == 0 {
					t.Errorf("%s was not made: %v", tt.made, lt.List(t, root))
				}
			})
		}
	}
}

func TestStrangeNames(t *testing.T) {
	testutil.RequireRoot(t)
	long := strings.Repeat("n", 255)
	sameAsOracle(t, lt.Tar(
		lt.Dir("./"), lt.File("new\nline", ""), lt.File("tab\tquote\"back\\slash", ""), lt.File("caf\xe9", ""), lt.Dir("\xff\xfe"),
		lt.File("\xff\xfe/x", ""), lt.File(long+"/"+long, ""), lt.Symlink("s\xff", "t\xff\n"), lt.File(" ", ""), lt.File("...", ""), lt.File("-rf", ""),
		lt.Dir("."+strings.Repeat("/d", 250)), lt.Symlink("longlink", strings.Repeat("x/", 2000)),
	), lt.Tar(lt.Whiteout("new\nline"), lt.Whiteout("caf\xe9"), lt.Whiteout("\xff\xfe/x")))
}

// textACL is a file as "tar --acls" writes it.
func textACL() lt.Entry {
	e := lt.File("acl", "")
	e.Header.PAXRecords = map[string]string{"SCHILY.acl.access": "user::rw-,user:lisa:r--,group::r--,mask::r--,other::---"}
	return e
}

func TestRefusals(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name    string
		entries []lt.Entry
		says    []string
	}{
		{"long component", []lt.Entry{lt.File("d/"+strings.Repeat("n", 256), "")}, []string{"nnn", "255 bytes"}},
		{"deep", []lt.Entry{lt.File(strings.Repeat("d/", 300)+"x", "")}, []string{"deeper"}},
		{"whiteout of nothing", []lt.Entry{lt.File("d/.wh.", "")}, []string{`"d/.wh."`, "whiteout"}},
		{"whiteout of the parent", []lt.Entry{lt.File("d/.wh...", "")}, []string{`"d/.wh..."`, "whiteout"}},
		{"whiteout of the root", []lt.Entry{lt.File(".wh..", "")}, []string{`".wh.."`, "whiteout"}},
		{"whiteout as a parent", []lt.Entry{lt.File(".wh.d/x", "")}, []string{`".wh.d/x"`}},
		{"file as a parent", []lt.Entry{lt.File("f", ""), lt.File("f/x", "")}, []string{`"f/x"`, `"f"`, "not a directory"}},
		{"link to a file as a parent", []lt.Entry{lt.File("f", ""), lt.Symlink("l", "f"), lt.File("l/x", "")}, []string{`"l/x"`, `"f"`, "not a directory"}},
		{"loop as a parent", []lt.Entry{lt.Symlink("a", "b"), lt.Symlink("b", "a"), lt.File("a/x", "")}, []string{`"a/x"`, "loop"}},
		{"the root as a file", []lt.Entry{lt.File("..", "")}, []string{"root"}},
		{"overlay's opaque", []lt.Entry{lt.Dir("d", lt.Xattr("trusted.overlay.opaque", "y"))}, []string{`"d/"`, "trusted.overlay.opaque"}},
		{"overlay's redirect", []lt.Entry{lt.Dir("d", lt.Xattr("user.overlay.redirect", "/etc"))}, []string{"user.overlay.redirect"}},
		{"overlay's xattr on the root", []lt.Entry{lt.Dir("./", lt.Xattr("trusted.overlay.x", "y"))}, []string{"trusted.overlay.x"}},
		{"overlay's whiteout", []lt.Entry{lt.Char("dev/x", 0, 0)}, []string{`"dev/x"`, "0:0"}},
		{"device number", []lt.Entry{lt.Block("dev/x", 1<<12, 1)}, []string{"4096:1"}},
		{"owner -1", []lt.Entry{lt.File("f", "", lt.Owner(1<<32-1, 0))}, []string{"4294967295"}},
		{"ACL as text", []lt.Entry{textACL()}, []string{`"acl"`, "SCHILY.acl.access"}},
		{"unknown type", []lt.Entry{{Header: header('Z', "z")}}, []string{`"z"`, "'Z'"}},
		{"contiguous file", []lt.Entry{{Header: header('7', "z")}}, []string{"'7'"}},
	} {
		for _, o := range []layer.ApplyOptions{{}, onOverlay} {
			t.Run(fmt.Sprintf("%s, alone: %v", tt.name, o.Whiteouts != nil), func(t *testing.T) {
				_, err := applyWith(t, tempDir(t), lt.Tar(tt.entries...), o)
				if !errors.Is(err, errdefs.ErrInvalidArgument) {
					t.Fatalf("got %v", err)
				}
				for _, s := range tt.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("%q does not say %s", err, s)
					}
				}
			})
		}
	}
}

// A parent that is a file in the layers below is refused out of order, too.
func TestParentIsLowerFile(t *testing.T) {
	testutil.RequireRoot(t)
	for _, unpack := range []func(testing.TB, ...[]byte) (string, error){inOrder, outOfOrder} {
		_, err := unpack(t, base, lt.Tar(lt.File("file/x", "")))
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), `"file"`) {
			t.Errorf("got %v", err)
		}
	}
}
