package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
)

var noOptions layer.DiffOptions

// longestName is one of which a whiteout has a longer name than a file can have.
var longestName = strings.Repeat("n", 255)

// twins is a tree in which every file has two names, and one has a long one.
func twins(root string) {
	for _, dir := range []string{"", "d", "d/e"} {
		_ = os.Mkdir(filepath.Join(root, dir), 0o755)
		for _, name := range []string{"f", "g"} {
			path := filepath.Join(root, dir, name)
			_ = os.WriteFile(path, []byte(name), 0o644)
			_ = os.Link(path, path+"2")
			_ = os.Chtimes(path, time.Unix(5, 5), time.Unix(5, 5))
		}
	}
	_ = cp(root+"/f", root+"/d/e/alone")
	_ = cp(root+"/f", root+"/d/"+longestName)
}

// namesOf are the names in a tar, in order.
func namesOf(t testing.TB, data []byte) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(data))
	for h, err := r.Next(); !errors.Is(err, io.EOF); h, err = r.Next() {
		must(t, err)
		name := h.Name
		if h.Typeflag == tar.TypeLink {
			name += " = " + h.Linkname
		}
		names = append(names, name)
	}
	return names
}

// TestDiff has the cases that chance does not find, with all that is in the tar, and what people see.
func TestDiff(t *testing.T) {
	testutil.RequireRoot(t)
	for _, c := range []struct {
		name    string
		change  func(root string) error
		overlay []string // names in the tar; those of a copying driver when they are others
		copies  []string
		list    []string
	}{
		{"nothing", func(string) error { return nil }, nil, nil, []string{}},
		{
			"one name of a file removed", func(root string) error { return os.Remove(root + "/d/f2") },
			[]string{"d/", "d/.wh.f2"},
			nil,
			[]string{"C /d", "D /d/f2"},
		},
		{
			"a file made two", func(root string) error { return errors.Join(os.Remove(root+"/f2"), cp(root+"/f", root+"/f2")) },
			[]string{"./", "f2"},
			nil,
			[]string{},
		},
		{
			"one more name", func(root string) error { return os.Link(root+"/f", root+"/f3") },
			[]string{"./", "f", "f3 = f"},
			[]string{"./", "f", "f2 = f", "f3 = f"},
			[]string{"A /f3"},
		},
		{
			"a directory replaced by the like", func(root string) error {
				return errors.Join(os.RemoveAll(root+"/d/e"), os.Mkdir(root+"/d/e", 0o755), cp(root+"/f", root+"/d/e/f"), cp(root+"/f", root+"/d/e/alone"))
			},
			[]string{"d/", "d/e/", "d/e/.wh..wh..opq", "d/e/alone", "d/e/f"},
			[]string{"d/", "d/e/", "d/e/.wh.f2", "d/e/.wh.g", "d/e/.wh.g2"},
			[]string{"C /d", "C /d/e", "D /d/e/f2", "D /d/e/g", "D /d/e/g2"},
		},
		{
			"a directory touched", func(root string) error { return os.Chtimes(root+"/d", time.Unix(1, 1), time.Unix(1, 1)) },
			[]string{"d/"},
			nil,
			[]string{},
		},
		{"a root with another mode", func(root string) error { return os.Chmod(root, 0o711) }, []string{"./"}, nil, []string{}},
		{"a socket", func(root string) error { return listen(root + "/d/socket") }, []string{"d/"}, nil, []string{"C /d", "A /d/socket"}},
		{
			"a socket in place of a file", func(root string) error { return errors.Join(os.Remove(root+"/d/f"), listen(root+"/d/f")) },
			[]string{"d/", "d/.wh.f"},
			nil,
			[]string{"C /d", "C /d/f"},
		},
		{
			"a file in place of a directory", func(root string) error {
				return errors.Join(os.RemoveAll(root+"/d/e"), os.WriteFile(root+"/d/e", nil, 0o600))
			},
			[]string{"d/", "d/e"},
			nil,
			[]string{"C /d", "C /d/e"},
		},
		{
			"a file with the longest name removed", func(root string) error { return os.Remove(root + "/d/" + longestName) },
			[]string{"d/", "d/.wh." + longestName},
			nil,
			[]string{"C /d", "D /d/" + longestName},
		},
		{
			"what is made and removed again", func(root string) error {
				return errors.Join(os.Mkdir(root+"/d/x", 0o700), os.WriteFile(root+"/d/x/y", nil, 0o600), os.RemoveAll(root+"/d/x"))
			},
			[]string{"d/"},
			nil,
			[]string{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := func(root string) { must(t, c.change(root)) }
			over := onOverlayfs(t, []func(string){twins}, change)
			checkDiff(t, "overlayfs", over, c.overlay, c.list, strings.Contains(c.name, "socket"))
			if c.copies == nil {
				c.copies = c.overlay
			}
			checkDiff(t, "copies", onCopies(t, onOverlayfs(t, []func(string){twins}, func(string) {}).below, change), c.copies, c.list, strings.Contains(c.name, "socket"))
		})
	}
}

