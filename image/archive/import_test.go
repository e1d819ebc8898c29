package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

func Example() {
	ctx := context.Background()
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
	rootfs := bytes.NewReader(make([]byte, 1024)) // the smallest tar
	c, err := Import(ctx, rootfs, in, ImportOptions{Changes: []string{"CMD /bin/sh"}, Created: time.Unix(0, 0)})
	fmt.Println(c.Image.Config.Config.Cmd, len(c.Image.Layers), len(in.Digests()), err)
	// Output: [/bin/sh -c /bin/sh] 1 3 <nil>
}

func TestImport(t *testing.T) {
	created := time.Date(2024, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	plain := append(pack(t, member{name: "etc/"}, member{name: "etc/passwd", content: "root"}), make([]byte, 4096)...)
	for _, c := range []struct {
		title, mediaType string
		data             []byte
	}{
		{"plain", ocispec.MediaTypeImageLayer, plain},
		{"gzip", ocispec.MediaTypeImageLayerGzip, gzipped(t, plain)},
		{"gzip of several members", ocispec.MediaTypeImageLayerGzip, append(gzipped(t, plain[:700]), gzipped(t, plain[700:])...)},
		{"zstd", ocispec.MediaTypeImageLayerZstd, zstandard(t, plain)},
		{"zstd after a skippable frame", ocispec.MediaTypeImageLayerZstd, append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), zstandard(t, plain)...)},
		{"one entry", ocispec.MediaTypeImageLayer, layerTar(t, "one")},
		{"no entry", ocispec.MediaTypeImageLayer, make([]byte, 1024)},
	} {
		t.Run(c.title, func(t *testing.T) {
			in := newIngest(t)
			got, err := Import(t.Context(), iotest.HalfReader(bytes.NewReader(c.data)), in, ImportOptions{
				Changes: []string{`CMD ["/bin/sh"]`, "ENV A=b"}, Message: "Imported from -", Platform: platform(t, foreignA), Created: created,
			})
			if err != nil {
				t.Fatal(err)
			}
			checkIngest(t, in, []image.Candidate{got})
			im := got.Image
			diffID := digest.FromBytes(plain)
			if c.title == "one entry" || c.title == "no entry" {
				diffID = digest.FromBytes(c.data)
			}
			utc := created.UTC()
			want := ocispec.Image{
				Created: &utc, Platform: platform(t, foreignA),
				Config:  ocispec.ImageConfig{Cmd: []string{"/bin/sh"}, Env: []string{"A=b"}},
				RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
				History: []ocispec.History{{Created: &utc, Comment: "Imported from -"}},
			}
			if !reflect.DeepEqual(im.Config, want) {
				t.Errorf("config %+v\nwant %+v", im.Config, want)
			}
			layer := describe(c.mediaType, c.data)
			if len(im.Layers) != 1 || !reflect.DeepEqual(im.Layers[0], layer) || got.Refs != nil || got.RepoDigest != "" {
				t.Errorf("got %+v, want the layer %+v", got, layer)
			}
		})
	}
}

func TestImportDefaults(t *testing.T) {
	start := time.Now()
	got, err := Import(t.Context(), bytes.NewReader(layerTar(t, "one")), newIngest(t), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Image.Config; !reflect.DeepEqual(c.Platform, image.HostPlatform()) || c.Created.Before(start.Add(-time.Second)) || time.Since(*c.Created) > time.Hour {
		t.Errorf("config %+v", c)
	}
}

func TestImportRefuses(t *testing.T) {
	whole := pack(t, member{name: "a", content: strings.Repeat("a", 700)}, member{name: "b", content: "b"})
	damaged := bytes.Clone(whole)
	copy(damaged[512+1024:], "damage")
	for _, c := range []struct {
		title string
		data  []byte
		class error
		says  string
	}{
		{"nothing", nil, errdefs.ErrInvalidArgument, "empty"},
		{"text", bytes.Repeat([]byte("text\n"), 200), errdefs.ErrInvalidArgument, "not a tar"},
		{"gzip of text", gzipped(t, bytes.Repeat([]byte("text\n"), 200)), errdefs.ErrInvalidArgument, "not a tar"},
		{"damaged", damaged, errdefs.ErrDataLoss, "damaged after 1 entries"},
		{"cut in a header", whole[:100], errdefs.ErrDataLoss, "truncated"},
		{"cut in a file", whole[:600], errdefs.ErrDataLoss, "truncated"},
		{"cut in the padding of a file", whole[:512+701], errdefs.ErrDataLoss, "truncated"},
		{"cut after a file", whole[:512+1024], errdefs.ErrDataLoss, "truncated"},
		{"cut before the end", whole[:len(whole)-1024], errdefs.ErrDataLoss, "truncated"},
		{"gzip cut", gzipped(t, whole)[:30], errdefs.ErrDataLoss, "gzip"},
		{"xz", []byte("\xfd7zXZ\x00\x00\x00\x00\x00"), errdefs.ErrNotImplemented, "xz is not supported, only gzip and zstd: not implemented (decompress it first, and give the plain tar)"},
		{"zip", []byte("PK\x03\x04" + strings.Repeat("x", 1000)), errdefs.ErrInvalidArgument, "not a tar"},
	} {
		t.Run(c.title, func(t *testing.T) {
			_, err := Import(t.Context(), bytes.NewReader(c.data), newIngest(t), ImportOptions{})
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want %v with %q", err, c.class, c.says)
			}
		})
	}
}

func TestImportChecksChangesFirst(t *testing.T) {
	in := newIngest(t)
	_, err := Import(t.Context(), iotest.ErrReader(errors.New("read")), in, ImportOptions{Changes: []string{"ONBUILD RUN x"}})
	if !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("got %v", err)
	}
	if _, err := Import(t.Context(), iotest.ErrReader(tar.ErrHeader), in, ImportOptions{}); !errors.Is(err, tar.ErrHeader) || len(in.Digests()) != 0 {
		t.Errorf("an error of the reader: %v, %v", err, in.Digests())
	}
}
