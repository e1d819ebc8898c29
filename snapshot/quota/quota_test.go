package quota

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
)

// makeTree is fill for a snapshot with a tree that holds one file.
func makeTree(home string) error {
	if err := os.Mkdir(filepath.Join(home, "fs"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, "fs", "file"), []byte("content"), 0o600)
}

// newImage makes a snapshot with a limit kept by a file, and returns its directory.
func newImage(t *testing.T, size int64, volatile bool) string {
	t.Helper()
	base := filepath.Join(t.TempDir(), "0123456789abcdef")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &Limit{Size: size, Way: Image}
	if err := l.Make(t.Context(), base, atomicfile.Sync(volatile), volatile, makeTree); err != nil {
		t.Fatal(err)
	}
	return base
}

// devices are the loop devices of files below dir.
func devices(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), dir+"/") {
			found = append(found, f)
		}
	}
	return found
}

// noDevices fails if files below dir still have loop devices in a while.
func noDevices(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(testutil.Patience(5 * time.Second)); len(devices(t, dir)) > 0; {
		if time.Now().After(end) {
			t.Fatalf("left attached: %v", devices(t, dir))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestImage(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for name, volatile := range map[string]bool{"durable": false, "volatile": true} {
		t.Run(name, func(t *testing.T) {
			base := newImage(t, MinSize, volatile)
			tree := filepath.Join(base, "fs")
			noDevices(t, base)
			if _, err := os.Lstat(tree); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("outside: %v", err)
			}
			f, err := os.Open(filepath.Join(base, imageName))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if journal, err := hasJournal(f); err != nil || journal == volatile {
				t.Errorf("journal: %t, %v", journal, err)
			}
			err = In(tree, func(path string) error {
				b, err := os.ReadFile(filepath.Join(path, "file"))
				if err != nil || string(b) != "content" {
					t.Errorf("read %q, %v", b, err)
				}
				err = os.WriteFile(filepath.Join(path, "big"), make([]byte, 2*MinSize), 0o600)
				if !Reached(err) || !errors.Is(err, unix.ENOSPC) {
					t.Errorf("more than there is room for: %v", err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			size, inodes, err := Usage(t.Context(), tree, &Limit{Size: MinSize, Way: Image})
			if err != nil || inodes != 3 || size < MinSize/2 || size > MinSize {
				t.Errorf("%d bytes, %d files, %v", size, inodes, err)
			}
			noDevices(t, base)
		})
	}
}

// The container of a full disk can be started again, also when there is a whiteout in the workdir.
func TestFullImage(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	base := newImage(t, 2*MinSize, false)
	lower := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(lower, fmt.Sprint("gone", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := &Limit{Size: 2 * MinSize, Way: Image}
	if err := In(filepath.Join(base, "fs"), func(path string) error { return os.Mkdir(path+"/../work", 0o700) }); err != nil {
		t.Fatal(err)
	}
	m := mount.Mount{Type: "overlay", Method: mount.ByNumber, Over: l.Over(base), Options: []mount.Option{
		{Key: "lowerdir", Dirs: []string{lower}},
		{Key: "upperdir", Dirs: []string{base + "/fs"}},
		{Key: "workdir", Dirs: []string{base + "/work"}},
	}}
	for i := range 3 {
		f, err := m.Open()
		if err != nil {
			t.Fatalf("mount %d: %v", i+1, err)
		}
		if err := unix.Unlinkat(int(f.Fd()), fmt.Sprint("gone", i), 0); err != nil {
			t.Fatal(err)
		}
		big, err := unix.Openat(int(f.Fd()), "big", unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; {
			_, err = unix.Write(big, make([]byte, 4096))
		}
		for n := 0; err == nil || n == 0; n++ {
			err = unix.Mkdirat(int(f.Fd()), fmt.Sprintf("d%d-%d", i, n), 0o700) // takes the last block, too
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("it is not full: %v", err)
		}
		if err := errors.Join(unix.Close(big), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	noDevices(t, base)
}

// Room that is given free inside is free outside, soon after the journal knows, and what was never written takes none.
func TestImageIsSparse(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	const large = 1 << 30
	base := newImage(t, large, false)
	tree := filepath.Join(base, "fs")
	blocks := func() int64 {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(base, imageName), &st); err != nil || st.Size != large {
			t.Fatalf("%d bytes, %v", st.Size, err)
		}
		return st.Blocks * 512
	}
	fresh := blocks()
	if fresh > large/40 {
		t.Errorf("an empty one takes %d bytes", fresh)
	}
	write := func(path string) error { return os.WriteFile(filepath.Join(path, "big"), make([]byte, 64<<20), 0o600) }
	if err := In(tree, write); err != nil {
		t.Fatal(err)
	}
	if full := blocks(); full < fresh+64<<20 {
		t.Errorf("a full one takes %d bytes, an empty one %d", full, fresh)
	}
	again := int64(0)
	empty := func(path string) error {
		if err := errors.Join(os.Remove(filepath.Join(path, "big")), syncfs(path)); err != nil {
			return err
		}
		for end := time.Now().Add(testutil.Patience(5 * time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if again = blocks(); again <= fresh+16<<20 {
				break
			}
		}
		return nil
	}
	if err := In(tree, empty); err != nil {
		t.Fatal(err)
	}
	if again > fresh+16<<20 {
		t.Errorf("an emptied one takes %d bytes, a new one %d", again, fresh)
	}
}

func syncfs(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// Two file systems in one file would destroy each other: whoever opens it has the same one.
func TestImageHasOneDevice(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	base := newImage(t, MinSize, false)
	tree := filepath.Join(base, "fs")
	var all sync.WaitGroup
	ready := make(chan *os.File)
	for range 20 {
		all.Go(func() {
			f, err := Open(tree)
			if err != nil {
				t.Error(err)
			}
			ready <- f
		})
	}
	var files []*os.File
	for range 20 {
		files = append(files, <-ready)
	}
	all.Wait()
	if found := devices(t, base); len(found) != 1 {
		t.Errorf("devices: %v", found)
	}
	for _, f := range files[1:] {
		f.Close()
	}
	if err := os.WriteFile(inside(files[0], "new"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	if found := devices(t, base); len(found) != 1 {
		t.Errorf("devices of the last one: %v", found)
	}
	files[0].Close()
	noDevices(t, base)
	// Opened and closed by many, in no order, nothing is lost.
	for range 8 {
		all.Go(func() {
			for range 5 {
				err := In(tree, func(path string) error {
					_, err := os.ReadFile(filepath.Join(path, "new"))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	noDevices(t, base)
}

// A container has the tree mounted, and others look at it meanwhile.
func TestImageWhileMounted(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	base := newImage(t, MinSize, true)
	tree := filepath.Join(base, "fs")
	over, err := OverTree(tree)
	if err != nil || over == nil || over.Target != base {
		t.Fatalf("%+v, %v", over, err)
	}
	if file, err := FileOf(tree); err != nil || file != filepath.Join(base, imageName) {
		t.Errorf("in %q, %v", file, err)
	}
	root, err := mount.Mount{Type: "bind", Source: tree, Over: over}.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inside(root, "late"), []byte("late"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen, err := Open(tree)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(inside(seen, "late")); err != nil || string(b) != "late" {
		t.Errorf("%q, %v", b, err)
	}
	seen.Close()
	if err := os.RemoveAll(base); err != nil { // rm does not wait
		t.Error(err)
	}
	if _, err := os.ReadFile(inside(root, "file")); err != nil {
		t.Errorf("after the file is gone: %v", err)
	}
	root.Close()
	noDevices(t, base)
}

func TestWithoutImage(t *testing.T) {
	base := t.TempDir()
	tree := filepath.Join(base, "fs")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if over, err := OverTree(tree); over != nil || err != nil {
		t.Errorf("%v, %v", over, err)
	}
	if file, err := FileOf(tree); file != "" || err != nil {
		t.Errorf("in %q, %v", file, err)
	}
	if err := In(tree, func(path string) error {
		if path != tree {
			t.Errorf("path %q", path)
		}
		return unix.EIO
	}); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	f, err := Open(tree)
	if err != nil || f.Name() != tree {
		t.Fatal(err)
	}
	f.Close()
	var none *Limit
	if none.Over(base) != nil || none.Inside() {
		t.Error("no limit has a file")
	}
	if _, inodes, err := Usage(t.Context(), tree, nil); inodes != 1 || err != nil {
		t.Errorf("%d files, %v", inodes, err)
	}
	for name, content := range map[string]string{"no project": "", "cut off": "12", "not a number": "x", "somebody else's": "7"} {
		if content != "" {
			if err := os.WriteFile(filepath.Join(base, projectName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := Release(base); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMakeFails(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	fresh := func(t *testing.T) string {
		base := filepath.Join(t.TempDir(), "0123456789abcdef")
		if err := os.Mkdir(base, 0o700); err != nil {
			t.Fatal(err)
		}
		return base
	}
	t.Run("fill", func(t *testing.T) {
		base := fresh(t)
		l := &Limit{Size: MinSize, Way: Image}
		if err := l.Make(t.Context(), base, atomicfile.Durable, false, func(string) error { return unix.EIO }); !errors.Is(err, unix.EIO) {
			t.Error(err)
		}
		noDevices(t, base)
	})
	t.Run("too much", func(t *testing.T) {
		l := &Limit{Size: MinSize, Way: Image}
		err := l.Make(t.Context(), fresh(t), atomicfile.Durable, false, func(home string) error {
			return os.WriteFile(filepath.Join(home, "big"), bytes.Repeat([]byte("x"), MinSize), 0o600)
		})
		if !Reached(err) {
			t.Error(err)
		}
	})
	t.Run("too small for a file system", func(t *testing.T) {
		l := &Limit{Size: 1 << 12, Way: Image}
		if err := l.Make(t.Context(), fresh(t), atomicfile.Durable, false, makeTree); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "mkfs.ext4") {
			t.Error(err)
		}
	})
	t.Run("an unknown way", func(t *testing.T) {
		l := &Limit{Size: MinSize, Way: "magic"}
		if err := l.Make(t.Context(), fresh(t), atomicfile.Durable, false, makeTree); !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "magic") {
			t.Error(err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		base := newImage(t, MinSize, false)
		if err := os.WriteFile(filepath.Join(base, imageName), make([]byte, MinSize), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(filepath.Join(base, "fs")); err == nil {
			t.Error("opened")
		}
		noDevices(t, base)
	})
}

func TestChooseRefuses(t *testing.T) {
	for _, size := range []int64{-1, 0, 1, MinSize - 1} {
		if _, err := Choose(t.TempDir(), size, true); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%d: %v", size, err)
		}
	}
	if _, err := find("mkfs.none"); !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "install the package e2fsprogs") {
		t.Error(err)
	}
}

// The kernel reads these.
func TestStructures(t *testing.T) {
	if size := unsafe.Sizeof(diskQuota{}); size != 112 {
		t.Errorf("struct fs_disk_quota has %d bytes", size)
	}
	if size := unsafe.Sizeof(fileAttributes{}); size != 28 {
		t.Errorf("struct fsxattr has %d bytes", size)
	}
	if getQuota != 0x580302 || setQuota != 0x580402 {
		t.Errorf("commands %#x, %#x", getQuota, setQuota)
	}
}
