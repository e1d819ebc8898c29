package rootfs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/format"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// world is a root as one process has it open, with one driver.
type world struct {
	*rootfs.Store
	root, driver string
}

// open opens root, as a process of its own would.
func open(root, driver string) (*world, error) {
	if err := format.Init(root, atomicfile.Durable); err != nil {
		return nil, err
	}
	layout := filepath.Join(root, "images")
	blobs, err := blob.Open(layout, filepath.Join(root, "ingest"))
	if err != nil {
		return nil, err
	}
	images, err := image.Open(layout, blobs)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "snapshots", driver)
	var d snapshot.Driver = vfs.New(filepath.Join(dir, "data"))
	if driver == "overlayfs" {
		d = overlayfs.New(filepath.Join(dir, "data"), method())
	}
	snapshots, err := snapshot.Open(dir, d)
	if err != nil {
		return nil, err
	}
	return &world{rootfs.Open(root, images, blobs, snapshots), root, driver}, nil
}

// method is how this kernel mounts overlays.
var method = sync.OnceValue(func() mount.Method {
	dir, err := os.MkdirTemp("", "lrun-probe-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	return overlay.Probe(dir).Method
})

func mustOpen(t testing.TB, root, driver string) *world {
	t.Helper()
	w, err := open(root, driver)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// onEach runs a test that needs root in a new world of each driver.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	for _, driver := range []string{"overlayfs", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			testutil.RequireRoot(t)
			testutil.LeakCheck(t)
			test(t, mustOpen(t, filepath.Join(t.TempDir(), "root"), driver))
		})
	}
}

// spec is an image to be made.
type spec struct {
	layers     [][]byte
	refs       []string
	repoDigest digest.Digest
	plain      bool // no layer is compressed
}

var created = time.Date(2024, 5, 17, 12, 0, 0, 0, time.UTC)

// ingest writes the blobs of s, every second layer compressed.
func (s spec) ingest(ctx context.Context, in *blob.Ingest) (image.Candidate, error) {
	config := ocispec.Image{
		Created: &created, Platform: image.HostPlatform(),
		Config: ocispec.ImageConfig{Cmd: []string{"/bin/sh"}}, RootFS: ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	write := func(mediaType string, content []byte) (ocispec.Descriptor, error) {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		return d, in.Write(ctx, d, bytes.NewReader(content))
	}
	for i, l := range s.layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
		mediaType := ocispec.MediaTypeImageLayer
		if i%2 == 1 && !s.plain {
			l, mediaType = compressed(l), ocispec.MediaTypeImageLayerGzip
		}
		d, err := write(mediaType, l)
		if err != nil {
			return image.Candidate{}, err
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	configBytes, err := json.Marshal(config)
	if err != nil {
		return image.Candidate{}, err
	}
	if manifest.Config, err = write(ocispec.MediaTypeImageConfig, configBytes); err != nil {
		return image.Candidate{}, err
	}
	manifestBytes, err := json.Marshal(manifest)
	if err != nil {
		return image.Candidate{}, err
	}
	desc, err := write(ocispec.MediaTypeImageManifest, manifestBytes)
	if err != nil {
		return image.Candidate{}, err
	}
	im, err := image.ParseImage(desc, manifestBytes, configBytes)
	c := image.Candidate{Image: im, RepoDigest: s.repoDigest}
	for _, name := range s.refs {
		ref, err := image.ParseReference(name)
		if err != nil {
			return c, err
		}
		c.Refs = append(c.Refs, ref.WithDefaultTag())
	}
	return c, err
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// begin begins an ingest, which ends with the test.
func (w *world) begin(t testing.TB) *blob.Ingest {
	t.Helper()
	in, err := w.Blobs.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return in
}

// add adds images together and returns them.
func (w *world) add(ctx context.Context, specs ...spec) ([]image.Image, error) {
	in, err := w.Blobs.Begin()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var candidates []image.Candidate
	var images []image.Image
	for _, s := range specs {
		c, err := s.ingest(ctx, in)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, c)
		images = append(images, c.Image)
	}
	_, err = w.Add(ctx, in, candidates, nil)
	return images, err
}

func (w *world) mustAdd(t testing.TB, s spec) image.Image {
	t.Helper()
	images, err := w.add(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

// view lists what a new container of im sees.
func (w *world) view(t testing.TB, key string, im image.Image) ([]string, error) {
	t.Helper()
	if _, err := w.Prepare(t.Context(), key, im, rootfs.PrepareOptions{Volatile: true}); err != nil {
		return nil, err
	}
	f, err := w.OpenRoot(t.Context(), key)
	if err != nil {
		return nil, err
	}
	lines := layertest.List(t, fmt.Sprintf("/proc/self/fd/%d/.", f.Fd()))
	if err := f.Close(); err != nil {
		return nil, err
	}
	return lines, w.Release(t.Context(), key)
}

// agree compares what a container of im sees with the oracle.
func (w *world) agree(t testing.TB, im image.Image, layers [][]byte) {
	t.Helper()
	got, err := w.view(t, "agree", im)
	if err != nil {
		t.Fatal(err)
	}
	if diff := layertest.Diff(got, oracle(t, layers)); diff != "" {
		t.Errorf("a container does not see the layers applied in order:\n%s", diff)
	}
}

// oracle lists the layers applied in order.
func oracle(t testing.TB, layers [][]byte) []string {
	t.Helper()
	dir := t.TempDir()
	if err := layertest.Apply(dir, layers...); err != nil {
		t.Fatal(err)
	}
	return layertest.List(t, dir)
}

// files lists all files of the root, with a hash of what they hold, but for locks.
func (w *world) files(t testing.TB) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && !strings.HasPrefix(filepath.Base(filepath.Dir(path)), "data") || d.Name() == "lock" {
			return err
		}
		name, err := filepath.Rel(w.root, path)
		if err != nil {
			return err
		}
		line := fmt.Sprint(name, " ", d.Type())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// unchanged fails when the root holds anything else than it did.
func (w *world) unchanged(t testing.TB, before []string) {
	t.Helper()
	if diff := layertest.Diff(w.files(t), before); diff != "" {
		t.Errorf("the root is not what it was:\n%s", diff)
	}
}

// whole fails when an image in the store is not complete and correct.
func (w *world) whole(t testing.TB) {
	t.Helper()
	records, err := w.Images.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		im, err := w.Images.Load(t.Context(), r)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, l := range im.Layers {
			b, err := os.ReadFile(filepath.Join(w.root, "images/blobs/sha256", l.Digest.Encoded()))
			if err != nil || digest.FromBytes(b) != l.Digest {
				t.Errorf("blob %s of image %s: %d bytes, %v", l.Digest, im.ID, len(b), err)
			}
		}
		if _, err := w.view(t, "whole", im); err != nil {
			t.Error(err)
		}
	}
}

// Layers that several tests use.
var (
	base = layertest.Tar(layertest.Dir("."), layertest.Dir("etc"), layertest.File("etc/passwd", "root"), layertest.File("etc/shadow", "secret"),
		layertest.Dir("tmp", layertest.Mode(0o1777)), layertest.Dir("usr"), layertest.Dir("usr/lib"), layertest.File("usr/lib/libc", "c"), layertest.Symlink("lib", "usr/lib"))
	change  = layertest.Tar(layertest.Whiteout("etc/shadow"), layertest.File("tmp/x", "x"), layertest.File("lib/libm", "m"))
	another = layertest.Tar(layertest.Dir("opt"), layertest.File("opt/o", "o"))
)
