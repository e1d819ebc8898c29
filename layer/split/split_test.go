package split_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
	"golang.org/x/sys/unix"

	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/split"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree writes files, named and filled by pairs, and returns their directory.
func tree(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(files[i+1]), 0o600))
	}
	return dir
}

// index indexes the files in dir.
func index(t testing.TB, dir string) *split.Index {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	var buf bytes.Buffer
	w := manifest.NewWriter(&buf, manifest.Directory)
	must(t, errors.Join(manifest.WriteDirectory(t.Context(), w, f, nil), w.Close()))
	m, err := manifest.NewReader(&buf)
	must(t, err)
	x, err := split.NewIndex(m)
	must(t, err)
	return x
}

// data splits a layer whose files are in dir.
func data(t testing.TB, layer []byte, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	total, err := split.Write(t.Context(), &buf, iotest.HalfReader(bytes.NewReader(layer)), index(t, dir))
	must(t, err)
	if total.DiffID != digest.FromBytes(layer) || total.Size != int64(len(layer)) {
		t.Fatalf("%+v of a tar of %d bytes, %s", total, len(layer), digest.FromBytes(layer))
	}
	return buf.Bytes()
}

// assemble puts a layer together.
func assemble(ctx context.Context, data []byte, dir string) ([]byte, error) {
	r, err := split.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	err = split.Assemble(ctx, &out, f, r)
	return out.Bytes(), err
}

// random is content that nothing compresses.
func random(n int) string {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return string(b)
}

// lines unpacks the compression.
func lines(t testing.TB, data []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	return string(b)
}

// pack is the reverse of lines.
func pack(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	must(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

func global(records map[string]string) lt.Entry {
	return lt.Entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: records, Format: tar.FormatPAX}}
}

func long(n int) string { return strings.Repeat("d/", n/2) + "f" }

// forms are layers, with the files that become of them.
func forms(t testing.TB) []struct {
	name  string
	tar   []byte
	files []string
	lib   bool // the library puts it together as well
} {
	small := lt.Tar(lt.Dir("a"), lt.File("a/f", "content"))
	holes := []string{"s", sparse, "t", "t"}
	return []struct {
		name  string
		tar   []byte
		files []string
		lib   bool
	}{
		{"nothing", lt.Tar(), nil, true},
		{"no end", small[:len(small)-1024], []string{"a/f", "content"}, true},
		{"half an end", small[:len(small)-512], []string{"a/f", "content"}, true},
		{"padding", append(bytes.Clone(small), make([]byte, 300_000)...), []string{"a/f", "content"}, true},
		{"rubbish at the end", append(bytes.Clone(small), random(100_000)...), []string{"a/f", "content"}, true},
		{"types", lt.Tar(lt.Dir("."), lt.Dir("d"), lt.File("d/e", ""), lt.File("d/f", "x", lt.Mode(0o4755), lt.Owner(5, 70000)), lt.Link("l", "d/f"),
			lt.Symlink("s", "d"), lt.Char("c", 1, 3), lt.Block("b", 8, 1), lt.Fifo("p")), []string{"d/e", "", "d/f", "x"}, true},
		{"whiteouts", lt.Tar(lt.Whiteout("gone"), lt.Opaque("d"), lt.File("d/f", "y")), []string{"d/f", "y"}, true},
		{"a whiteout with content", lt.Tar(lt.File(".wh.x", "bytes")), nil, true},
		{"xattrs", lt.Tar(lt.File("x", "x", lt.Xattr("user.a", strings.Repeat("v", 50_000)))), []string{"x", "x"}, true},
		{"global headers", lt.Tar(global(map[string]string{"comment": "c"}), lt.File("f", "f"), global(map[string]string{"mtime": "1"})), []string{"f", "f"}, true},
		{
			"odd names", lt.Tar(lt.File("/abs", "1"), lt.File("./dot//x", "2"), lt.File("../up", "3"), lt.File("new\nline", "4"), lt.File(long(600), "5"), lt.File("<&>\u2028", "6")),
			[]string{"abs", "1", "dot/x", "2", "up", "3", "new\nline", "4", long(600), "5", "<&>\u2028", "6"},
			true,
		},
		{"names that are no UTF-8", rawName("caf\xe9", "latin"), []string{"caf\xe9", "latin"}, true},
		{"a large file", lt.Tar(lt.File("big", random(3<<20+7)), lt.File("after", "z")), []string{"big", random(3<<20 + 7), "after", "z"}, true},
		{"moved by a link in another layer", lt.Tar(lt.File("lib/b", "moved")), []string{"usr/lib/b", "moved"}, true},
		{"twice the same file", lt.Tar(lt.File("f", "same"), lt.File("f", "same")), []string{"f", "same"}, false},
		{"another file replaces it", lt.Tar(lt.File("f", "first"), lt.File("g", "g"), lt.File("f", "second")), []string{"f", "second", "g", "g"}, true},
		{"a directory replaces it", lt.Tar(lt.File("f", "first"), lt.Dir("f"), lt.File("f/g", "g")), []string{"f/g", "g"}, true},
		{"directories twice", lt.Tar(lt.Dir("d"), lt.Dir("./d"), lt.Dir("d")), nil, true},
		{"contents change places", lt.Tar(lt.File("a", "1"), lt.File("b", "2"), lt.File("a", "2"), lt.File("b", "1")), []string{"a", "2", "b", "1"}, false},
		{"sparse, GNU's old form", gnuSparse(t, "--format=gnu"), holes, true},
		{"sparse, 0.0", gnuSparse(t, "--format=pax", "--sparse-version=0.0"), holes, true},
		{"sparse, 0.1", gnuSparse(t, "--format=pax", "--sparse-version=0.1"), holes, true},
		{"sparse, 1.0", gnuSparse(t, "--format=pax", "--sparse-version=1.0"), holes, true},
	}
}

