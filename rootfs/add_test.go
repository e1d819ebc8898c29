package rootfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/pairs"
)

func TestAdd(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		in := w.begin(t)
		s := spec{layers: [][]byte{base, change}, refs: []string{"busybox", "example.com/b:1"}, repoDigest: digest.FromString("repo")}
		c, err := s.ingest(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var last rootfs.Event
		records, err := w.Add(t.Context(), in, []image.Candidate{c}, func(e rootfs.Event) { last = e })
		if err != nil {
			t.Fatal(err)
		}
		stored, err := w.Images.List(t.Context())
		if err != nil || len(stored) != 2 || len(records) != 2 {
			t.Fatalf("records %+v returned, %+v stored, %v", records, stored, err)
		}
		for i, ref := range []string{"docker.io/library/busybox:latest", "example.com/b:1"} {
			r := stored[i]
			if r.Ref.String() != ref || r.Image != c.Image.ID || r.RepoDigest != s.repoDigest || !r.Created.Equal(created) || r.Size != 4+6+1+2 || r.Ref != records[i].Ref {
				t.Errorf("record %+v", r)
			}
		}
		if last.Image != c.Image.ID || last.State != rootfs.Done {
			t.Errorf("the last event is %+v", last)
		}
		w.whole(t)
		w.agree(t, c.Image, s.layers)
		if info, err := os.Stat(w.root); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of the root: %v, %v", info, err)
		}
	})
}

// A layer that has just been made is added without a look at other chains: not even a damaged record of one is noticed.
func TestAddMade(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		in := w.begin(t)
		damaged := filepath.Join(w.Snapshots.Dir(), "records", "other.json")
		if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := spec{layers: [][]byte{base, change}, refs: []string{"made"}}
		c, err := s.ingest(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		records, err := w.AddMade(t.Context(), in, c)
		if err != nil || len(records) != 1 || records[0].Image != c.Image.ID {
			t.Fatalf("added %+v, %v", records, err)
		}
		if err := os.Remove(damaged); err != nil {
			t.Fatal(err)
		}
		w.whole(t)
		w.agree(t, c.Image, s.layers)
	})
}

func TestAddWithoutAName(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}})
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 1 || !records[0].Ref.IsZero() || records[0].Image != im.ID {
			t.Errorf("records %+v, %v", records, err)
		}
	})
}

// TestAddSharesLayers adds images that have layers in common, together and one after the other.
func TestAddSharesLayers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		one := spec{layers: [][]byte{base, change}, refs: []string{"one"}}
		two := spec{layers: [][]byte{base, another}, refs: []string{"two"}}
		three := spec{layers: [][]byte{base, change, another}, refs: []string{"three"}}
		images, err := w.add(t.Context(), one, two)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, w.mustAdd(t, three))
		for i, s := range []spec{one, two, three} {
			w.agree(t, images[i], s.layers)
		}
		if chains := w.chains(t); len(chains) != 4 {
			t.Errorf("%d chains, want 4: %q", len(chains), chains)
		}
	})
}

// chains returns the names of all snapshots.
func (w *world) chains(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.root, "snapshots", w.driver, "records/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range found {
		found[i] = strings.TrimSuffix(filepath.Base(path), ".json")
	}
	return found
}

func TestAddTwiceChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		s := spec{layers: [][]byte{base, change}, refs: []string{"one"}}
		w.mustAdd(t, s)
		before := w.files(t)
		w.mustAdd(t, s)
		w.unchanged(t, before)
	})
}

// TestAddHealsBlobs adds an image again of which a blob is damaged and another is missing.
func TestAddHealsBlobs(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		s := spec{layers: [][]byte{base, change}, refs: []string{"one"}}
		im := w.mustAdd(t, s)
		before := w.files(t)
		path := func(i int) string { return filepath.Join(w.root, "images/blobs/sha256", im.Layers[i].Digest.Encoded()) }
		if err := errors.Join(os.Truncate(path(0), 10), os.Remove(path(1))); err != nil {
			t.Fatal(err)
		}
		w.mustAdd(t, s)
		w.unchanged(t, before)
		w.whole(t)
	})
}

// TestATagThatMovesLeavesTheOldImage is Docker's rule.
func TestATagThatMovesLeavesTheOldImage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		old := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		w.agree(t, old, [][]byte{base})
		w.whole(t)
	})
}