func checkDiff(t *testing.T, how string, c changed, names, list []string, noTrip bool) {
	t.Helper()
	got := namesOf(t, diffOf(t, c.source, noOptions))
	if !slices.Equal(got, names) {
		t.Errorf("%s: the tar has %q, want %q", how, got, names)
	}
	if got := changesOf(t, c.source, noOptions); !slices.Equal(got, list) {
		t.Errorf("%s: changes %q, want %q", how, got, list)
	}
	if !noTrip {
		c.roundTrip(t)
	}
}

// cp copies a file with its times and mode.
func cp(from, to string) error {
	data, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, data, 0o644), os.Chmod(to, 0o644), os.Chtimes(to, time.Unix(5, 5), time.Unix(5, 5)))
}

// listen leaves a socket behind.
func listen(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		l.SetUnlinkOnClose(false)
		err = l.Close()
	}
	return err
}

// TestDiffRefuses: what a layer cannot say, and an upperdir that does not hold all, is named and not left out.
func TestDiffRefuses(t *testing.T) {
	testutil.RequireRoot(t)
	diff := func(c changed) error { return layer.Diff(context.Background(), io.Discard, c.source, noOptions) }
	for _, c := range []struct {
		name, says string
		do         func(root string) error
		class      error
		overlay    bool
	}{
		{"a name like a whiteout's", `"/d/.wh.x"`, func(root string) error { return os.WriteFile(root+"/d/.wh.x", nil, 0o600) }, errdefs.ErrInvalidArgument, false},
		{"the device 0:0", `"/d/dev"`, func(root string) error { return unix.Mknod(root+"/d/dev", unix.S_IFCHR, 0) }, errdefs.ErrInvalidArgument, false},
		{"redirect_dir", "redirect_dir", func(root string) error {
			return unix.Setxattr(root+"/d", "trusted.overlay.redirect", []byte("/x"), 0)
		}, errdefs.ErrFailedPrecondition, true},
		{"metacopy", "metacopy", func(root string) error {
			return errors.Join(os.WriteFile(root+"/d/n", nil, 0o600), unix.Setxattr(root+"/d/n", "trusted.overlay.metacopy", nil, 0))
		}, errdefs.ErrFailedPrecondition, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := onOverlayfs(t, []func(string){twins}, func(string) {}).below
			changed := onCopies(t, parent, func(root string) { must(t, c.do(root)) })
			changed.source.Overlay = c.overlay // the directory is then as an upperdir would be
			if err := diff(changed); !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestDiffOfMountPoints leaves out what the runtime makes, and only that.
func TestDiffOfMountPoints(t *testing.T) {
	testutil.RequireRoot(t)
	o := layer.DiffOptions{Made: []string{"dev", "etc/hosts", "proc", "new/in/it", "d/f"}}
	starts := func(root string) {
		for _, dir := range []string{"dev", "proc", "etc", "new", "new/in"} {
			_ = os.Mkdir(filepath.Join(root, dir), 0o755)
		}
		_ = os.WriteFile(root+"/etc/hosts", nil, 0o644)
		_ = os.WriteFile(root+"/new/in/it", nil, 0o644)
	}
	for _, c := range []struct {
		name string
		do   func(root string)
		want []string
	}{
		{"started", starts, []string{}},
		{"in one is something", func(root string) { starts(root); _ = os.WriteFile(root+"/dev/own", nil, 0o600) }, []string{"A /dev", "A /dev/own"}},
		{"beside one is something", func(root string) { starts(root); _ = os.WriteFile(root+"/etc/own", nil, 0o600) }, []string{"A /etc", "A /etc/own"}},
		{"one with bytes", func(root string) { starts(root); _ = os.WriteFile(root+"/etc/hosts", []byte("x"), 0o600) }, []string{"A /etc", "A /etc/hosts"}},
		{"one that was there", func(root string) { _ = os.Remove(root + "/d/f") }, []string{"C /d", "D /d/f"}},
		{"mode of the directory", func(root string) { starts(root); _ = os.Chmod(root+"/d", 0o700) }, []string{"C /d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			over := onOverlayfs(t, []func(string){twins}, c.do)
			for _, w := range []changed{over, onCopies(t, over.below, c.do)} {
				if got := changesOf(t, w.source, o); !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if tar := namesOf(t, diffOf(t, w.source, o)); len(c.want) == 0 && len(tar) > 0 {
					t.Errorf("the tar has %q", tar)
				}
			}
		})
	}
}

// TestDiffWithoutParent: everything was added.
func TestDiffWithoutParent(t *testing.T) {
	testutil.RequireRoot(t)
	dir := tempDir(t)
	s := layer.DiffSource{Dir: openDir(t, dir), Overlay: true}
	if got := namesOf(t, diffOf(t, s, noOptions)); len(got) > 0 {
		t.Errorf("an empty tree gives %q", got)
	}
	must(t, os.WriteFile(dir+"/f", []byte("f"), 0o600))
	if got := namesOf(t, diffOf(t, s, noOptions)); !slices.Equal(got, []string{"./", "f"}) {
		t.Errorf("got %q", got)
	}
	into := tempDir(t)
	must(t, apply(t, into, diffOf(t, s, noOptions)))
	if testutil.TreeHash(t, into) != testutil.TreeHash(t, dir) {
		t.Error("another tree")
	}
}

// TestDiffLatest: times after the latest are not told.
func TestDiffLatest(t *testing.T) {
	testutil.RequireRoot(t)
	var tars [][]byte
	for range 2 {
		dir := tempDir(t)
		must(t, os.WriteFile(dir+"/f", []byte("f"), 0o600))
		must(t, cp(dir+"/f", dir+"/old"))
		tars = append(tars, diffOf(t, layer.DiffSource{Dir: openDir(t, dir)}, layer.DiffOptions{Latest: time.Unix(100, 0)}))
		time.Sleep(5 * time.Millisecond)
	}
	if !bytes.Equal(tars[0], tars[1]) {
		t.Error("the same made twice is not the same")
	}
}

// TestDiffOfNestedWhiteouts reads the other form of whiteouts, which counts only in marked directories.
func TestDiffOfNestedWhiteouts(t *testing.T) {
	testutil.RequireRoot(t)
	c := onOverlayfs(t, []func(string){twins}, func(string) {})
	upper := c.source.Dir.Name()
	must(t, os.Mkdir(upper+"/d", 0o755))
	must(t, os.WriteFile(upper+"/d/f", nil, 0o600))
	must(t, unix.Setxattr(upper+"/d/f", "trusted.overlay.whiteout", nil, 0))
	if got := changesOf(t, c.source, noOptions); !slices.Equal(got, []string{"C /d", "C /d/f"}) {
		t.Errorf("not marked: %q", got)
	}
	must(t, unix.Setxattr(upper+"/d", "trusted.overlay.opaque", []byte("x"), 0))
	if got := changesOf(t, c.source, noOptions); !slices.Equal(got, []string{"C /d", "D /d/f"}) {
		t.Errorf("marked: %q", got)
	}
}
