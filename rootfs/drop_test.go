package rootfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	commit "github.com/lrun-dev/lrun/image/child"
	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/split"
	"github.com/lrun-dev/lrun/rootfs/dropped"
)

// random is content that nothing compresses, so that a layer is worth dropping.
func random(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// heavy are layers with files of every type, and what makes one depend on another, each with a file that is worth something.
func heavy() [][]byte {
	return [][]byte{
		lt.Tar(
			lt.Dir("."), lt.Dir("usr"), lt.Dir("usr/lib"), lt.Symlink("lib", "usr/lib"), lt.File("usr/lib/a", random(1, 40_000), lt.Mode(0o4755)),
			lt.Link("usr/b", "usr/lib/a"), lt.Dir("tmp", lt.Mode(0o1777)), lt.File("tmp/x", "x", lt.Owner(7, 70000), lt.Xattr("user.note", "value")),
			lt.Char("null", 1, 3), lt.Fifo("pipe"), lt.File("gone", "gone"), lt.Dir("home"), lt.File("home/x", "x"), lt.File("empty", ""),
		),
		append(lt.Tar(
			lt.File("lib/new", random(2, 40_000)), lt.Whiteout("gone"), lt.Opaque("home"), lt.File("home/only", "z"), lt.Link("third", "lib/a"),
			lt.File("twice", "first"), lt.File("twice", "second"), lt.File("caf\u00e9\n", "name"), lt.Dir("usr"), lt.File("implied/dir/f", "f"),
		), make([]byte, 20_000)...),
		lt.Tar(lt.File("tmp/x", random(3, 40_000)), lt.File("home", "a file now"), lt.Dir("empty"), lt.File("empty/f", "f")),
	}
}

// drop drops blobs and returns what has become of them.
func (w *world) drop(t testing.TB, o dropped.Options) []dropped.Outcome {
	t.Helper()
	var list []dropped.Outcome
	o.Report = func(out dropped.Outcome) { list = append(list, out) }
	if err := w.DropBlobs(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return list
}

// gone drops all blobs of layers and fails when one stays.
func (w *world) gone(t testing.TB, images ...image.Image) {
	t.Helper()
	for _, o := range w.drop(t, dropped.Options{}) {
		if o.Kept != nil || o.Bytes <= 0 {
			t.Errorf("blob %s: %d bytes, %v", o.Blob, o.Bytes, o.Kept)
		}
	}
	for _, im := range images {
		for i, l := range im.Layers {
			if w.Blobs.Has(l.Digest) {
				t.Errorf("the blob of layer %d is there", i)
			}
		}
	}
}

// exact fails unless the tars of im are those of layers.
func (w *world) exact(t testing.TB, im image.Image, layers [][]byte) {
	t.Helper()
	for i, want := range layers {
		r, err := w.Dropped().Open(t.Context(), im, i)
		if err != nil {
			t.Errorf("layer %d: %v", i, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("layer %d: %d bytes, not the %d that came, %v", i, len(got), len(want), err)
		}
	}
}

// other is the same root by the other driver.
func (w *world) other(t testing.TB) *world {
	t.Helper()
	return mustOpen(t, w.root, map[string]string{"overlayfs": "vfs", "vfs": "overlayfs"}[w.driver])
}

func TestDropBlobs(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := heavy()
		im := w.mustAdd(t, spec{layers: layers, refs: []string{"app:1", "app:2"}})
		files, used := w.files(t), testutil.DiskUsage(t, w.root)
		dry := w.drop(t, dropped.Options{DryRun: true})
		w.unchanged(t, files)
		if len(dry) != 3 || strings.Join(dry[0].Images, " ") != "app:1 app:2" {
			t.Fatalf("%+v", dry)
		}
		done := w.drop(t, dropped.Options{})
		sum := int64(0)
		for i, o := range done {
			if o.Kept != nil || o.Bytes <= 0 || o.Bytes != dry[i].Bytes || w.Blobs.Has(o.Blob) {
				t.Errorf("%+v, and the dry run said %d bytes", o, dry[i].Bytes)
			}
			sum += o.Bytes
		}
		if now := testutil.DiskUsage(t, w.root); now != used-sum {
			t.Errorf("%d bytes were in use, %d are said to be reclaimed, and %d are in use", used, sum, now)
		}
		w.exact(t, im, layers)
		w.agree(t, im, layers)
		if again := w.drop(t, dropped.Options{}); len(again) != 0 {
			t.Errorf("dropped twice: %+v", again)
		}
		w.other(t).agree(t, im, layers) // it unpacks what this driver has

		// Loading it again brings the blobs back, which can be dropped as well.
		files = w.files(t)
		w.mustAdd(t, spec{layers: layers, refs: []string{"app:1"}})
		w.whole(t)
		w.gone(t, im)
		w.unchanged(t, files)
		if _, err := w.Remove(t.Context(), im.ID.String(), true, nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Sweep(t.Context()), w.other(t).Sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(w.root + "/snapshots/*/data/*"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// One blob in two chains must be replaced in both.
func TestDropOfASharedBlob(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := dependent()
		w.mustAdd(t, spec{layers: layers[:2], refs: []string{"one"}})
		two := w.mustAdd(t, spec{layers: [][]byte{layers[2], layers[1]}, refs: []string{"two"}})
		out := w.drop(t, dropped.Options{Only: w.records(t, "one")})
		if len(out) != 2 || out[1].Kept != nil || strings.Join(out[1].Images, " ") != "one:latest two:latest" || !w.Blobs.Has(two.Layers[0].Digest) {
			t.Errorf("%+v", out)
		}
		if _, err := w.Remove(t.Context(), "one", false, nil); err != nil {
			t.Fatal(err)
		}
		w.gone(t, two)
		w.exact(t, two, [][]byte{layers[2], layers[1]})
	})
}

// dependent are three layers, of which the second is another directory on the first than on the third.
func dependent() [][]byte {
	return [][]byte{
		lt.Tar(lt.Dir("lib"), lt.File("lib/a", random(1, 40_000))),
		lt.Tar(lt.File("lib/b", random(2, 40_000))),
		lt.Tar(lt.Dir("usr"), lt.Symlink("lib", "usr"), lt.File("usr/a", random(3, 40_000))),
	}
}

func (w *world) records(t testing.TB, name string) []image.Record {
	t.Helper()
	r, err := w.Images.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return []image.Record{r}
}

// What cannot be made again, or is not worth it, stays and says why.
func TestDropKeeps(t *testing.T) {
	large := random(9, 2<<20)
	plain := lt.Tar(lt.File("f", random(1, 40_000)), lt.File("g", "g"))
	for name, c := range map[string]struct {
		layer  []byte
		change func(t *testing.T, w *world, im image.Image) error
		want   string
		small  bool
	}{
		"replaced":  {layer: lt.Tar(lt.File("f", large), lt.File("f", "new")), want: `split "f": a later entry of the layer has replaced its 2097152 bytes`},
		"small":     {layer: lt.Tar(lt.File("f", "f")), want: "nothing would be gained", small: true},
		"all holes": {layer: lt.Tar(lt.Dir("d")), want: "nothing would be gained", small: true},
		"no manifest": {layer: plain, want: "no such file", change: func(t *testing.T, w *world, im image.Image) error {
			return os.Remove(w.data(t, im, 0) + "/manifest")
		}},
		"a damaged file": {layer: plain, want: `file "f" of the layer is not what was unpacked`, change: func(t *testing.T, w *world, im image.Image) error {
			return os.WriteFile(w.data(t, im, 0)+"/fs/f", []byte(random(2, 40_000)), 0o600)
		}},
		"a missing file": {layer: plain, want: `open file "g"`, change: func(t *testing.T, w *world, im image.Image) error {
			return os.Remove(w.data(t, im, 0) + "/fs/g")
		}},
		"another blob": {layer: plain, want: "the blob has DiffID", change: func(t *testing.T, w *world, im image.Image) error {
			other := bytes.Clone(plain)
			return os.WriteFile(w.blob(im.Layers[0].Digest), append(other, make([]byte, 512)...), 0o600)
		}},
		"a damaged blob": {layer: plain, want: "read layer", change: func(t *testing.T, w *world, im image.Image) error {
			return os.Truncate(w.blob(im.Layers[0].Digest), 20_000)
		}},
		"another tool's": {layer: plain, want: "an entry of another tool in index.json needs it", change: func(_ *testing.T, w *world, im image.Image) error {
			path := w.root + "/images/index.json"
			b, err := os.ReadFile(path)
			entry := fmt.Sprintf(`"manifests":[{"mediaType":%q,"digest":%q,"size":%d},`, im.Manifest.MediaType, im.Manifest.Digest, im.Manifest.Size)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(b, []byte(`"manifests":[`), []byte(entry), 1), 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				im := w.mustAdd(t, spec{layers: [][]byte{c.layer}, refs: []string{"app"}})
				if c.change != nil {
					if err := c.change(t, w, im); err != nil {
						t.Fatal(err)
					}
				}
				before := w.files(t)
				out := w.drop(t, dropped.Options{})
				if len(out) != 1 || out[0].Kept == nil || out[0].Bytes != 0 || out[0].Small != c.small || !strings.Contains(out[0].Kept.Error(), c.want) {
					t.Errorf("%+v, want %q", out, c.want)
				}
				w.unchanged(t, before)
			})
		})
	}
}

func (w *world) blob(d digest.Digest) string {
	return filepath.Join(w.root, "images/blobs", d.Algorithm().String(), d.Encoded())
}

// What happens between the making of split data and the removal of blobs is seen.
func TestDropMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := dependent()
		im := w.mustAdd(t, spec{layers: layers[:2], refs: []string{"app"}})
		var outcomes []dropped.Outcome
		o := dropped.Options{Report: func(o dropped.Outcome) { outcomes = append(outcomes, o) }}
		err := w.Dropped().Drop(t.Context(), func(_ context.Context, do func() error) error {
			w.mustAdd(t, spec{layers: layers[1:2], refs: []string{"other"}, plain: true}) // another blob
			w.mustAdd(t, spec{layers: [][]byte{layers[2], layers[1]}, refs: []string{"third"}})
			return do()
		}, o)
		if err != nil || len(outcomes) != 2 || outcomes[0].Kept != nil || !errdefs.IsFailedPrecondition(outcomes[1].Kept) || !w.Blobs.Has(im.Layers[1].Digest) {
			t.Errorf("%+v, %v", outcomes, err)
		}
		w.gone(t, im)
		broken := errors.New("no lock")
		w.mustAdd(t, spec{layers: layers[:2], refs: []string{"app"}})
		if err := w.Dropped().Drop(t.Context(), func(context.Context, func() error) error { return broken }, o); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		w.exact(t, im, [][]byte{layers[0]})
	})
}

