package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

const (
	capV2 = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	// capV3 has the root id 100000 at its end.
	capV3 = "\x01\x00\x00\x03\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\x86\x01\x00"
	// acl is u::rw- u:1:rwx g::r-- m::rwx o::---.
	acl = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x07\x00\x01\x00\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"
)

// TestMetadata: everything that a tar says of a file is there afterwards, whatever the umask, in both ways.
func TestMetadata(t *testing.T) {
	testutil.RequireRoot(t)
	defer unix.Umask(unix.Umask(0o077))
	before1970 := time.Unix(-86400*365*30, 999_999_999)
	sameAsOracle(t, lt.Tar(
		lt.Dir("./", lt.Mode(0o555), lt.Owner(1, 2), lt.Xattr("user.root", "x")),
		lt.File("setuid", "x", lt.Mode(0o6755), lt.Owner(1000, 70000)),
		lt.File("capable", "x", lt.Mode(0o4755), lt.Owner(1000, 1000), lt.Xattr("security.capability", capV2)),
		lt.File("capable3", "x", lt.Mode(0o755), lt.Owner(1000, 1000), lt.Xattr("security.capability", capV3)),
		lt.File("acl", "x", lt.Mode(0o670), lt.Xattr("system.posix_acl_access", acl)),
		lt.Dir("acldir", lt.Mode(0o670), lt.Xattr("system.posix_acl_access", acl), lt.Xattr("system.posix_acl_default", acl)),
		lt.File("acldir/f", "x", lt.Mode(0o666)), lt.Dir("acldir/d", lt.Mode(0o777)), lt.File("acldir/implied/f", ""),
		lt.Fifo("acldir/fifo", lt.Mode(0o666)), lt.Symlink("acldir/s", "x"), lt.Link("acldir/l", "later"), lt.File("later", "x"),
		lt.File("user", "", lt.Mode(0o444), lt.Owner(7, 7), lt.Xattr("user.a", "1"), lt.Xattr("user.b", "\x00\xff"), lt.Xattr("trusted.c", "3")),
		lt.Symlink("link", "x", lt.Owner(70000, 4_294_967_294), lt.Time(before1970), lt.Xattr("trusted.l", "1")),
		lt.File("highest", "", lt.Owner(4_294_967_294, 4_294_967_294)),
		lt.Dir("setgid", lt.Mode(0o2775), lt.Owner(0, 50)), lt.File("setgid/f", "", lt.Owner(3, 4)), lt.Dir("setgid/d", lt.Mode(0o755)), lt.File("setgid/i/f", ""),
		lt.Dir("old", lt.Time(before1970)), lt.File("old/f", "", lt.Time(before1970.Add(time.Nanosecond))),
		lt.File("old/future", "", lt.Time(time.Unix(1<<33, 1))),
		lt.Char("dev/null", 1, 3, lt.Mode(0o666)), lt.Block("dev/sd", 259, 65536), lt.Char("dev/tty", 4095, 1, lt.Mode(0o2620), lt.Owner(0, 5), lt.Xattr("trusted.d", "1")),
		lt.Fifo("fifo", lt.Mode(0o1600), lt.Owner(9, 9), lt.Time(before1970)),
	), lt.Tar(
		lt.File("acldir/late", ""), lt.Dir("acldir/late2"), lt.Whiteout("acldir/f"), lt.File("setgid/n", ""), lt.Whiteout("old/f"),
	))
}

// sparseTars are made by GNU tar in all its forms, from a file of 64 MiB with three bytes of data.
func sparseTars(t *testing.T) map[string][]byte {
	t.Helper()
	dir := tempDir(t)
	f, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	for _, at := range []int64{1 << 20, 10<<20 + 4095, 64<<20 - 1} {
		_, err := f.WriteAt([]byte("x"), at)
		must(t, err)
	}
	must(t, f.Close())
	tars := map[string][]byte{}
	for _, format := range []string{
		"--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0",
	} {
		args := append([]string{"-c", "-S", "-C", dir}, append(strings.Fields(format), "sparse")...)
		out, err := exec.Command("tar", args...).Output()
		must(t, err)
		tars[format] = out
	}
	return tars
}