// rawName is a tar of one file, in the form of 1979, whose name is any bytes.
func rawName(name, content string) []byte {
	layer := lt.Tar(lt.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n", len(name)), Mode: 0o644, Size: int64(len(content)), Format: tar.FormatGNU}, Body: content})
	copy(layer, name)
	return sum(layer)
}

// sum corrects the checksum of the first header.
func sum(layer []byte) []byte {
	copy(layer[148:], "        ")
	n := 0
	for _, c := range layer[:512] {
		n += int(c)
	}
	copy(layer[148:], fmt.Sprintf("%06o\x00 ", n))
	return layer
}

const sparseHole = 1 << 20

var sparse = strings.Repeat("\x00", sparseHole) + "abc" + strings.Repeat("\x00", sparseHole-3) + "def"

// gnuSparse is what GNU tar makes of a file with holes and one without.
func gnuSparse(t testing.TB, args ...string) []byte {
	t.Helper()
	dir := tree(t, "t", "t")
	f, err := os.Create(dir + "/s")
	must(t, err)
	_, err = f.WriteAt([]byte("abc"), 1<<20)
	_, err2 := f.WriteAt([]byte("def"), 2<<20)
	must(t, errors.Join(err, err2, f.Close()))
	out, err := exec.CommandContext(t.Context(), "tar", append(args, "--sparse", "--hole-detection=raw", "-C", dir, "-cf", "-", "s", "t")...).Output()
	must(t, err)
	if len(out) > 1<<20 {
		t.Fatalf("%v: the tar has no holes", args)
	}
	return out
}

func TestExact(t *testing.T) {
	for _, form := range forms(t) {
		t.Run(form.name, func(t *testing.T) {
			dir := tree(t, form.files...)
			d := data(t, form.tar, dir)
			got, err := assemble(t.Context(), d, dir)
			must(t, err)
			if !bytes.Equal(got, form.tar) {
				t.Errorf("%d bytes, not the %d of the layer", len(got), len(form.tar))
			}
			if again := data(t, form.tar, dir); !bytes.Equal(again, d) {
				t.Error("the same layer makes other data the second time")
			}
			if !form.lib {
				return
			}
			// Whoever knows tar-split can read it: what we add its readers skip.
			var lib bytes.Buffer
			must(t, asm.WriteOutputTarStream(storage.NewPathFileGetter(dir), storage.NewJSONUnpacker(strings.NewReader(lines(t, d))), &lib))
			if !bytes.Equal(lib.Bytes(), form.tar) {
				t.Errorf("the library makes %d bytes of it, not the %d of the layer", lib.Len(), len(form.tar))
			}
		})
	}
}

// What files have is not in the data.
func TestSmall(t *testing.T) {
	content := random(5 << 20)
	d := data(t, lt.Tar(lt.File("big", content), lt.File("again", content)), tree(t, "big", content, "again", content))
	if len(d) > 4096 {
		t.Errorf("%d bytes of data", len(d))
	}
}

func TestReplacedContent(t *testing.T) {
	content := random(2 << 20)
	layer := lt.Tar(lt.File("f", content), lt.File("f", "new"))
	_, err := split.Write(t.Context(), io.Discard, bytes.NewReader(layer), index(t, tree(t, "f", "new")))
	if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("got %v", err)
	}
}

