package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// Trap 7: everything that a file is survives the copy.
func TestCopyMetadata(t *testing.T) {
	testutil.RequireRoot(t)
	const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"             // v2: cap_net_raw
	const rooted = "\x01\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x27\x00\x00" // v3: for root 10000
	const acl = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\x39\x30\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x06\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"
	tests := []struct {
		name string
		make []change
	}{
		{"file", []change{file("f", "content", 0o640)}},
		{"empty file", []change{file("f", "", 0o600)}},
		{"large file", []change{file("f", strings.Repeat("0123456789", 1<<20), 0o600)}},
		{"mode 0", []change{file("f", "x", 0), directory("d", 0)}},
		{"setuid, setgid, sticky", []change{file("u", "x", 0o755|os.ModeSetuid), file("g", "x", 0o755|os.ModeSetgid), directory("t", 0o777|os.ModeSticky), directory("s", 0o755|os.ModeSetgid)}},
		{"setuid of another owner", []change{file("f", "x", 0o600), owner("f", 1000, 1001), mode("f", 0o4711|os.ModeSetuid)}},
		{"setuid FIFO of another owner", []change{node("p", unix.S_IFIFO|0o600, 0), owner("p", 1000, 0), mode("p", 0o711|os.ModeSetuid)}},
		{"another user, the same group", []change{file("f", "x", 0o644), owner("f", 1000, 0), directory("d", 0o755), owner("d", 1000, 0), symlink("x", "l"), owner("l", 1000, 0)}},
		{"large ids", []change{file("f", "x", 0o600), owner("f", 4294967294, 65536), directory("d", 0o755), owner("d", 70000, 4294967294)}},
		{"owner below a setgid directory", []change{directory("d", 0o755), owner("d", 0, 50), mode("d", 0o755|os.ModeSetgid), directory("d/e", 0o755), owner("d/e", 7, 8), file("d/f", "", 0o600), owner("d/f", 1, 2)}},
		{"times", []change{file("f", "x", 0o600), mtime("f", -1, 999999999), symlink("f", "l"), mtime("l", 1, 2), directory("d", 0o755), file("d/f", "x", 0o600), mtime("d", longAgo.Unix(), 123456789)}},
		{"links", []change{symlink("/etc/passwd", "abs"), symlink("../..", "up"), symlink(strings.Repeat("x", 4000), "long"), owner("up", 5, 6)}},
		{"devices and FIFOs", []change{node("c", unix.S_IFCHR|0o666, unix.Mkdev(1, 3)), node("b", unix.S_IFBLK|0o600, unix.Mkdev(300, 70000)), node("p", unix.S_IFIFO|0o622, 0), owner("p", 9, 9), mtime("p", 3, 4)}},
		{"whiteout", []change{node("w", unix.S_IFCHR, 0)}},
		{"capabilities", []change{file("f", "x", 0o755), owner("f", 3, 3), xattr("f", "security.capability", capability), file("g", "x", 0o755), xattr("g", "security.capability", rooted)}},
		{"access lists", []change{file("f", "x", 0o640), xattr("f", "system.posix_acl_access", acl), directory("d", 0o750), xattr("d", "system.posix_acl_default", acl), file("d/f", "x", 0o666)}},
		{"xattrs", []change{file("f", "x", 0o400), xattr("f", "user.a", ""), xattr("f", "user.b", "v\x00w"), xattr("f", "trusted.big", strings.Repeat("y", 3000)), directory("d", 0o755), xattr("d", "trusted.overlay.opaque", "y"), symlink("x", "l"), xattr("l", "trusted.l", "1")}},
		{"hard links", []change{file("a", "x", 0o600), directory("d", 0o755), hardlink("a", "d/b"), hardlink("a", "c"), node("p", unix.S_IFIFO|0o600, 0), hardlink("p", "d/p"), symlink("x", "l"), hardlink("l", "d/l"), mtime("d", 1, 1)}},
		{"odd names", []change{file("a\nb", "x", 0o600), file("\xff\xfe", "x", 0o600), file(strings.Repeat("n", 255), "x", 0o600), file("-rf", "x", 0o600)}},
		{"root", []change{file("f", "x", 0o600), owner(".", 1, 2), xattr(".", "user.root", "1"), mode(".", 0o1750|os.ModeSticky), mtime(".", 7, 8)}},
	}
	places := []struct {
		name  string
		umask int
		make  []change
	}{
		{"no umask", 0, nil}, // most files are right as they are made
		{"umask 077", 0o077, nil},
		{"a default access list", 0, []change{xattr(".", "system.posix_acl_default", acl)}},
		{"a setgid directory of another group", 0, []change{owner(".", 0, 77), mode(".", 0o755|os.ModeSetgid)}},
	}
	for _, tt := range tests {
		for _, place := range places {
			t.Run(tt.name+", "+place.name, func(t *testing.T) {
				dir := scratch(t)
				apply(t, dir, directory("src", 0o755))
				apply(t, dir+"/src", tt.make...)
				apply(t, dir, place.make...)
				before := testutil.TreeHash(t, dir+"/src")
				old := unix.Umask(place.umask)
				err := Copy(t.Context(), dir+"/dst", dir+"/src")
				unix.Umask(old)
				if err != nil {
					t.Fatal(err)
				}
				if testutil.TreeHash(t, dir+"/dst") != before {
					t.Errorf("the copy differs:\n%s", diff(dir))
				}
				if testutil.TreeHash(t, dir+"/src") != before {
					t.Error("the source changed")
				}
			})
		}
	}
}

