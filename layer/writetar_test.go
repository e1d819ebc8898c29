package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// full is a tree with one of everything.
func full(t testing.TB) string {
	dir := tempDir(t)
	must(t, lt.Apply(dir, lt.Tar(
		lt.Dir("d", lt.Mode(0o1777)), lt.File("d/f", "content", lt.Mode(0o4711), lt.Owner(4_294_967_294, 70000)),
		lt.Link("d/l", "d/f"), lt.Link("a", "d/f"), lt.Symlink("s", "d/f", lt.Owner(1, 2)), lt.Link("s2", "s"),
		lt.File("cap", "x", lt.Xattr("security.capability", capV2), lt.Xattr("user.x", "\x00\xff=\n")),
		lt.File("acl", "x", lt.Mode(0o670), lt.Xattr("system.posix_acl_access", acl)),
		lt.Dir("acldir", lt.Xattr("system.posix_acl_default", acl)),
		lt.Char("null", 1, 3), lt.Block("sd", 259, 65537), lt.Fifo("fifo"), lt.File("old", "", lt.Time(time.Unix(-5, 7))),
		lt.File("\xff\xfe\n", "strange"), lt.File(strings.Repeat("n", 255)+"/"+strings.Repeat("m", 255), "long"),
		lt.Symlink("longlink", strings.Repeat("t/", 2000)), lt.File("big", strings.Repeat("0123456789", 100_000)),
		lt.File("empty", ""),
	)))
	must(t, os.WriteFile(dir+"/.wh.name", nil, 0o600)) // in a tree it is a name like any other
	must(t, os.Chtimes(dir, lt.Mtime, lt.Mtime))
	return dir
}

func writeTar(t testing.TB, dir string, o layer.TarOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, layer.WriteTar(context.Background(), &buf, openDir(t, dir), o))
	return buf.Bytes()
}

func TestWriteTarAndBack(t *testing.T) {
	testutil.RequireRoot(t)
	src := full(t)
	must(t, os.RemoveAll(src+"/.wh.name")) // would come back as a whiteout
	first := writeTar(t, src, layer.TarOptions{})
	time.Sleep(time.Millisecond)
	if second := writeTar(t, src, layer.TarOptions{}); !bytes.Equal(first, second) {
		t.Error("the same tree gives another tar")
	}
	dir := tempDir(t)
	must(t, lt.Apply(dir))
	_, err := applyWith(t, dir, first, layer.ApplyOptions{})
	must(t, err)
	must(t, os.Chtimes(src, lt.Mtime, lt.Mtime)) // the root is not in the tar
	must(t, os.Chtimes(dir, lt.Mtime, lt.Mtime))
	if got, want := testutil.TreeHash(t, dir), testutil.TreeHash(t, src); got != want {
		t.Errorf("%s", lt.Diff(lt.List(t, dir), lt.List(t, src)))
	}
	digests := [2]string{}
	for i, d := range []string{dir, src} {
		id, err := layer.TreeDigest(context.Background(), d)
		must(t, err)
		digests[i] = id.String()
	}
	if digests[0] != digests[1] {
		t.Error("TreeDigest sees a difference")
	}
}

// Other readers understand it: GNU tar makes the same tree.
func TestWriteTarForGNUTar(t *testing.T) {
	testutil.RequireRoot(t)
	src := full(t)
	dir := tempDir(t)
	tar := exec.Command("tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-C", dir)
	tar.Stdin = bytes.NewReader(writeTar(t, src, layer.TarOptions{}))
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Our ACLs are xattrs, as with Docker; GNU tar has records of its own for them and skips these.
	isACL := func(line string) bool { return strings.HasPrefix(line, `"acl`) || strings.HasPrefix(line, `"."`) }
	got, want := slices.DeleteFunc(lt.List(t, dir), isACL), slices.DeleteFunc(lt.List(t, src), isACL)
	if diff := lt.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestWriteTarLeavesOut(t *testing.T) {
	testutil.RequireRoot(t)
	src := full(t)
	l, err := net.Listen("unix", src+"/socket")
	must(t, err)
	defer l.Close()
	must(t, unix.Setxattr(src+"/d", "trusted.overlay.opaque", []byte("y"), 0))
	names := map[string]*tar.Header{}
	var order []string
	r := tar.NewReader(bytes.NewReader(writeTar(t, src, layer.TarOptions{Skip: func(name string) bool {
		return name == "acldir" || name == "d/f" || strings.HasPrefix(name, "nnn")
	}})))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		names[h.Name], order = h, append(order, h.Name)
	}
	for _, name := range []string{"./", "", "/", "socket", "acldir/", "d/f"} {
		if names[name] != nil {
			t.Errorf("%q is there", name)
		}
	}
	if len(names) != len(order) || order[0] != ".wh.name" || names["nnn"] != nil {
		t.Errorf("order %q", order)
	}
	if len(names["d/"].PAXRecords) != 1 { // only the nanoseconds
		t.Errorf("records of d/: %q", names["d/"].PAXRecords)
	}
	if h := names["d/l"]; h == nil || h.Typeflag != tar.TypeLink || h.Linkname != "a" {
		t.Errorf("hard link: %+v", h)
	}
	if h := names["s2"]; h == nil || h.Typeflag != tar.TypeLink || h.Linkname != "s" {
		t.Errorf("hard link to a link: %+v", h)
	}
}

