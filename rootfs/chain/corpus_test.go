package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/layertest/corpus"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// longEnv has the tests of the corpus try its long cases too.
const longEnv = "LRUN_TEST_CORPUS_LONG"

// TestCorpus makes every stack of the corpus with every driver: it is the tree that it should be, or refused with the
// class that it should be, and leaves nothing behind. What is outside the root stays as it is.
func TestCorpus(t *testing.T) {
	for _, driver := range []string{"overlayfs", "vfs", "btrfs"} {
		t.Run(driver, func(t *testing.T) {
			testutil.RequireRoot(t)
			if driver == "btrfs" {
				testutil.Btrfs(t)
			} else {
				testutil.InMemory(t) // hundreds of small images, each synced
			}
			testutil.LeakCheck(t)
			top := t.TempDir()
			outside, roots := filepath.Join(top, "outside"), filepath.Join(top, "roots")
			if err := errors.Join(os.Mkdir(roots, 0o700), watchedDirectory(outside)); err != nil {
				t.Fatal(err)
			}
			before := testutil.TreeHash(t, outside)
			for i, c := range corpus.Layers(outside) {
				if c.Long && os.Getenv(longEnv) == "" {
					continue
				}
				root := filepath.Join(roots, strconv.Itoa(i))
				if err := os.Mkdir(root, 0o700); err != nil { // of which open looks how it can be mounted
					t.Fatal(err)
				}
				t.Run(c.Name, func(t *testing.T) { checkCase(t, open(t, root, driver), c) })
				if names, err := os.ReadDir(top); err != nil || len(names) != 2 || testutil.TreeHash(t, outside) != before {
					t.Fatalf("%s: something outside has changed: %v, %v", c.Name, names, err)
				}
			}
		})
	}
}

// watchedDirectory makes a directory whose files the hostile layers want.
func watchedDirectory(dir string) error {
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("file"), 0o644),
		os.Symlink("secret", filepath.Join(dir, "link")),
	)
}

func checkCase(t *testing.T, s store, c corpus.Case) {
	src := stored(c.Layers)
	err := s.maker.Make(t.Context(), s.task(src))
	if c.Refused != nil {
		if !errors.Is(err, c.Refused) {
			t.Errorf("got %v, want %v", err, c.Refused)
		}
		s.isEmpty(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s.merged(t, src, func(dir string) {
		got, err := corpus.Describe(dir)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(c.Tree))
		if !slices.Equal(got, want) {
			t.Errorf("it is another tree:\n%s", layertest.Diff(got, want))
		}
		for _, name := range c.Same {
			sameFile(t, filepath.Join(dir, c.Same[0]), filepath.Join(dir, name))
		}
	})
	s.removeAll(t, src)
	s.isEmpty(t)
}

func sameFile(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.Lstat(a)
	y, err2 := os.Lstat(b)
	if err = errors.Join(err, err2); err != nil || !os.SameFile(x, y) {
		t.Errorf("%s and %s are not one file: %v", a, b, err)
	}
}

// removeAll removes the chain of src.
func (s store) removeAll(t *testing.T, src chain.Source) {
	t.Helper()
	for _, id := range slices.Backward(src.Image.ChainIDs()) {
		if err := s.snapshots.Remove(t.Context(), id.String()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.maker.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stored makes an image of blobs that are stored as they are. A DiffID is right even where the layer is damaged, lest it
// be refused for that.
func stored(blobs [][]byte) chain.Source {
	im := image.Image{}
	for _, blob := range blobs {
		im.Layers = append(im.Layers, ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))})
		im.Config.RootFS.DiffIDs = append(im.Config.RootFS.DiffIDs, digest.FromBytes(corpus.Plain(blob)))
	}
	im.ID = digest.FromString(fmt.Sprint(im.Config.RootFS.DiffIDs))
	return chain.Source{Image: im, Open: func(layer int) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blobs[layer])), nil
	}}
}