// diff shows what two trees are.
func diff(dir string) string {
	script := `for d in src dst; do (cd $d; find . -printf '%p %M %U:%G %T+ %s %n %l\n'; getfattr -Rhd -m- . 2>&1) | sort > ../$d.txt; done; diff -u ../src.txt ../dst.txt`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func TestCopySockets(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, directory("src", 0o755), file("src/f", "x", 0o600))
	l, err := net.Listen("unix", dir+"/src/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Copy(t.Context(), dir+"/dst", dir+"/src"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadDir(dir + "/dst")
	if err != nil || len(got) != 1 || got[0].Name() != "f" {
		t.Errorf("got %v, %v", got, err)
	}
}

// Holes stay holes, at the start, in the middle, at the end, or alone.
func TestCopySparse(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		size   int64
		data   []int64 // where a megabyte of data lies
		blocks int64   // at most, in MiB
	}{
		{"hole alone", 64 * mib, nil, 0},
		{"data first", 64 * mib, []int64{0}, 1},
		{"data last", 64 * mib, []int64{63 * mib}, 1},
		{"holes between", 64 * mib, []int64{8 * mib, 9 * mib, 40 * mib}, 3},
		{"odd size", 10*mib + 1, []int64{9*mib + 1}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := scratch(t)
			apply(t, dir, directory("src", 0o755), file("src/f", "", 0o600))
			f, err := os.OpenFile(dir+"/src/f", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(tt.size); err != nil {
				t.Fatal(err)
			}
			for _, at := range tt.data {
				if _, err := f.WriteAt([]byte(strings.Repeat("d", mib)), at); err != nil {
					t.Fatal(err)
				}
			}
			if err := Copy(t.Context(), dir+"/dst", dir+"/src"); err != nil {
				t.Fatal(err)
			}
			if testutil.TreeHash(t, dir+"/dst") != testutil.TreeHash(t, dir+"/src") {
				t.Error("the copy differs")
			}
			if size, _ := usage(t, dir+"/dst/"); size > tt.blocks*mib+64<<10 {
				t.Errorf("the copy takes %d bytes", size)
			}
		})
	}
}

