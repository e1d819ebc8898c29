package check_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is a root with one driver and the image app:1, which has three layers.
type store struct {
	check.Root
	driver    string
	snapshots *snapshot.Store
	maker     *chain.Maker
	image     image.Image
	record    image.Record
	blobs     map[digest.Digest][]byte
}

func onEach(t *testing.T, test func(t *testing.T, s *store)) {
	for _, driver := range []string{"overlayfs", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			testutil.RequireRoot(t)
			testutil.LeakCheck(t)
			test(t, newStore(t, driver))
		})
	}
}

// open opens the stores in root, as another process would.
func open(t testing.TB, root, driver string) *store {
	t.Helper()
	s := &store{driver: driver, blobs: map[digest.Digest][]byte{}}
	s.Dir = root
	var err error
	s.Blobs, err = blob.Open(filepath.Join(root, "images"), filepath.Join(root, "ingest"))
	must(t, err)
	s.Images, err = image.Open(filepath.Join(root, "images"), s.Blobs)
	must(t, err)
	dir := filepath.Join(root, "snapshots", driver)
	must(t, os.MkdirAll(dir, 0o700))
	var d snapshot.Driver = vfs.New(filepath.Join(dir, "data"))
	if driver == "overlayfs" {
		d = overlayfs.New(filepath.Join(dir, "data"), overlay.Probe(dir).Method)
	}
	s.snapshots, err = snapshot.Open(dir, d)
	must(t, err)
	s.Drivers = []check.Driver{{Name: driver, Snapshots: s.snapshots}}
	s.maker = chain.New(root, s.snapshots)
	return s
}

func newStore(t testing.TB, driver string) *store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "root"), driver)
	s.add(t, "app:1", layers()...)
	return s
}

// layers have files of every type, and all that makes one layer depend on another.
func layers() [][]byte {
	return [][]byte{
		lt.Tar(
			lt.Dir("bin"), lt.File("bin/sh", "#!shell", lt.Mode(0o4755)), lt.Link("bin/ash", "bin/sh"), lt.Symlink("bin/link", "sh"),
			lt.Dir("etc"), lt.File("etc/conf", "one", lt.Owner(5, 70000)), lt.File("etc/gone", "x"), lt.File("etc/zz", ""),
			lt.Dir("home"), lt.File("home/x", "x", lt.Xattr("user.note", "value")), lt.Dir("tmp", lt.Mode(0o1777)),
			lt.Char("null", 1, 3), lt.Fifo("pipe"), lt.Symlink("lib", "etc"),
		),
		lt.Tar(lt.Whiteout("etc/gone"), lt.File("lib/new", "through a link"), lt.File("tmp/y", "y"), lt.Link("bin/third", "bin/sh")),
		lt.Tar(lt.Opaque("home"), lt.File("home/only", "z"), lt.File("top", "the top"), lt.Dir("etc/zz")),
	}
}

// add stores an image with the given name and unpacks it.
func (s *store) add(t testing.TB, name string, layers ...[]byte) {
	t.Helper()
	ctx := t.Context()
	in, err := s.Blobs.Begin()
	must(t, err)
	defer in.Close()
	write := func(mediaType string, content []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		must(t, in.Write(ctx, d, bytes.NewReader(content)))
		s.blobs[d.Digest] = content
		return d
	}
	config := ocispec.Image{Platform: image.HostPlatform(), RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(l)
		must(t, err)
		must(t, z.Close())
		m.Layers = append(m.Layers, write(ocispec.MediaTypeImageLayerGzip, b.Bytes()))
	}
	configBytes, err := json.Marshal(config)
	must(t, err)
	m.Config = write(ocispec.MediaTypeImageConfig, configBytes)
	manifestBytes, err := json.Marshal(m)
	must(t, err)
	desc := write(ocispec.MediaTypeImageManifest, manifestBytes)
	s.image, err = image.ParseImage(desc, manifestBytes, configBytes)
	must(t, err)
	must(t, in.Publish())
	ref, err := image.ParseReference(name)
	must(t, err)
	s.record = image.Record{Ref: ref, Image: s.image.ID, Manifest: desc}
	must(t, s.Images.Put(ctx, s.record))
	must(t, s.maker.Make(ctx, chain.Task{Sources: []chain.Source{s.source()}, Finish: nothing}))
}

// swapBlobs has the image name the blob of each of its first two layers in the place of the other.
func (s *store) swapBlobs(t testing.TB) {
	t.Helper()
	raw, err := os.ReadFile(s.blobOf(s.image.Manifest.Digest))
	must(t, err)
	var m ocispec.Manifest
	must(t, json.Unmarshal(raw, &m))
	m.Layers[0], m.Layers[1] = m.Layers[1], m.Layers[0]
	raw, err = json.Marshal(m)
	must(t, err)
	in, err := s.Blobs.Begin()
	must(t, err)
	defer in.Close()
	r := s.record
	r.Manifest.Digest, r.Manifest.Size = digest.FromBytes(raw), int64(len(raw))
	must(t, in.Write(t.Context(), r.Manifest, bytes.NewReader(raw)))
	must(t, in.Publish())
	must(t, s.Images.Put(t.Context(), r))
}

// source reads the image's layers from the stored blobs.
func (s *store) source() chain.Source {
	return chain.Source{Image: s.image, Open: func(layer int) (io.ReadCloser, error) {
		return s.Blobs.Open(s.image.Layers[layer].Digest)
	}}
}

// key is the name of a layer's snapshot.
func (s *store) key(layer int) string { return s.image.ChainIDs()[layer].String() }

// data is the directory of a layer.
func (s *store) data(t testing.TB, layer int) string {
	t.Helper()
	path, err := s.snapshots.Path(t.Context(), s.key(layer))
	must(t, err)
	return filepath.Dir(path)
}

// file is a file of a layer.
func (s *store) file(t testing.TB, layer int, name string) string {
	t.Helper()
	return filepath.Join(s.data(t, layer), "fs", name)
}

// recordOf is the file of a layer's record.
func (s *store) recordOf(layer int) string {
	return filepath.Join(s.Dir, "snapshots", s.driver, "records", s.key(layer)+".json")
}

// blobOf is the file of a blob.
func (s *store) blobOf(d digest.Digest) string {
	return filepath.Join(s.Dir, "images", "blobs", d.Algorithm().String(), d.Encoded())
}

// check returns what is found, in lines.
func (s *store) check(t testing.TB, o check.Options) ([]string, check.Summary) {
	t.Helper()
	var lines []string
	o.Report = func(f check.Finding) {
		lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", f.Severity, f.Kind, strings.Join(f.Images, ","), f.Path, f.Problem))
	}
	sum, err := check.Check(t.Context(), s.Root, o)
	must(t, err)
	return lines, sum
}