// countdown is a context that is done when it was asked a number of times.
type countdown struct {
	context.Context
	left *atomic.Int64
}

func (c countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// Ctrl-C at any moment leaves nothing of what was being made.
func TestDropCancelled(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: heavy()[:1], refs: []string{"app"}})
		before := w.files(t)
		for n := int64(0); n < 200; n += 7 {
			left := &atomic.Int64{}
			left.Store(n)
			err := w.Dropped().Drop(countdown{t.Context(), left}, func(context.Context, func() error) error { return context.Canceled },
				dropped.Options{Report: func(dropped.Outcome) {}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("after %d: %v", n, err)
			}
			// What is complete may be there: the next call replaces it.
			if err := os.Remove(filepath.Join(w.data(t, im, 0), split.FileName)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			w.unchanged(t, before)
		}
	})
}

// An image that is committed, or comes without a manifest, counts on blobs that were dropped.
func TestAddToDropped(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := heavy()
		published := spec{layers: layers, refs: []string{"app"}, repoDigest: digest.FromString("repo")}
		im := w.mustAdd(t, published)
		w.gone(t, im)
		w.mustAdd(t, spec{layers: layers, refs: []string{"app"}, plain: true})
		if r := w.records(t, "app")[0]; r.Manifest.Digest != im.Manifest.Digest {
			t.Error("the manifest under which it was published was replaced")
		}
		c := w.onTop(t, im, lt.Tar(lt.File("more", random(8, 40_000))))
		w.gone(t, c)
		w.exact(t, c, append(layers, lt.Tar(lt.File("more", random(8, 40_000)))))
		if err := os.Remove(filepath.Join(w.data(t, im, 1), split.FileName)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.tryOnTop(t, im, lt.Tar(lt.File("even more", ""))); !errdefs.IsNotFound(err) {
			t.Errorf("with a blob that is lost: %v", err)
		}
		if _, err := w.Dropped().Open(t.Context(), im, 1); !errdefs.IsNotFound(err) {
			t.Errorf("got %v", err)
		}
	})
}