// sparseTar is a small one in GNU's old form, written out: a file of 12 KiB with a block of data in the middle.
func sparseTar() []byte {
	tar := lt.Tar(lt.File("sparse", strings.Repeat("x", 4096), lt.Time(time.Unix(0, 0))))
	copy(tar[156:], "S")                              // type
	copy(tar[257:], "ustar  \x00")                    // GNU's magic
	copy(tar[386:], "00000010000\x0000000010000\x00") // one map entry: offset and length 4096
	copy(tar[483:], "00000030000\x00")                // size of the whole file
	repair(tar)
	return tar
}

func TestSparseInOldForm(t *testing.T) {
	testutil.RequireRoot(t)
	dir := tempDir(t)
	_, err := applyWith(t, dir, sparseTar(), layer.ApplyOptions{})
	must(t, err)
	data, err := os.ReadFile(dir + "/sparse")
	must(t, err)
	want := strings.Repeat("\x00", 4096) + strings.Repeat("x", 4096) + strings.Repeat("\x00", 4096)
	if string(data) != want {
		t.Errorf("%d bytes: %.20q…", len(data), data)
	}
}

func TestSparse(t *testing.T) {
	testutil.RequireRoot(t)
	for format, tar := range sparseTars(t) {
		t.Run(format, func(t *testing.T) {
			dir := tempDir(t)
			a, err := applyWith(t, dir, tar, layer.ApplyOptions{})
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Stat(dir+"/sparse", &st))
			if st.Size != 64<<20 || a.Size != st.Size {
				t.Errorf("size %d, counted as %d", st.Size, a.Size)
			}
			if st.Blocks*512 > 1<<20 {
				t.Errorf("takes %d bytes on disk", st.Blocks*512)
			}
			data, err := os.ReadFile(dir + "/sparse")
			must(t, err)
			if n := len(data) - bytes.Count(data, []byte{0}); n != 3 || data[1<<20] != 'x' || data[10<<20+4095] != 'x' || data[64<<20-1] != 'x' {
				t.Errorf("%d bytes of data", n)
			}
		})
	}
}

// TestFormats: what other writers of tar do, and package layertest does not.
func TestFormats(t *testing.T) {
	testutil.RequireRoot(t)
	src := tempDir(t)
	long := strings.Repeat("long/", 40)
	must(t, os.MkdirAll(filepath.Join(src, long), 0o755))
	for name, content := range map[string]string{"plain": "1", "caf\xe9": "2", long + strings.Repeat("n", 200): "3"} {
		must(t, os.WriteFile(filepath.Join(src, name), []byte(content), 0o644))
	}
	must(t, os.Chown(src+"/plain", 4_000_000_000, 3_000_000))
	must(t, os.Symlink(strings.Repeat("t/", 150), src+"/link"))
	for _, format := range []string{"gnu", "posix", "oldgnu"} {
		t.Run(format, func(t *testing.T) {
			out, err := exec.Command("tar", "-c", "-C", src, "--format="+format, ".").Output()
			must(t, err)
			dir := tempDir(t)
			_, err = applyWith(t, dir, out, layer.ApplyOptions{})
			must(t, err)
			got, want := lt.List(t, dir), lt.List(t, src)
			if format != "posix" {
				got, want = withoutNanoseconds(got), withoutNanoseconds(want)
			}
			if diff := lt.Diff(got, want); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("v7", func(t *testing.T) {
		dir := tempDir(t)
		out, err := exec.Command("tar", "-c", "-C", src, "--format=v7", "--owner=5", "--group=6", "plain").Output()
		must(t, err)
		_, err = applyWith(t, dir, out, layer.ApplyOptions{})
		must(t, err)
		if l := lt.List(t, dir); len(l) != 2 || !strings.Contains(l[1], "5:6") {
			t.Errorf("%v", l)
		}
	})
	t.Run("global header", func(t *testing.T) {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}))
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f"}))
		must(t, w.Close())
		dir := tempDir(t)
		_, err := applyWith(t, dir, buf.Bytes(), layer.ApplyOptions{})
		must(t, err)
		if l := lt.List(t, dir); len(l) != 2 {
			t.Errorf("%v", l)
		}
	})
}

