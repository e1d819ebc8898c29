package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image/blob"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		panic(err)
	}
	in, err := store.Begin()
	if err != nil {
		panic(err)
	}
	defer in.Close()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{{Name: "a/link", Typeflag: tar.TypeSymlink, Linkname: "../file"}, {Name: "file", Mode: 0o644, Size: 5}} {
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
	}
	fmt.Fprint(w, "hello")
	w.Close()
	t, err := Scan(context.Background(), &b, in, nil)
	if err != nil {
		panic(err)
	}
	text, err := t.Read("a/link", 100)
	fmt.Printf("%s %v\n", text, err)
	// Output: hello <nil>
}

func newIngest(t testing.TB) *blob.Ingest {
	t.Helper()
	dir := t.TempDir()
	s, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// files is what both trees are.
type files interface {
	Read(name string, limit int64) ([]byte, error)
	Take(ctx context.Context, name string, want ocispec.Descriptor) (ocispec.Descriptor, error)
}

var (
	_ files = &Tar{}
	_ files = &Directory{}
)

// both returns the same files as a tar and as a directory. A value that begins with -> is a link.
func both(t *testing.T, content map[string]string) map[string]func(*blob.Ingest) files {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	dir := t.TempDir()
	for name, text := range content {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}
		target, link := strings.CutPrefix(text, "->")
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if link {
			h.Typeflag, h.Linkname, h.Size, text = tar.TypeSymlink, target, 0, ""
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
		}
		if err = errors.Join(err, w.WriteHeader(h)); err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return map[string]func(*blob.Ingest) files{
		"tar": func(in *blob.Ingest) files {
			f, err := Scan(t.Context(), iotest.HalfReader(bytes.NewReader(b.Bytes())), in, nil)
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"directory": func(in *blob.Ingest) files {
			root, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { root.Close() })
			return NewDirectory(root, in)
		},
	}
}

func TestRead(t *testing.T) {
	large := strings.Repeat("large ", 100_000)
	for form, make := range both(t, map[string]string{
		"small": "small", "empty": "", "d/large": large, "link": "->d/link", "d/link": "->large", "loop": "->loop", "dangling": "->x",
	}) {
		f := make(newIngest(t))
		for _, c := range []struct {
			name  string
			limit int64
			want  string
			class error
		}{
			{"small", 5, "small", nil},
			{"./d/../small", 5, "small", nil},
			{"small", 4, "", errdefs.ErrInvalidArgument},
			{"empty", 0, "", nil},
			{"d/large", 1 << 20, large, nil},
			{"d/large", int64(len(large)), large, nil},
			{"d/large", int64(len(large)) - 1, "", errdefs.ErrInvalidArgument},
			{"link", 1 << 20, large, nil},
			{"loop", 100, "", errdefs.ErrInvalidArgument},
			{"dangling", 100, "", errdefs.ErrNotFound},
			{"nothing", 100, "", errdefs.ErrNotFound},
			{"small/x", 100, "", errdefs.ErrNotFound},
		} {
			got, err := f.Read(c.name, c.limit)
			if string(got) != c.want || !errors.Is(err, c.class) {
				t.Errorf("%s: Read(%s, %d) = %d bytes, %v; want %d, %v", form, c.name, c.limit, len(got), err, len(c.want), c.class)
			}
		}
	}
}

func TestTake(t *testing.T) {
	large := strings.Repeat("large ", 100_000)
	for form, make := range both(t, map[string]string{"small": "small", "large": large, "link": "->large", "dangling": "->x"}) {
		describe := func(s string) ocispec.Descriptor {
			return ocispec.Descriptor{Digest: digest.FromString(s), Size: int64(len(s))}
		}
		sized := func(d ocispec.Descriptor, size int64) ocispec.Descriptor { d.Size = size; return d }
		for _, c := range []struct {
			title, name string
			want        ocispec.Descriptor
			is          string
			class       error
		}{
			{"small", "small", describe("small"), "small", nil},
			{"small, size unknown", "small", sized(describe("small"), -1), "small", nil},
			{"small, unknown", "small", ocispec.Descriptor{Size: -1}, "small", nil},
			{"large", "large", describe(large), large, nil},
			{"large, unknown", "link", ocispec.Descriptor{Size: -1}, large, nil},
			{"large, by sha512", "large", ocispec.Descriptor{Digest: digest.SHA512.FromString(large), Size: int64(len(large))}, large, nil},
			{"small, by sha512", "small", ocispec.Descriptor{Digest: digest.SHA512.FromString("small"), Size: 5}, "small", nil},
			{"wrong digest", "large", describe("large"), "", errdefs.ErrDataLoss},
			{"wrong digest of small", "small", sized(describe("smalL"), 5), "", errdefs.ErrDataLoss},
			{"wrong sha512", "large", ocispec.Descriptor{Digest: digest.SHA512.FromString("x"), Size: int64(len(large))}, "", errdefs.ErrDataLoss},
			{"wrong size", "large", sized(describe(large), 7), "", errdefs.ErrDataLoss},
			{"missing", "nothing", describe("small"), "", errdefs.ErrNotFound},
			{"dangling", "dangling", describe("small"), "", errdefs.ErrNotFound},
		} {
			t.Run(form+", "+c.title, func(t *testing.T) {
				in := newIngest(t)
				got, err := make(in).Take(t.Context(), c.name, c.want)
				if !errors.Is(err, c.class) {
					t.Fatalf("got %v, want %v", err, c.class)
				}
				if c.class != nil {
					return
				}
				f, err := in.Open(got.Digest)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if b, err := io.ReadAll(f); err != nil || string(b) != c.is {
					t.Errorf("%d bytes, %v; want %d", len(b), err, len(c.is))
				}
				if c.want.Size < 0 && c.want.Digest == "" && (got.Size != int64(len(c.is)) || got.Digest != digest.FromString(c.is)) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

func TestDirectorySpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	in := newIngest(t)
	d := NewDirectory(root, in)
	for _, name := range []string{"fifo", "dir", "."} {
		_, readErr := d.Read(name, 100)
		_, takeErr := d.Take(t.Context(), name, ocispec.Descriptor{Size: -1})
		for _, err := range []error{readErr, takeErr} {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if got := in.Digests(); len(got) != 0 {
		t.Errorf("the ingest holds %v", got)
	}
}

func TestScanLimits(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "./index", Size: 8 << 30}); err != nil {
		t.Fatal(err)
	}
	in := newIngest(t)
	_, err := Scan(t.Context(), &b, in, map[string]int64{"index": 4 << 20})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "8589934592 bytes") || len(in.Digests()) != 0 {
		t.Errorf("got %v", err)
	}

	b.Reset()
	w = tar.NewWriter(&b)
	for i := range maxEntries + 1 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeFifo}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Scan(t.Context(), &b, in, nil); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "more than 100000 entries") {
		t.Errorf("got %v", err)
	}
}

// TestScanMemory: many small files do not fill the memory.
func TestScanMemory(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text := make([]byte, maxSmall)
	const n = maxInMemory/maxSmall + 20
	for i := range n {
		text[0] = byte(i)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Size: maxSmall}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	in := newIngest(t)
	f, err := Scan(t.Context(), &b, in, nil)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if spilled := len(in.Digests()); spilled == 0 || spilled > 20 {
		t.Errorf("%d files are in the ingest", spilled)
	}
	for i := range n {
		if got, err := f.Read(fmt.Sprint(i), maxSmall); err != nil || len(got) != maxSmall || got[0] != byte(i) {
			t.Errorf("file %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// TestScanRefusesSparse: GNU tar's three formats, made by the real one.
func TestScanRefusesSparse(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "hole"))
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 1<<20)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, format := range [][]string{{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"}, {"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"}} {
		data, err := exec.CommandContext(t.Context(), "tar", append(format, "-C", dir, "-cSf", "-", "hole")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Scan(t.Context(), bytes.NewReader(data), newIngest(t), nil); !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("%v: %v", format, err)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, h := range []tar.Header{
		{Name: "a", Size: 3},
		{Name: "../a"},
		{Name: "/a"},
		{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "a"},
		{Name: "a/", Typeflag: tar.TypeDir},
		{Name: "b", Typeflag: tar.TypeLink, Linkname: "../b"},
		{Name: strings.Repeat("long/", 60)},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
		fmt.Fprint(w, "abc"[:h.Size])
		w.Close()
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:600])
	}
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Scan(t.Context(), bytes.NewReader(data), newIngest(t), nil)
		if err != nil {
			if errors.Is(err, errdefs.ErrInvalidArgument) || errors.Is(err, errdefs.ErrDataLoss) || errors.Is(err, errdefs.ErrNotImplemented) {
				return
			}
			t.Fatalf("%v has no class", err)
		}
		for name := range got.entries {
			if name == ".." || strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/") {
				t.Errorf("an entry is at %q", name)
			}
			if _, err := got.Read(name, 1<<30); err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) && !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("Read(%q): %v", name, err)
			}
		}
	})
}
