package child_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/image/child"
)

const below = digest.Digest("sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

func parent(t *testing.T) image.Image {
	t.Helper()
	raw := `{"os":"linux","architecture":"amd64","docker_version":"1","container":"c","author":"of the parent","unknown":[1],` +
		`"config":{"User":"old","Healthcheck":{"Test":["NONE"]}},"history":[{"created_by":"base"}],"rootfs":{"type":"layers","diff_ids":["` + below.String() + `"]}}`
	im := image.Image{RawConfig: json.RawMessage(raw), Layers: []ocispec.Descriptor{
		{MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", Digest: below, Size: 5},
	}}
	if err := json.Unmarshal(im.RawConfig, &im.Config); err != nil {
		t.Fatal(err)
	}
	return im
}

func ingest(t *testing.T) *blob.Ingest {
	t.Helper()
	dir := t.TempDir()
	store, err := blob.Open(dir+"/images", dir+"/ingest")
	if err != nil {
		t.Fatal(err)
	}
	in, err := store.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// oneFile writes a layer with an entry.
func oneFile(w io.Writer) error {
	t := tar.NewWriter(w)
	return errors.Join(t.WriteHeader(&tar.Header{Name: "f"}), t.Close())
}

func TestMake(t *testing.T) {
	in := ingest(t)
	o := child.Options{Config: ocispec.ImageConfig{User: "new", Cmd: []string{"a"}}, Author: "me", Comment: "why", CreatedBy: "a", Created: time.Unix(5, 0)}
	c, err := child.Make(t.Context(), in, parent(t), oneFile, o)
	if err != nil {
		t.Fatal(err)
	}
	im := c.Image
	var plain bytes.Buffer
	if err := oneFile(&plain); err != nil {
		t.Fatal(err)
	}
	ids := im.Config.RootFS.DiffIDs
	if len(ids) != 2 || ids[0] != below || ids[1] != digest.FromBytes(plain.Bytes()) {
		t.Errorf("DiffIDs %v", ids)
	}
	if len(im.Layers) != 2 || im.Layers[0].MediaType != ocispec.MediaTypeImageLayerGzip || im.Layers[1].MediaType != ocispec.MediaTypeImageLayerGzip {
		t.Errorf("layers %+v", im.Layers)
	}
	f, err := in.Open(im.Layers[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, plain.Bytes()) {
		t.Errorf("the blob holds %d bytes, %v", len(got), err)
	}
	h := im.Config.History
	if len(h) != 2 || h[1].Author != "me" || h[1].Comment != "why" || h[1].CreatedBy != "a" || h[1].EmptyLayer || !h[1].Created.Equal(o.Created) {
		t.Errorf("history %+v", h)
	}
	if im.Config.Config.User != "new" || im.Config.Author != "me" || im.Config.Architecture != "amd64" {
		t.Errorf("config %+v", im.Config)
	}
	text := string(im.RawConfig)
	for _, want := range []string{`"Healthcheck":{"Test":["NONE"]}`, `"unknown":[1]`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is lost: %s", want, text)
		}
	}
	for _, gone := range []string{"docker_version", `"container"`, "of the parent"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is kept: %s", gone, text)
		}
	}
}

// TestMakeOfNothing is Docker's rule: a step in the history, and no layer.
func TestMakeOfNothing(t *testing.T) {
	in := ingest(t)
	c, err := child.Make(t.Context(), in, parent(t), func(w io.Writer) error { return tar.NewWriter(w).Close() }, child.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Image.Config.History
	if len(c.Image.Layers) != 1 || len(c.Image.Config.RootFS.DiffIDs) != 1 || len(h) != 2 || !h[1].EmptyLayer {
		t.Errorf("got %+v", c.Image)
	}
	if blobs := in.Digests(); len(blobs) != 2 {
		t.Errorf("%d blobs, want manifest and config", len(blobs))
	}
}

// TestMakeFails: the reason is that of whoever writes, and nothing hangs.
func TestMakeFails(t *testing.T) {
	in := ingest(t)
	broken := errors.New("broken")
	_, err := child.Make(t.Context(), in, parent(t), func(w io.Writer) error {
		_, err := w.Write(make([]byte, 1<<20))
		return errors.Join(err, broken)
	}, child.Options{})
	if !errors.Is(err, broken) || len(in.Digests()) != 0 {
		t.Errorf("got %v, %v", err, in.Digests())
	}
}