func TestWriteOfDamage(t *testing.T) {
	layer := lt.Tar(lt.File("f", random(1000)), lt.File("g", "g"))
	x := index(t, tree(t, "g", "g"))
	broken := errors.New("the disk")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"a header":    {bytes.NewReader(append(bytes.Repeat([]byte("x"), 512), layer...)), errdefs.ErrDataLoss},
		"cut off":     {bytes.NewReader(layer[:1600]), errdefs.ErrDataLoss},
		"in a header": {bytes.NewReader(layer[:3000]), errdefs.ErrDataLoss},
		"its reader":  {io.MultiReader(bytes.NewReader(layer[:1600]), iotest.ErrReader(broken)), broken},
		"at the end":  {io.MultiReader(bytes.NewReader(layer), iotest.ErrReader(broken)), broken},
		"before it":   {iotest.ErrReader(broken), broken},
	} {
		if _, err := split.Write(t.Context(), io.Discard, c.r, x); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := split.Write(t.Context(), failing{broken}, bytes.NewReader(layer), x); !errors.Is(err, broken) {
		t.Errorf("writing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := split.Write(ctx, io.Discard, bytes.NewReader(layer), x); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Whatever happens to the files, the stream is the layer's or there is an error.
func TestFilesThatChanged(t *testing.T) {
	layer := lt.Tar(lt.Dir("d"), lt.File("d/f", "content"), lt.File("g", "g"))
	for name, change := range map[string]func(dir string) error{
		"a byte":     func(dir string) error { return os.WriteFile(dir+"/d/f", []byte("kontent"), 0o600) },
		"longer":     func(dir string) error { return os.WriteFile(dir+"/d/f", []byte("content."), 0o600) },
		"shorter":    func(dir string) error { return os.WriteFile(dir+"/d/f", nil, 0o600) },
		"gone":       func(dir string) error { return os.Remove(dir + "/d/f") },
		"a FIFO":     func(dir string) error { return errors.Join(os.Remove(dir+"/g"), unix.Mkfifo(dir+"/g", 0o600)) },
		"a link":     func(dir string) error { return errors.Join(os.Rename(dir+"/g", dir+"/h"), os.Symlink("h", dir+"/g")) },
		"a way out":  func(dir string) error { return errors.Join(os.Rename(dir+"/d", dir+"/e"), os.Symlink("e", dir+"/d")) },
		"a file":     func(dir string) error { return errors.Join(os.RemoveAll(dir+"/d"), os.WriteFile(dir+"/d", nil, 0o600)) },
		"everything": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, "d/f", "content", "g", "g")
			path := filepath.Join(t.TempDir(), split.FileName)
			must(t, os.WriteFile(path, data(t, layer, dir), 0o600))
			must(t, change(dir))
			s, err := split.NewSource(t.Context(), path, dir)
			must(t, err)
			r, err := s.Open(t.Context())
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				must(t, r.Close())
			}
			if !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSource(t *testing.T) {
	dir := tree(t, "f", random(100_000))
	layer := lt.Tar(lt.File("f", random(100_000)))
	path := filepath.Join(t.TempDir(), split.FileName)
	if _, err := split.CheckFile(t.Context(), path); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
	must(t, os.WriteFile(path, data(t, layer, dir), 0o600))
	s, err := split.NewSource(t.Context(), path, dir)
	must(t, err)
	if s.DiffID != digest.FromBytes(layer) || s.Size != int64(len(layer)) || s.Entries == 0 {
		t.Errorf("%+v", s)
	}
	r, err := s.Open(t.Context())
	must(t, err)
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, layer) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	must(t, r.Close())
	if r, err = s.Open(t.Context()); err == nil { // one that nobody reads to its end
		_, err = r.Read(make([]byte, 10))
		must(t, errors.Join(err, r.Close()))
	}
	must(t, err)
	must(t, os.Remove(path))
	if _, err := s.Open(t.Context()); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("gone meanwhile: %v", err)
	}
}
