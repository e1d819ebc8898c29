package save_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer/split"
)

// store is a blob store with images of few bytes.
type store struct {
	*blob.Store
	t    *testing.T
	dir  string
	tars map[int]split.Source // of layers whose blobs were dropped
}

func newStore(t *testing.T) store {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	return store{blobs, t, dir, map[int]split.Source{}}
}

// Blob implements save.Blobs.
func (s store) Blob(d digest.Digest) (*os.File, error) { return s.Open(d) }

// Tar implements save.Blobs.
func (s store) Tar(_ context.Context, im image.Image, layer int) (split.Source, error) {
	if t, ok := s.tars[layer]; ok {
		return t, nil
	}
	return split.Source{}, fmt.Errorf("layer %s: %w", im.Layers[layer].Digest, errdefs.ErrNotFound)
}

// put stores content and describes it.
func (s store) put(mediaType string, content []byte) ocispec.Descriptor {
	s.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	in, err := s.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	if err := errors.Join(in.Write(s.t.Context(), d, bytes.NewReader(content)), in.Publish()); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// image stores an image whose layers are tars with one file each, of the content given.
func (s store) image(layers ...string) image.Image {
	s.t.Helper()
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, content := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		err := w.WriteHeader(&tar.Header{Name: "file", Size: int64(len(content)), Mode: 0o644})
		_, werr := io.WriteString(w, content)
		if err := errors.Join(err, werr, w.Close()); err != nil {
			s.t.Fatal(err)
		}
		d := s.put(ocispec.MediaTypeImageLayer, b.Bytes())
		m.Layers, config.RootFS.DiffIDs = append(m.Layers, d), append(config.RootFS.DiffIDs, d.Digest)
	}
	raw := marshal(s.t, config)
	m.Config = s.put(ocispec.MediaTypeImageConfig, raw)
	manifest := marshal(s.t, m)
	im, err := image.ParseImage(s.put(m.MediaType, manifest), manifest, raw)
	if err != nil {
		s.t.Fatal(err)
	}
	return im
}

func names(t *testing.T, list ...string) []image.Reference {
	t.Helper()
	var refs []image.Reference
	for _, n := range list {
		r, err := image.ParseReference(n)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r)
	}
	return refs
}

func write(t *testing.T, s store, f save.Format, entries ...save.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := save.Write(t.Context(), &b, s, entries, save.Options{Format: f}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// members are the files of an archive, directories with a slash at the end.
func members(t *testing.T, data []byte) map[string]string {
	t.Helper()
	m := map[string]string{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		b, rerr := io.ReadAll(r)
		if err := errors.Join(err, rerr); err != nil {
			t.Fatal(err)
		}
		if _, twice := m[h.Name]; twice || h.Uid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s: twice %v, owner %d, time %v", h.Name, twice, h.Uid, h.ModTime)
		}
		m[h.Name] = string(b)
	}
}

func TestSameBytes(t *testing.T) {
	s := newStore(t)
	entries := []save.Entry{{Image: s.image("base", "one"), Refs: names(t, "app:1")}, {Image: s.image("base", "two")}}
	for _, f := range []save.Format{save.Docker, save.OCI} {
		if !bytes.Equal(write(t, s, f, entries...), write(t, s, f, entries...)) {
			t.Errorf("format %d: the same images make other bytes the second time", f)
		}
	}
}

func TestMembers(t *testing.T) {
	s := newStore(t)
	im := s.image("base", "top")
	files := members(t, write(t, s, save.Docker, save.Entry{Image: im, Refs: names(t, "app:1")}))
	var want []string
	for _, d := range append([]ocispec.Descriptor{im.Manifest, {Digest: im.ID}}, im.Layers...) {
		want = append(want, "blobs/sha256/"+d.Digest.Encoded())
	}
	want = append(want, "blobs/", "blobs/sha256/", "index.json", "manifest.json", "oci-layout")
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("the archive has\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := files["manifest.json"]; !strings.Contains(got, `"RepoTags":["app:1"]`) {
		t.Errorf("manifest.json: %s", got)
	}
	for _, part := range []string{`"io.containerd.image.name":"docker.io/library/app:1"`, `"org.opencontainers.image.ref.name":"1"`} {
		if !strings.Contains(files["index.json"], part) {
			t.Errorf("index.json lacks %s: %s", part, files["index.json"])
		}
	}
	if files := members(t, write(t, s, save.OCI, save.Entry{Image: im})); files["manifest.json"] != "" {
		t.Error("an OCI archive has a manifest.json")
	}
}

func TestBlobsThatAreNotWhatTheyWere(t *testing.T) {
	s := newStore(t)
	im := s.image("base")
	path := filepath.Join(s.dir, "images", "blobs", "sha256", im.Layers[0].Digest.Encoded())
	damage := map[string]func() error{
		"a flipped byte": func() error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0xff}, 600)
			return errors.Join(err, f.Close())
		},
		"cut":     func() error { return os.Truncate(path, 100) },
		"missing": func() error { return os.Remove(path) },
	}
	for _, name := range []string{"a flipped byte", "cut", "missing"} {
		if err := damage[name](); err != nil {
			t.Fatal(err)
		}
		err := save.Write(t.Context(), io.Discard, s, []save.Entry{{Image: im}}, save.Options{})
		if !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), im.Layers[0].Digest.String()) || !strings.Contains(err.Error(), "again") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// An image may be removed while it is saved.
func TestRemovedMeanwhile(t *testing.T) {
	s := newStore(t)
	im := s.image("base")
	removing := writerFunc(func([]byte) error { return os.RemoveAll(filepath.Join(s.dir, "images", "blobs")) })
	if err := save.Write(t.Context(), removing, s, []save.Entry{{Image: im}}, save.Options{}); err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancelling := writerFunc(func([]byte) error { cancel(); return nil })
	err := save.Write(ctx, cancelling, s, []save.Entry{{Image: s.image("base")}}, save.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f(p) }