// TestAddThatFailsLeavesNothing compares the root before and after.
func TestAddThatFailsLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *world, c *image.Candidate) context.Context
		is    func(error) bool
	}{
		"a DiffID that is not the layer's": {func(t *testing.T, _ *world, c *image.Candidate) context.Context {
			c.Image.Config.RootFS.DiffIDs[1] = digest.FromString("another layer")
			return t.Context()
		}, errdefs.IsDataLoss},
		"a blob that is not there": {func(t *testing.T, _ *world, c *image.Candidate) context.Context {
			c.Image.Layers[2].Digest = digest.FromString("another blob")
			return t.Context()
		}, errdefs.IsNotFound},
		"a manifest that is not there": {func(t *testing.T, _ *world, c *image.Candidate) context.Context {
			c.Image.Manifest.Digest = digest.FromString("another manifest")
			return t.Context()
		}, errdefs.IsNotFound},
		"a name that cannot be stored": {func(t *testing.T, _ *world, c *image.Candidate) context.Context {
			c.Refs[0] = c.Refs[0].Repository()
			return t.Context()
		}, errdefs.IsInvalidArgument},
		"an index that cannot be read": {func(t *testing.T, w *world, _ *image.Candidate) context.Context {
			index := filepath.Join(w.root, "images/index.json")
			good, err := os.ReadFile(index)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(index, []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				// Nobody knew what is needed: the sweep takes it, now that the index is there again.
				if err := errors.Join(os.WriteFile(index, good, 0o644), w.Sweep(context.Background())); err != nil {
					t.Error(err)
				}
			})
			return t.Context()
		}, errdefs.IsDataLoss},
		"cancelled before it begins": {func(t *testing.T, _ *world, _ *image.Candidate) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"before"}})
				if _, err := os.Stat(filepath.Join(w.root, "unpack")); err != nil {
					t.Fatal(err)
				}
				before := w.files(t)
				t.Cleanup(func() { w.unchanged(t, before) })
				in, err := w.Blobs.Begin()
				if err != nil {
					t.Fatal(err)
				}
				candidate, err := spec{layers: [][]byte{base, change, another}, refs: []string{"new"}}.ingest(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.Add(c.spoil(t, w, &candidate), in, []image.Candidate{candidate}, nil)
				if !c.is(err) {
					t.Errorf("got %v", err)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestWrongDiffIDIsNamed has the error say which blob is wrong and what was expected.
func TestWrongDiffIDIsNamed(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		in := w.begin(t)
		c, err := spec{layers: [][]byte{base, change}}.ingest(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		right, wrong := c.Image.Config.RootFS.DiffIDs[1], digest.FromString("wrong")
		c.Image.Config.RootFS.DiffIDs[1] = wrong
		_, err = w.Add(t.Context(), in, []image.Candidate{c}, nil)
		if !errdefs.IsDataLoss(err) {
			t.Fatalf("error %v", err)
		}
		for _, want := range []string{"layer 2 of 2", "blob " + c.Image.Layers[1].Digest.String(), "expected DiffID " + wrong.String(), "found " + right.String()} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	})
}

// TestBlobIsNotTheLayer has one verdict for a blob that is not what the config says, whether the layer of that DiffID is there,
// in the same chain or in another, or is not.
func TestBlobIsNotTheLayer(t *testing.T) {
	root := layertest.Dir(".", layertest.Mode(0o755))
	layer := layertest.Tar(root, layertest.File("f", "f")) // the same on any chain
	other := compressed(layertest.Tar(layertest.File("evil", "evil")))
	for name, c := range map[string]struct {
		before [][]byte
		blob   []byte
	}{
		"empty store":           {nil, other},
		"same chain":            {[][]byte{base, layer}, other},
		"another chain":         {[][]byte{layertest.Tar(root), layer}, other},
		"another tar":           {[][]byte{base, layer}, layertest.Tar(layertest.File("evil", "evil"))},
		"something follows":     {[][]byte{base, layer}, append(compressed(layer), "garbage"...)},
		"no compression at all": {[][]byte{base, layer}, []byte("garbage")},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				if c.before != nil {
					w.mustAdd(t, spec{layers: c.before, refs: []string{"good"}})
				}
				in := w.begin(t)
				evil, err := spec{layers: [][]byte{base, layer}, refs: []string{"evil"}}.ingest(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				d := &evil.Image.Layers[1]
				d.Digest, d.Size = digest.FromBytes(c.blob), int64(len(c.blob))
				if err := in.Write(t.Context(), *d, bytes.NewReader(c.blob)); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Add(t.Context(), in, []image.Candidate{evil}, nil); err == nil || !strings.Contains(err.Error(), "layer 2 of 2 (blob "+d.Digest.String()) {
					t.Errorf("got %v", err)
				}
				records, err := w.Images.List(t.Context())
				if err != nil || len(records) != min(len(c.before), 1) {
					t.Errorf("stored %+v, %v", records, err)
				}
			})
		})
	}
}

