package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

func ExampleRetry() {
	attempts := 0
	err := chain.Retry(func() error {
		if attempts++; attempts < 3 {
			return fmt.Errorf("layer sha256:…: %w", chain.ErrChanged)
		}
		return nil
	})
	fmt.Println(attempts, err)
	// Output: 3 <nil>
}

func TestRetryGivesUp(t *testing.T) {
	attempts := 0
	err := chain.Retry(func() error { attempts++; return chain.ErrChanged })
	if !errors.Is(err, chain.ErrChanged) || attempts < 2 || attempts > 100 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
	attempts = 0
	if err := chain.Retry(func() error { attempts++; return io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) || attempts != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

func TestOpenMerged(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	var dirs []string
	for i := range 3 {
		dir := t.TempDir()
		for _, name := range []string{"all", fmt.Sprint(i)} {
			if err := os.WriteFile(filepath.Join(dir, name), fmt.Append(nil, i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		dirs = append(dirs, dir)
	}
	for n := 1; n <= 3; n++ {
		f, err := chain.OpenMerged(dirs[:n])
		if err != nil {
			t.Fatal(err)
		}
		root := fmt.Sprintf("/proc/self/fd/%d/", f.Fd())
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != n+1 {
			t.Errorf("%d directories: %v, %v", n, entries, err)
		}
		if b, err := os.ReadFile(root + "all"); err != nil || string(b) != "0" {
			t.Errorf("%d directories: the nearest is not on top: %q, %v", n, b, err)
		}
		if err := os.WriteFile(root+"new", nil, 0o600); err == nil {
			t.Errorf("%d directories: it can be written to", n)
		}
		f.Close()
	}
	if _, err := chain.OpenMerged([]string{dirs[0], filepath.Join(dirs[0], "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory is missing: %v", err)
	}
	if _, err := chain.OpenMerged(nil); !errdefs.IsInvalidArgument(err) {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestDirs(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		src := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")), layertest.Tar(file("c", "c")))
		s.make(t, src)
		dirs, err := s.maker.Dirs(t.Context(), top(src))
		if err != nil || len(dirs) != 3 {
			t.Fatalf("%q, %v", dirs, err)
		}
		for i, name := range []string{"c", "b", "a"} {
			if _, err := os.Stat(filepath.Join(dirs[i], name)); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.maker.Dirs(t.Context(), "none"); !errdefs.IsNotFound(err) {
			t.Errorf("no such snapshot: %v", err)
		}
	})
}

// TestCompressions has one layer stored in every way that blobs come in. The DiffID is of what is
// inside, with the padding after the end of the archive.
func TestCompressions(t *testing.T) {
	tar := append(layertest.Tar(rootDir(0o755), file("f", "content")), make([]byte, 10240)...)
	deflate := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'}
	for name, blob := range map[string][]byte{
		"plain": tar, "gzip": deflate(tar), "zstd": encoder.EncodeAll(tar, nil),
		"gzip of two members":  slices.Concat(deflate(tar[:700]), deflate(tar[700:])),
		"zstd of three frames": slices.Concat(encoder.EncodeAll(tar[:700], nil), skippable, encoder.EncodeAll(tar[700:], nil)),
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s store) {
				src := source(t, tar)
				src.Image.Layers[0].Digest, src.Image.Layers[0].Size = digest.FromBytes(blob), int64(len(blob))
				src.Open = func(int) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }
				s.check(t, src)
			})
		})
	}
}
