package manifest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/manifest"
)

// encode writes a manifest of entries.
func encode(t testing.TB, kind manifest.Kind, entries ...manifest.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := manifest.NewWriter(&b, kind)
	for _, e := range entries {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decode reads a manifest to its end.
func decode(b []byte) ([]manifest.Entry, error) {
	r, err := manifest.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var entries []manifest.Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
}

func root() manifest.Entry { return manifest.Entry{Type: manifest.Dir, Mode: 0o755} }

func dir(path string) manifest.Entry {
	return manifest.Entry{Path: path, Type: manifest.Dir, Mode: 0o755}
}

func opaque(path string) manifest.Entry {
	e := dir(path)
	e.Opaque = true
	return e
}

func file(path string, size int64) manifest.Entry {
	return manifest.Entry{Path: path, Type: manifest.Regular, Mode: 0o644, Size: size}
}

func gone(path string) manifest.Entry { return manifest.Entry{Path: path, Type: manifest.Whiteout} }

// all has an entry of every type with every field.
func all() []manifest.Entry {
	first := manifest.Entry{
		Path: "d/f", Type: manifest.Regular, Mode: 0o4755, UID: 1, GID: 4294967294, Size: 300,
		Mtime: unix.Timespec{Sec: -1, Nsec: 999_999_999}, SHA256: [32]byte{1, 2, 31: 32},
		Xattrs: []manifest.Xattr{{Name: "security.capability", Value: "\x01\x00"}, {Name: "user.x", Value: ""}},
	}
	second := first
	second.Path, second.Link = "d/g\n\xff", "d/f"
	below := first
	below.Path, below.Link, below.LinkBelow = "d/h", "x/y", true
	return []manifest.Entry{
		{Type: manifest.Dir, Mode: 0o755, Mtime: unix.Timespec{Sec: 1e9, Nsec: 5}},
		opaque("d"), first, second, below,
		{Path: "d/s", Type: manifest.Symlink, Mode: 0o777, Target: "../x"},
		{Path: "d-", Type: manifest.Char, Mode: 0o600, Rdev: unix.Mkdev(1, 3)},
		{Path: "e", Type: manifest.Block, Mode: 0o600, Rdev: unix.Mkdev(4095, 1048575)},
		{Path: "f", Type: manifest.Fifo, Mode: 0o600},
		{Path: "g", Type: manifest.Socket, Mode: 0o600},
		{Path: "h", Type: manifest.Whiteout},
	}
}

func TestWriteAndRead(t *testing.T) {
	for _, kind := range []manifest.Kind{manifest.Directory, manifest.Changes} {
		b := encode(t, kind, all()...)
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := layertest.DiffEntries(got, all()); diff != "" {
			t.Error(diff)
		}
		if r, err := manifest.NewReader(bytes.NewReader(b)); err != nil || r.Kind() != kind {
			t.Errorf("kind %q, %v", r.Kind(), err)
		}
	}
}

// TestFormat holds the bytes that docs/format.md describes.
func TestFormat(t *testing.T) {
	b := encode(t, manifest.Directory,
		manifest.Entry{Type: manifest.Dir, Mode: 0o755, Mtime: unix.Timespec{Sec: 100}},
		manifest.Entry{Path: "ab", Type: manifest.Regular, Mode: 0o644, UID: 300, Mtime: unix.Timespec{Sec: 99, Nsec: 1}, Size: 2},
		manifest.Entry{
			Path: "ac", Type: manifest.Symlink, Mode: 0o777, Mtime: unix.Timespec{Sec: 99}, Target: "ab",
			Link: "z", Xattrs: []manifest.Xattr{{Name: "user.x", Value: "y"}},
		})
	want := hex.EncodeToString([]byte("lrun-manifest 1\nd")) +
		"0b" + "00" + "00" + "6400" + "ed03" + "00" + "00" + "c801" + "00" +
		"2e" + "00" + "026162" + "6600" + "a403" + "ac02" + "00" + "01" + "01" + "02" + strings.Repeat("00", 32) +
		"1a" + "01" + "0163" + "6c0a" + "ff03" + "00" + "00" + "00" + "00" + "026162" + "017a" + "01" + "06757365722e78" + "0179" +
		"00" + "03"
	if got := hex.EncodeToString(b[:len(b)-32]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDamage: no byte can be another, be missing or be too many.
func TestDamage(t *testing.T) {
	b := encode(t, manifest.Changes, all()...)
	for i := range b {
		for _, flip := range []byte{1, 0x80, 0xff} {
			damaged := bytes.Clone(b)
			damaged[i] ^= flip
			if _, err := decode(damaged); !errdefs.IsDataLoss(err) && (!errdefs.IsNotImplemented(err) || i >= 16) {
				t.Errorf("byte %d changed by %x: %v", i, flip, err)
			}
		}
		if _, err := decode(b[:i]); !errdefs.IsDataLoss(err) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
		if _, err := decode(slices.Delete(bytes.Clone(b), i, i+1)); err == nil {
			t.Errorf("byte %d is missing, and nobody says so", i)
		}
	}
	if _, err := decode(append(bytes.Clone(b), 0)); !errdefs.IsDataLoss(err) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := decode(slices.Concat(b, b)); !errdefs.IsDataLoss(err) {
		t.Errorf("twice: %v", err)
	}
}

func TestOtherVersion(t *testing.T) {
	_, err := decode([]byte("lrun-manifest 2\nd"))
	if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), `"2"`) {
		t.Errorf("got %v", err)
	}
}

// failing reads some bytes and then fails.
type failing struct{ r io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = unix.EIO
	}
	return n, err
}

// TestReadError: what the disk says is not taken for damage.
func TestReadError(t *testing.T) {
	b := encode(t, manifest.Directory, all()...)
	for _, n := range []int{3, 20, len(b) - 40, len(b) - 3, len(b)} {
		r, err := manifest.NewReader(failing{bytes.NewReader(b[:n])})
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, unix.EIO) || errdefs.IsDataLoss(err) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, entries := range map[string][]manifest.Entry{
		"no root":         {file("a", 1)},
		"root is a file":  {file("", 1)},
		"twice":           {root(), file("a", 1), file("a", 1)},
		"order":           {root(), file("b", 1), file("a", 1)},
		"order of a walk": {root(), file("a-", 1), file("a/b", 1)},
		"root again":      {root(), root()},
		"absolute":        {root(), file("/a", 1)},
		"up":              {root(), file("../a", 1)},
		"only up":         {root(), dir("..")},
		"dot":             {root(), dir(".")},
		"inside out":      {root(), file("a/../b", 1)},
		"slash":           {root(), dir("a/")},
		"NUL":             {root(), file("a\x00", 1)},
		"type":            {root(), {Path: "a", Type: 'x'}},
		"no type":         {root(), {Path: "a"}},
		"mode":            {root(), {Path: "a", Type: manifest.Fifo, Mode: 0o10000}},
		"nanoseconds":     {root(), {Path: "a", Type: manifest.Fifo, Mtime: unix.Timespec{Nsec: 1e9}}},
		"size":            {root(), file("a", -1)},
		"opaque file":     {root(), {Path: "a", Type: manifest.Fifo, Opaque: true}},
		"linked dir":      {root(), {Path: "a", Type: manifest.Dir, Link: "b"}},
		"link to nothing": {root(), {Path: "a", Type: manifest.Fifo, LinkBelow: true}},
		"link outside":    {root(), {Path: "a", Type: manifest.Fifo, Link: "../b"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := manifest.NewWriter(io.Discard, manifest.Directory)
			var err error
			for _, e := range entries {
				err = errors.Join(err, w.Write(e))
			}
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := manifest.NewWriter(io.Discard, manifest.Directory).Close(); !errdefs.IsInvalidArgument(err) {
		t.Errorf("nothing at all: %v", err)
	}
	huge := manifest.Entry{Type: manifest.Dir}
	for i := range 300 {
		huge.Xattrs = append(huge.Xattrs, manifest.Xattr{Name: fmt.Sprint("user.", i), Value: strings.Repeat("x", 64<<10)})
	}
	if err := manifest.NewWriter(io.Discard, manifest.Directory).Write(huge); !errdefs.IsInvalidArgument(err) {
		t.Errorf("xattrs without end: %v", err)
	}
}

// full takes some bytes and then no more.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, unix.ENOSPC
	}
	return len(p), nil
}

// TestDiskIsFull: an error of the disk is told, however late it comes.
func TestDiskIsFull(t *testing.T) {
	b := encode(t, manifest.Directory, all()...)
	for room := range b {
		w := manifest.NewWriter(&full{room}, manifest.Directory)
		var err error
		for _, e := range all() {
			err = errors.Join(err, w.Write(e))
		}
		if err = errors.Join(err, w.Close()); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
	}
}

// TestWriteFile leaves no file after an error.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifest")
	if err := manifest.WriteFile(path, manifest.Directory, func(w *manifest.Writer) error { return w.Write(root()) }); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if err := manifest.WriteFile(path, manifest.Directory, func(*manifest.Writer) error { return unix.EIO }); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if _, err := manifest.Open(path); !errdefs.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestOrder: paths are compared as a walk meets them.
func TestOrder(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"a/b/c", "a/b-/c", "a-/x", "a.b", "a0", "b/\x01", "b\x01", "é/x", "\xff", "a/b/.d", "A/z"} {
		if err := os.MkdirAll(filepath.Join(top, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(path, top), "/"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range names {
		for j, b := range names {
			if got, want := manifest.ComparePaths(a, b), max(-1, min(1, i-j)); got != want {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
			if got, want := manifest.Inside(a, b), a != b && (b == "" || strings.HasPrefix(a, b+"/")); got != want {
				t.Errorf("%q in %q: %v", a, b, got)
			}
		}
	}
}

func TestDifferences(t *testing.T) {
	base := all()[2]
	for name, change := range map[string]func(e *manifest.Entry){
		"":        func(e *manifest.Entry) { e.Path = "other" },
		"type":    func(e *manifest.Entry) { e.Type, e.Mode = manifest.Fifo, 1 },
		"opaque":  func(e *manifest.Entry) { e.Opaque = true },
		"mode":    func(e *manifest.Entry) { e.Mode = 0o644 },
		"owner":   func(e *manifest.Entry) { e.GID = 3 },
		"mtime":   func(e *manifest.Entry) { e.Mtime.Nsec-- },
		"size":    func(e *manifest.Entry) { e.Size++ },
		"content": func(e *manifest.Entry) { e.SHA256[31]++ },
		"device":  func(e *manifest.Entry) { e.Rdev++ },
		"target":  func(e *manifest.Entry) { e.Target = "x" },
		"link":    func(e *manifest.Entry) { e.Link = "x" },
		"xattrs":  func(e *manifest.Entry) { e.Xattrs = e.Xattrs[:1] },
	} {
		other := base
		change(&other)
		if got := strings.Join(base.Differences(other), " "); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	other := base
	other.Mode, other.UID = 0, 9
	if got := base.Differences(other); !slices.Equal(got, []string{"mode", "owner"}) {
		t.Errorf("got %q", got)
	}
}

// TestScan compares the manifest of a directory with the slow walk, also where nothing was noted.
func TestScan(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"a/f", "a-", "b/c/f", "b/e"} {
		must(t, os.MkdirAll(filepath.Join(top, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(top, name), []byte(strings.Repeat(name, 200_000)), 0o640))
	}
	must(t, os.Link(filepath.Join(top, "a/f"), filepath.Join(top, "b/c/l")))
	must(t, os.Symlink("nowhere", filepath.Join(top, "b/s")))
	must(t, os.Link(filepath.Join(top, "b/s"), filepath.Join(top, "b/s2")))
	must(t, unix.Mkfifo(filepath.Join(top, "p"), 0o600))
	must(t, os.Chtimes(filepath.Join(top, "b"), unixTime(-5), unixTime(-5)))
	must(t, unix.Setxattr(filepath.Join(top, "b/e"), "user.y", []byte("z"), 0))
	must(t, unix.Setxattr(filepath.Join(top, "b/e"), "user.x", nil, 0))
	for name, sums := range map[string]*manifest.Sums{"nothing is noted": nil, "noted and forgotten": forgotten(t, top)} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := manifest.NewWriter(&b, manifest.Directory)
			d, err := os.Open(top)
			must(t, err)
			defer d.Close()
			must(t, manifest.WriteDirectory(context.Background(), w, d, sums))
			must(t, w.Close())
			got, err := decode(b.Bytes())
			must(t, err)
			if diff := layertest.DiffEntries(got, layertest.Entries(t, top)); diff != "" {
				t.Error(diff)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := manifest.WriteDirectory(ctx, manifest.NewWriter(io.Discard, manifest.Directory), d, sums); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// forgotten notes wrong digests of all files in top, and then that they are not known.
func forgotten(t *testing.T, top string) *manifest.Sums {
	s := &manifest.Sums{}
	must(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, _ error) error {
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		s.Set(st.Ino, [32]byte{1})
		s.Set(st.Ino, [32]byte{2})
		s.Forget(st.Ino)
		return nil
	}))
	return s
}

func FuzzReader(f *testing.F) {
	f.Add(encode(f, manifest.Directory, all()...))
	f.Add(encode(f, manifest.Changes, root()))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decode(b)
		if err != nil {
			if !errdefs.IsDataLoss(err) && !errdefs.IsNotImplemented(err) {
				t.Fatalf("an error without a class: %v", err)
			}
			return
		}
		again, err := decode(encode(t, manifest.Kind(b[16]), entries...))
		if diff := layertest.DiffEntries(again, entries); err != nil || diff != "" {
			t.Fatalf("what was read cannot be written: %v\n%s", err, diff)
		}
	})
}

// TestAnyTree: what is written is read, and any one byte that is changed is noticed.
func TestAnyTree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		paths := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab\-\xe9]{1,2}(/[ab.0]{3}){0,3}`), 0, 8, rapid.ID[string]).Draw(r, "paths")
		slices.SortFunc(paths, manifest.ComparePaths)
		entries := []manifest.Entry{root()}
		for _, path := range paths {
			entries = append(entries, manifest.Entry{
				Path: path, Type: manifest.Regular, Mode: uint32(rapid.IntRange(0, 0o7777).Draw(r, "mode")),
				UID: rapid.Uint32().Draw(r, "uid"), Mtime: unix.Timespec{Sec: rapid.Int64().Draw(r, "mtime")},
				Size: rapid.Int64Min(0).Draw(r, "size"), SHA256: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "sha256")),
			})
		}
		b := encode(t, manifest.Directory, entries...)
		got, err := decode(b)
		if diff := layertest.DiffEntries(got, entries); err != nil || diff != "" {
			r.Fatalf("%v\n%s", err, diff)
		}
		b[rapid.IntRange(0, len(b)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
		if _, err := decode(b); err == nil {
			r.Fatal("a changed byte went unnoticed")
		}
	})
}