// The ways to copy bytes agree, whatever the filesystem offers.
func TestCopyBytes(t *testing.T) {
	dir := scratch(t)
	content := make([]byte, 3<<20+7)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	apply(t, dir, file("src", string(content), 0o600))
	src, err := os.Open(dir + "/src")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ways := map[string]func(dst, src int) error{
		"small":    func(dst, src int) error { return copySmall(dst, src, len(content)) },
		"buffered": func(dst, src int) error { return copyBuffered(dst, src, 0, int64(len(content)), make([]byte, 1000)) },
		"range":    func(dst, src int) error { return copyRange(dst, src, 0, int64(len(content))) },
		"sparse":   func(dst, src int) error { return copySparse(dst, src, int64(len(content))) },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			dst, err := os.Create(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer dst.Close()
			if err := way(int(dst.Fd()), int(src.Fd())); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(dst.Name()); err != nil || string(got) != string(content) {
				t.Errorf("the copy differs: %d bytes, %v", len(got), err)
			}
		})
	}
	for name, way := range map[string]func(dst, src int) error{
		"buffered": func(dst, src int) error { return copyBuffered(dst, src, 0, 1<<30, make([]byte, 1<<20)) },
		"range":    func(dst, src int) error { return copyRange(dst, src, 0, 1<<30) },
	} {
		t.Run(name+", cut off", func(t *testing.T) {
			dst, err := os.Create(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer dst.Close()
			if err := way(int(dst.Fd()), int(src.Fd())); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// To another filesystem nothing can be shared, and the copy is the same.
func TestCopyAcross(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, directory("src", 0o755), directory("m", 0o755))
	if err := unix.Mount("tmpfs", dir+"/m", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/m", unix.MNT_DETACH)
	wide(t, dir+"/src", 3, 5, 200<<10)
	if err := Copy(t.Context(), dir+"/m/dst", dir+"/src"); err != nil {
		t.Fatal(err)
	}
	if testutil.TreeHash(t, dir+"/m/dst") != testutil.TreeHash(t, dir+"/src") {
		t.Error("the copy differs")
	}
}

// Where the filesystem can share bytes, it does: xfs on a loop device.
func TestCopyShares(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, directory("m", 0o755), file("disk", "", 0o600))
	if err := os.Truncate(dir+"/disk", 512<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.xfs", "-q", dir+"/disk").CombinedOutput(); err != nil {
		testutil.Missing(t, fmt.Sprintf("mkfs.xfs: %v: %s", err, out))
	}
	if out, err := exec.Command("mount", "-o", "loop", dir+"/disk", dir+"/m").CombinedOutput(); err != nil {
		testutil.Missing(t, fmt.Sprintf("mount of xfs on a loop device: %v: %s", err, out))
	}
	defer exec.Command("umount", "-d", dir+"/m").Run()
	apply(t, dir, directory("m/src", 0o755), file("m/src/f", strings.Repeat("x", 64<<20), 0o600))
	if f, err := os.Open(dir + "/m/src/f"); err == nil {
		f.Sync()
		f.Close()
	}
	free := func() uint64 {
		var st unix.Statfs_t
		if err := unix.Statfs(dir+"/m", &st); err != nil {
			t.Fatal(err)
		}
		return st.Bfree * uint64(st.Bsize)
	}
	before := free()
	if err := Copy(t.Context(), dir+"/m/dst", dir+"/m/src"); err != nil {
		t.Fatal(err)
	}
	if took := int64(before) - int64(free()); took > 4<<20 {
		t.Errorf("the copy took %d bytes", took)
	}
	if testutil.TreeHash(t, dir+"/m/dst") != testutil.TreeHash(t, dir+"/m/src") {
		t.Error("the copy differs")
	}
}

func TestCopyMany(t *testing.T) {
	dir := memory(t)
	apply(t, dir, directory("src", 0o755))
	for i := range 8 {
		top := fmt.Sprintf("%s/src/%d", dir, i)
		apply(t, top[:len(top)-1], directory(fmt.Sprint(i), 0o755))
		wide(t, top, 8, 8, 100)
		for j := range 8 { // links between what different goroutines copy
			apply(t, dir+"/src", hardlink(fmt.Sprintf("%d/%d/1", 0, j), fmt.Sprintf("%d/%d/link", i, j)))
		}
	}
	if err := Copy(t.Context(), dir+"/dst", dir+"/src"); err != nil {
		t.Fatal(err)
	}
	if testutil.TreeHash(t, dir+"/dst") != testutil.TreeHash(t, dir+"/src") {
		t.Error("the copy differs")
	}
}

func TestCopyDeep(t *testing.T) {
	dir := memory(t)
	apply(t, dir, directory("src", 0o755))
	nest(t, dir+"/src", 2500)
	if err := Copy(t.Context(), dir+"/dst", dir+"/src"); err != nil {
		t.Fatal(err)
	}
	if _, inodes := usage(t, dir+"/dst"); inodes != 1+2*2500 {
		t.Errorf("%d inodes", inodes)
	}
}

func TestCopyErrors(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, directory("src", 0o755), file("f", "", 0o600), directory("src/d", 0o755), symlink("src", "link"))
	for name, paths := range map[string][2]string{
		"no source":         {"/dst", "/none"},
		"source is a file":  {"/dst", "/f"},
		"source is a link":  {"/dst", "/link"},
		"destination there": {"/src", "/src"},
		"no parent":         {"/none/dst", "/src"},
	} {
		if err := Copy(t.Context(), dir+paths[0], dir+paths[1]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Copy(ctx, dir+"/dst", dir+"/src"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCopyStopsAtMounts(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, directory("src", 0o755), directory("src/m", 0o755))
	if err := unix.Mount("tmpfs", dir+"/src/m", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/src/m", unix.MNT_DETACH)
	if err := Copy(t.Context(), dir+"/dst", dir+"/src"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("got %v", err)
	}
}

func TestCopyRoot(t *testing.T) {
	testutil.RequireRoot(t)
	dir := scratch(t)
	apply(t, dir, directory("src", 0o755), directory("dst", 0o700), file("src/f", "x", 0o600),
		owner("src", 11, 12), xattr("src", "user.x", "1"), mode("src", 0o751|os.ModeSetgid), mtime("src", 13, 14))
	if err := CopyRoot(dir+"/dst", dir+"/src"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/src/f"); err != nil {
		t.Fatal(err)
	}
	apply(t, dir, mtime("src", 13, 14))
	if testutil.TreeHash(t, dir+"/dst") != testutil.TreeHash(t, dir+"/src") {
		t.Error(diff(dir))
	}
	for name, paths := range map[string][2]string{"no source": {"/dst", "/none"}, "no destination": {"/none", "/src"}} {
		if err := CopyRoot(dir+paths[0], dir+paths[1]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The measure is cp -a.
func BenchmarkCopy(b *testing.B) {
	dir := scratch(b)
	apply(b, dir, directory("src", 0o755))
	wide(b, dir+"/src", 100, 50, 6000)
	for i := range 4 {
		apply(b, dir+"/src", file(fmt.Sprint("large", i), strings.Repeat("x", 8<<20), 0o600))
	}
	ways := map[string]func(dst string) error{
		"Copy":  func(dst string) error { return Copy(b.Context(), dst, dir+"/src") },
		"cp -a": func(dst string) error { return exec.Command("cp", "-a", dir+"/src", dst).Run() },
	}
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				dst := filepath.Join(dir, fmt.Sprint("dst", i))
				if err := way(dst); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				Remove(b.Context(), dst)
				b.StartTimer()
			}
		})
	}
}