// A tree in use: what vanishes or shrinks while the tar is written.
func TestWriteTarOfChangingTree(t *testing.T) {
	testutil.RequireRoot(t)
	src := tempDir(t)
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		must(t, os.WriteFile(filepath.Join(src, name), bytes.Repeat([]byte(name), 2<<20), 0o600))
	}
	w := &trigger{at: 1 << 20, do: func() {
		must(t, os.Remove(src+"/2"))
		must(t, os.WriteFile(src+"/3", bytes.Repeat([]byte("3"), 3<<20), 0o600))
		must(t, os.RemoveAll(src+"/4"))
		must(t, os.Mkdir(src+"/4", 0o755))
	}}
	must(t, layer.WriteTar(context.Background(), w, openDir(t, src), layer.TarOptions{}))
	var got []string
	r := tar.NewReader(&w.buf)
	for h, err := r.Next(); !errors.Is(err, io.EOF); h, err = r.Next() {
		must(t, err)
		got = append(got, h.Name)
	}
	if strings.Join(got, " ") != "1 3 4/ 5" {
		t.Errorf("got %q", got)
	}
	w = &trigger{at: 1 << 20, do: func() { must(t, os.Truncate(src+"/1", 5)) }}
	if err := layer.WriteTar(context.Background(), w, openDir(t, src), layer.TarOptions{}); err == nil || !strings.Contains(err.Error(), `"/1"`) {
		t.Errorf("shrinking file: %v", err)
	}
}

// trigger calls do once, when it was given so many bytes.
type trigger struct {
	buf bytes.Buffer
	at  int
	do  func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if w.buf.Len() < w.at && w.buf.Len()+len(p) >= w.at {
		w.do()
	}
	return w.buf.Write(p)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriteTarFails(t *testing.T) {
	testutil.RequireRoot(t)
	src := openDir(t, full(t))
	broken := errors.New("broken pipe")
	if err := layer.WriteTar(context.Background(), failing{broken}, src, layer.TarOptions{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := layer.WriteTar(ctx, io.Discard, src, layer.TarOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	must(t, unix.Setxattr(src.Name()+"/empty", "user.a=b", []byte("c"), 0))
	if err := layer.WriteTar(context.Background(), io.Discard, src, layer.TarOptions{}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an xattr that PAX cannot name: %v", err)
	}
}

// TestTreeDigest: every single thing that makes a difference is seen.
func TestTreeDigest(t *testing.T) {
	testutil.RequireRoot(t)
	src := full(t)
	digest := func() string {
		id, err := layer.TreeDigest(context.Background(), src)
		must(t, err)
		return id.String()
	}
	last := digest()
	seen := map[string]string{last: "the tree itself"}
	at := func(name string) string { return filepath.Join(src, name) }
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"mode", func() error { return os.Chmod(at("old"), 0o600) }},
		{"owner", func() error { return os.Chown(at("old"), 1, 0) }},
		{"group", func() error { return os.Chown(at("old"), 1, 1) }},
		{"nanosecond", func() error { return os.Chtimes(at("old"), time.Unix(0, 1), time.Unix(0, 1)) }},
		{"owner of a link", func() error { return os.Lchown(at("s"), 7, 7) }},
		{"xattr", func() error { return unix.Setxattr(at("old"), "user.a", []byte("b"), 0) }},
		{"value of an xattr", func() error { return unix.Setxattr(at("old"), "user.a", []byte("c"), 0) }},
		{"overlay's xattr", func() error { return unix.Setxattr(at("d"), "trusted.overlay.opaque", []byte("y"), 0) }},
		{"byte, at the same time", func() error {
			return errors.Join(os.WriteFile(at("old"), []byte("x"), 0o600), os.Chtimes(at("old"), lt.Mtime, lt.Mtime))
		}},
		{"another byte", func() error {
			return errors.Join(os.WriteFile(at("old"), []byte("y"), 0o600), os.Chtimes(at("old"), lt.Mtime, lt.Mtime))
		}},
		{"name", func() error { return os.Rename(at("old"), at("new")) }},
		{"mode of the root", func() error { return os.Chmod(src, 0o700) }},
		{"device", func() error { return errors.Join(os.Remove(at("null")), unix.Mknod(at("null"), unix.S_IFCHR, 5)) }},
		{"one file or two", func() error {
			data, err := os.ReadFile(at("a"))
			return errors.Join(err, os.Remove(at("a")), os.WriteFile(at("a"), data, 0o600))
		}},
	} {
		must(t, c.do())
		now := digest()
		if before, again := seen[now]; again {
			t.Errorf("%s: the digest is that of %s", c.name, before)
		}
		seen[now] = c.name
		if again := digest(); again != now {
			t.Errorf("%s: digested twice, two digests", c.name)
		}
	}
	if _, err := layer.TreeDigest(context.Background(), at("nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
