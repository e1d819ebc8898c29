package archive

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

const refName = ocispec.AnnotationRefName

func TestReadLayout(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "two", "one")
	files := layout(t, []ocispec.Descriptor{f.named(refName, "docker.io/user/app:1")}, f)
	files["blobs/sha256/"+strings.Repeat("0", 64)] = strings.Repeat("nobody names this blob", 10_000)
	plain := pack(t, append([]member{{name: "blobs/"}}, fileList(files)...)...)
	for _, c := range []struct {
		title string
		data  []byte
	}{{"tar", plain}, {"gzip", gzipped(t, plain)}, {"zstd", zstandard(t, plain)}, {"tar with padding", append(plain, make([]byte, 8192)...)}, {"directory", nil}} {
		t.Run(c.title, func(t *testing.T) {
			in := newIngest(t)
			var got []image.Candidate
			var err error
			if c.data == nil {
				got, err = readPath(t, in, unpack(t, fileList(files)...), Options{})
			} else {
				got, err = readTar(t, in, c.data, Options{})
			}
			if err != nil {
				t.Fatal(err)
			}
			checkIngest(t, in, got)
			im := got[0].Image
			if len(got) != 1 || im.ID != f.id || im.Manifest.Digest != f.manifest || got[0].RepoDigest != f.manifest || len(im.Layers) != 3 {
				t.Errorf("got %+v", got)
			}
			if refs(got) != "user/app:1" || im.Manifest.Annotations != nil {
				t.Errorf("names %s, annotations %v", refs(got), im.Manifest.Annotations)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	f := simple(t, "one")
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, pack(t, fileList(layout(t, []ocispec.Descriptor{f.descriptor}, f))...), 0o600); err != nil {
		t.Fatal(err)
	}
	in := newIngest(t)
	got, err := readPath(t, in, path, Options{})
	if err != nil || len(got) != 1 || got[0].Image.ID != f.id {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := OpenFile(path + "x"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestLayerTypesAreOnlyClaims: a wrong media type for what the bytes are is common, and accepted.
func TestLayerTypesAreOnlyClaims(t *testing.T) {
	for _, c := range []struct {
		title     string
		compress  func(testing.TB, []byte) []byte
		mediaType string
	}{
		{"zstd as gzip", zstandard, ocispec.MediaTypeImageLayerGzip},
		{"gzip as tar", gzipped, ocispec.MediaTypeImageLayer},
		{"tar as zstd", nil, ocispec.MediaTypeImageLayerZstd},
		{"docker zstd", zstandard, "application/vnd.docker.image.rootfs.diff.tar.zstd"},
	} {
		t.Run(c.title, func(t *testing.T) {
			f := newFixture(t, image.HostPlatform(), c.compress, c.mediaType, "one")
			in := newIngest(t)
			got, err := readTar(t, in, pack(t, fileList(layout(t, []ocispec.Descriptor{f.descriptor}, f))...), Options{})
			if err != nil || got[0].Image.Layers[0].MediaType != c.mediaType {
				t.Fatalf("got %+v, %v", got, err)
			}
			checkIngest(t, in, got)
		})
	}
}

func TestLayoutWithoutVersionFile(t *testing.T) {
	f := simple(t, "one")
	for version, class := range map[string]error{
		"": nil, `{"imageLayoutVersion":"2.0.0"}`: errdefs.ErrNotImplemented, `{}`: errdefs.ErrNotImplemented, `x`: errdefs.ErrInvalidArgument,
	} {
		files := layout(t, []ocispec.Descriptor{f.descriptor}, f)
		files["oci-layout"] = version
		if version == "" {
			delete(files, "oci-layout")
		}
		if _, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{}); !errors.Is(err, class) {
			t.Errorf("oci-layout %q: %v, want %v", version, err, class)
		}
	}
}

func TestSeveralImages(t *testing.T) {
	one, two, three := simple(t, "one"), simple(t, "base", "two"), simple(t, "base", "three")
	in := newIngest(t)
	got, err := readTar(t, in, pack(t, fileList(layout(t, []ocispec.Descriptor{
		one.named(refName, "a:1"), two.named(containerdName, "docker.io/library/b:1", refName, "1"), three.descriptor,
		one.named(refName, "a:2"), one.named(refName, "a:2"), two.named(refName, "latest"),
	}, one, two, three))...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if refs(got) != "a:1,a:2 b:1 " {
		t.Errorf("names %q", refs(got))
	}
	for i, want := range []fixture{one, two, three} {
		if got[i].Image.ID != want.id {
			t.Errorf("image %d is %s, want %s", i, got[i].Image.ID, want.id)
		}
	}
	checkIngest(t, in, got)
}

func TestNames(t *testing.T) {
	f := simple(t, "one")
	for _, c := range []struct{ ref, full, want string }{
		{"busybox:1.38", "", "busybox:1.38"},
		{"docker.io/library/busybox:latest", "", "busybox:latest"},
		{"quay.io/a/b", "", "quay.io/a/b:latest"},
		{"latest", "", ""},
		{"latest", "docker.io/library/busybox:3", "busybox:3"},
		{"other:1", "busybox:3", "busybox:3"},
		{"", "busybox", "busybox:latest"},
		{"", "", ""},
		{"v1.0 Beta: the name", "", ""},
		{"UPPER:case", "", ""},
		{"app@" + f.manifest.String(), "", "app@" + f.manifest.String()},
		{"app:1@" + f.manifest.String(), "", "app:1"},
		{"app@" + f.id.String(), "", "error"},
		{"@hello", "", ""},
	} {
		t.Run(c.ref+" "+c.full, func(t *testing.T) {
			d := f.named(refName, c.ref, containerdName, c.full)
			got, err := readTar(t, newIngest(t), pack(t, fileList(layout(t, []ocispec.Descriptor{d}, f))...), Options{})
			if c.want == "error" {
				if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "another digest") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || refs(got) != c.want {
				t.Errorf("got %q, %v; want %q", refs(got), err, c.want)
			}
		})
	}
}

// TestDockerSaveOfToday: the newest docker save writes both forms; the digests are those of the layout.
func TestDockerSaveOfToday(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "two")
	for _, c := range []struct {
		title string
		entry ocispec.Descriptor
		want  string
	}{
		{"named twice", f.named(containerdName, "docker.io/library/app:1", refName, "1"), "app:1"},
		{"named by manifest.json", f.named(refName, "1"), "app:1,app:2"},
	} {
		t.Run(c.title, func(t *testing.T) {
			files := layout(t, []ocispec.Descriptor{c.entry}, f)
			files["manifest.json"] = string(toJSON(t, []saved{
				{Config: "blobs/sha256/" + strings.Repeat("0", 64), RepoTags: []string{"wrong:1"}},
				{Config: blobName(f.id), RepoTags: []string{"app:1", "app:2"}, Layers: []string{"a", "b"}},
			}))
			in := newIngest(t)
			got, err := readTar(t, in, pack(t, fileList(files)...), Options{})
			if err != nil || refs(got) != c.want || got[0].Image.Manifest.Digest != f.manifest || got[0].RepoDigest != f.manifest {
				t.Fatalf("got %+v, %v", got, err)
			}
			checkIngest(t, in, got)
		})
	}
}

func TestDirectoryLinks(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte(f.layers[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	layerName := blobName(digest.FromString(f.layers[0]))
	for _, c := range []struct {
		title, target string
		ok            bool
	}{
		{"inside", "../../rootfs.tar.gz", true},
		{"absolute, inside", "/rootfs.tar.gz", true},
		{"through the top", "../../../../rootfs.tar.gz", true},
		{"outside", outside, false},
		{"outside, relative", "../../../" + filepath.Base(filepath.Dir(outside)) + "/outside", false},
		{"magic", "/proc/self/root" + outside, false},
		{"dangling", "../../nothing", false},
		{"itself", filepath.Base(layerName), false},
		{"a directory", "../../blobs", false},
	} {
		t.Run(c.title, func(t *testing.T) {
			files := layout(t, []ocispec.Descriptor{f.descriptor}, f)
			delete(files, layerName)
			files["rootfs.tar.gz"] = f.layers[0]
			dir := unpack(t, append(fileList(files), member{name: layerName, link: c.target})...)
			in := newIngest(t)
			got, err := readPath(t, in, dir, Options{})
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				checkIngest(t, in, got)
				return
			}
			if err == nil || !strings.Contains(err.Error(), layerName) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestCheckoutWithoutLinks: git without symlinks leaves the target of a link in a small file.
func TestCheckoutWithoutLinks(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one")
	layerName := blobName(digest.FromString(f.layers[0]))
	for _, c := range []struct {
		title, text string
		ok          bool
	}{
		{"inside", "../../rootfs.tar.gz", true},
		{"outside", "../../../../../../etc/passwd", false},
		{"absolute", "/rootfs.tar.gz", false},
		{"other bytes", "../../index.json", false},
		{"nothing", "../../nothing", false},
		{"empty", "", false},
	} {
		t.Run(c.title, func(t *testing.T) {
			files := layout(t, []ocispec.Descriptor{f.descriptor}, f)
			files[layerName] = c.text
			files["rootfs.tar.gz"] = f.layers[0]
			for manifest := range maps.Keys(f.blobs) {
				if digest.FromString(f.blobs[manifest]) == f.manifest && c.ok {
					files[manifest], files["manifest-of-busybox.json"] = "../../manifest-of-busybox.json", f.blobs[manifest]
				}
			}
			in := newIngest(t)
			got, err := readPath(t, in, unpack(t, fileList(files)...), Options{})
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				checkIngest(t, in, got)
			} else if !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestOtherAlgorithms(t *testing.T) {
	f := simple(t, "one")
	layer := []byte(f.layers[0])
	manifest := strings.Replace(f.blobs[blobName(f.manifest)], digest.FromBytes(layer).String(), digest.SHA512.FromBytes(layer).String(), 1)
	for _, spoil := range []bool{false, true} {
		files := layout(t, []ocispec.Descriptor{describe("", []byte(manifest))}, f)
		files[blobName(digest.FromString(manifest))] = manifest
		stored := string(bytes.Clone(layer))
		if spoil {
			stored = "X" + stored[1:]
		}
		files[blobName(digest.SHA512.FromBytes(layer))] = stored
		in := newIngest(t)
		got, err := readTar(t, in, pack(t, fileList(files)...), Options{})
		if spoil != errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("spoiled %v: %v", spoil, err)
		}
		if spoil {
			continue
		}
		if d := got[0].Image.Layers[0].Digest; d.Algorithm() != digest.SHA512 || string(content(t, in, d)) != f.layers[0] {
			t.Errorf("layer %s", d)
		}
	}
}