func (w *world) onTop(t testing.TB, parent image.Image, layer []byte) image.Image {
	t.Helper()
	im, err := w.tryOnTop(t, parent, layer)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// tryOnTop adds an image with one more layer, and writes only the blobs that are new, as commit does.
func (w *world) tryOnTop(t testing.TB, parent image.Image, layer []byte) (image.Image, error) {
	t.Helper()
	in, err := w.Blobs.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c, err := childOf(t.Context(), in, parent, layer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Add(t.Context(), in, []image.Candidate{c}, nil)
	return c.Image, err
}

// A layer whose split data was damaged cannot be made again, and the damage is told.
func TestOpenOfDamage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: heavy(), refs: []string{"app"}})
		w.gone(t, im)
		path := filepath.Join(w.data(t, im, 0), split.FileName)
		other, err := os.ReadFile(filepath.Join(w.data(t, im, 1), split.FileName))
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"cut off": func() error { return unix.Truncate(path, 100) },
			"another": func() error { return os.WriteFile(path, other, 0o600) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if r, err := w.Dropped().Open(t.Context(), im, 0); !errdefs.IsDataLoss(err) {
				t.Errorf("%s: %v, %v", name, r, err)
			}
		}
		if err := os.Remove(w.data(t, im, 1) + "/fs/lib/new"); err != nil && os.Remove(w.data(t, im, 1)+"/fs/usr/lib/new") != nil {
			t.Fatal(err)
		}
		r, err := w.Dropped().Open(t.Context(), im, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.Copy(io.Discard, r); !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), "its blob was dropped") {
			t.Errorf("a file is gone: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// childOf is what commit makes.
func childOf(ctx context.Context, in *blob.Ingest, parent image.Image, layer []byte) (image.Candidate, error) {
	return commit.Make(ctx, in, parent, func(w io.Writer) error {
		_, err := w.Write(layer)
		return err
	}, commit.Options{Created: created})
}