func withoutNanoseconds(lines []string) []string {
	short := make([]string, len(lines))
	for i, line := range lines {
		short[i] = line
		if dot := strings.LastIndex(line, "."); dot > 0 && len(line) >= dot+10 {
			short[i] = line[:dot] + line[dot+10:]
		}
	}
	return short
}

// A layer that does not name its root leaves the root as the layers below have it.
func TestRootMetadata(t *testing.T) {
	testutil.RequireRoot(t)
	sameAsOracle(t,
		lt.Tar(lt.Dir(".", lt.Mode(0o555), lt.Owner(3, 4), lt.Xattr("user.x", "y"))),
		lt.Tar(lt.File("f", "")),
		lt.Tar(lt.Whiteout("f")),
	)
	needs := applyAlone(t, tempDir(t), lt.Tar(lt.File("f", "")))
	if !needs.Root || !needs.Empty() {
		t.Errorf("%+v", needs)
	}
	if needs = applyAlone(t, tempDir(t), lt.Tar(lt.Dir("/"))); needs.Root {
		t.Errorf("%+v", needs)
	}
}

// TestNeeds: only a layer that stands alone is said to have none.
func TestNeeds(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name    string
		entries []lt.Entry
		want    string
	}{
		{"nothing", nil, "[] [] [] [] false"},
		{"all described", []lt.Entry{lt.Dir("d"), lt.Dir("d/e"), lt.File("d/e/f", ""), lt.Link("d/g", "d/e/f")}, "[] [] [] [] false"},
		{"implied", []lt.Entry{lt.File("a/b/f", ""), lt.Dir("c"), lt.File("c/d/f", "")}, "[a a/b c/d] [] [] [] false"},
		{"described later", []lt.Entry{lt.File("a/b/f", ""), lt.Dir("a/b"), lt.Dir("a")}, "[] [] [{a/b true} {a true}] [] false"},
		{"implied through a link", []lt.Entry{lt.Symlink("l", "a/b"), lt.File("l/f", "")}, "[a a/b] [] [] [] false"},
		{"link", []lt.Entry{lt.Link("l", "/t/../u")}, "[] [{l u false}] [] [] false"},
		{"link to what is hidden", []lt.Entry{lt.Whiteout("u"), lt.Link("l", "u")}, "[] [{l u true}] [] [.] false"},
		{"whiteouts", []lt.Entry{lt.Whiteout("x"), lt.Dir("d"), lt.Whiteout("d/y"), lt.Whiteout("e/z")}, "[e] [] [] [d e .] false"},
		{"whiteouts in what is opaque", []lt.Entry{lt.Dir("d"), lt.Opaque("d"), lt.Whiteout("d/y"), lt.File("d/e/f", ""), lt.Whiteout("d/e/x")}, "[] [] [] [] false"},
		{"implied and cut off", []lt.Entry{lt.File("d/e/f", ""), lt.Whiteout("d")}, "[] [] [{d true} {d/e true}] [] false"},
		{"opaque root", []lt.Entry{lt.File("d/e/f", ""), lt.Whiteout("d/g"), lt.Opaque("")}, "[] [] [{d true} {d/e true}] [] true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := applyAlone(t, tempDir(t), lt.Tar(tt.entries...))
			got := fmt.Sprintf("%v %v %v %v %v", n.ImpliedDirs, n.Links, n.Parents, n.Whiteouts, n.Opaque)
			if got != tt.want || n.Empty() != (tt.want == "[] [] [] [] false") {
				t.Errorf("got %s, empty: %v; want %s", got, n.Empty(), tt.want)
			}
		})
	}
}

// With the parents in place nothing is left over, but a missing xattr support is an error and not silence.
func TestXattrNotSupported(t *testing.T) {
	testutil.RequireRoot(t)
	_, err := applyWith(t, tempDir(t), lt.Tar(lt.Symlink("s", "x", lt.Xattr("user.x", "y"))), layer.ApplyOptions{})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "user.x") || !strings.Contains(err.Error(), `"s"`) {
		t.Errorf("got %v", err)
	}
}