// TestKnownBlobIsNotReadAgain has an image on a base that is there, and one on the base in another compression.
func TestKnownBlobIsNotReadAgain(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"base"}})
		w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"plain"}, plain: true})
		in := w.begin(t)
		c, err := spec{layers: [][]byte{base, change, another}, refs: []string{"child"}}.ingest(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		src := &chain.Source{Image: c.Image, Open: func(int) (io.ReadCloser, error) { return nil, errors.New("it was read") }}
		p := pairs.New(w.Images)
		for i, d := range c.Image.Config.RootFS.DiffIDs[:2] {
			if found, err := p.DiffID(t.Context(), src, i); err != nil || found != d {
				t.Errorf("layer %d: %q, %v", i, found, err)
			}
		}
		src.Image.Layers[1].Digest = digest.FromString("another compression")
		if _, err := p.DiffID(t.Context(), src, 1); err == nil {
			t.Error("a blob of another compression was not read")
		}
	})
}

// TestHostileImages have names that lead out of the layer. Nothing outside may be touched.
func TestHostileImages(t *testing.T) {
	victim := t.TempDir()
	secret := filepath.Join(victim, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 20)
	for name, layers := range map[string][][]byte{
		"name with ..":            {layertest.Tar(layertest.File(up+victim+"/x", "x"))},
		"absolute name":           {layertest.Tar(layertest.File(victim+"/x", "x"))},
		"through a link":          {layertest.Tar(layertest.Symlink("d", victim), layertest.File("d/x", "x"))},
		"through a link below":    {layertest.Tar(layertest.Symlink("d", victim)), layertest.Tar(layertest.File("d/x", "x"))},
		"through links of ..":     {layertest.Tar(layertest.Symlink("d", up+victim)), layertest.Tar(layertest.File("d/x", "x"))},
		"whiteout through a link": {layertest.Tar(layertest.Symlink("d", victim)), layertest.Tar(layertest.Whiteout("d/secret"))},
		"opaque through a link":   {layertest.Tar(layertest.Symlink("d", victim)), layertest.Tar(layertest.Opaque("d"))},
		"hard link to the host":   {layertest.Tar(layertest.Link("x", secret))},
		"hard link with ..":       {layertest.Tar(layertest.Link("x", up+secret))},
		"hard link, link below":   {layertest.Tar(layertest.Symlink("d", victim)), layertest.Tar(layertest.Link("x", "d/secret"))},
		"link replaced, written":  {layertest.Tar(layertest.Symlink("f", secret), layertest.File("f", "overwritten"))},
		"a loop of links":         {layertest.Tar(layertest.Symlink("a", "b"), layertest.Symlink("b", "a")), layertest.Tar(layertest.File("a/x", "x"))},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				before := w.files(t)
				images, err := w.add(t.Context(), spec{layers: layers, refs: []string{"evil"}})
				if err != nil {
					if err := os.RemoveAll(filepath.Join(w.root, "images/blobs/sha256")); err != nil { // empty
						t.Fatal(err)
					}
					w.unchanged(t, before)
				} else if _, err := w.view(t, "victim", images[0]); err != nil {
					t.Error(err)
				}
				found, err := os.ReadDir(victim)
				if err != nil || len(found) != 1 {
					t.Errorf("outside: %v, %v", found, err)
				}
				if b, err := os.ReadFile(secret); string(b) != "secret" {
					t.Errorf("the secret is %q, %v", b, err)
				}
			})
		})
	}
}

// TestAddFiveHundredLayers is the kernel's limit; one more is refused with the reason.
func TestAddFiveHundredLayers(t *testing.T) {
	testutil.RequireRoot(t)
	w := mustOpen(t, filepath.Join(t.TempDir(), "root"), "overlayfs")
	layers := [][]byte{base, change}
	for i := 2; i <= 500; i++ { // all different: one that is there twice takes one place
		layers = append(layers, layertest.Tar(layertest.File(fmt.Sprintf("usr/%d", i), "")))
	}
	im := w.mustAdd(t, spec{layers: layers[:500], refs: []string{"high"}})
	w.agree(t, im, layers[:500])
	before := w.files(t)
	if _, err := w.add(t.Context(), spec{layers: layers, refs: []string{"too-high"}}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("501 layers: %v", err)
	}
	w.unchanged(t, before)
	if _, err := w.Remove(t.Context(), "high", false, nil); err != nil {
		t.Error(err)
	}
	if left := w.chains(t); len(left) > 0 {
		t.Errorf("%d chains are left", len(left))
	}
}
