package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// TestCorruptBlobs spoils every blob of a layout in turn, in both forms.
func TestCorruptBlobs(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 10_000) // not kept in memory
	f := newFixture(t, image.HostPlatform(), nil, ocispec.MediaTypeImageLayer, "one", big[:200])
	for name, text := range f.blobs {
		want := digest.FromString(text)
		for how, spoiled := range map[string]string{
			"a byte changed": "X" + text[1:], "cut": text[:len(text)-1], "longer": text + "\n", "empty": "", "another blob": f.config, "huge": text + big,
		} {
			if spoiled == text {
				continue
			}
			t.Run(how, func(t *testing.T) {
				files := layout(t, []ocispec.Descriptor{f.descriptor}, f)
				files[name] = spoiled
				_, tarErr := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
				_, dirErr := readPath(t, newIngest(t), unpack(t, fileList(files)...), Options{})
				for form, err := range map[string]error{"tar": tarErr, "directory": dirErr} {
					if !errors.Is(err, errdefs.ErrDataLoss) {
						t.Fatalf("%s: got %v", form, err)
					}
					found := digest.FromString(spoiled).String()
					if len(spoiled) != len(text) {
						found = fmt.Sprintf("%d bytes", len(text))
					}
					for _, says := range []string{want.String(), name, found} {
						if !strings.Contains(err.Error(), says) {
							t.Errorf("%s: %v does not say %q", form, err, says)
						}
					}
				}
			})
		}
	}
}

func TestLyingDescriptors(t *testing.T) {
	f := simple(t, "one", "two")
	for _, c := range []struct {
		title string
		edit  func(m *ocispec.Manifest)
		class error
	}{
		{"layer size", func(m *ocispec.Manifest) { m.Layers[0].Size++ }, errdefs.ErrDataLoss},
		{"layer size, the same layer twice", func(m *ocispec.Manifest) { m.Layers[1] = m.Layers[0]; m.Layers[1].Size++ }, errdefs.ErrDataLoss},
		{"config size", func(m *ocispec.Manifest) { m.Config.Size-- }, errdefs.ErrDataLoss},
		{"config is a layer", func(m *ocispec.Manifest) { m.Config.Digest, m.Config.Size = m.Layers[0].Digest, m.Layers[0].Size }, errdefs.ErrInvalidArgument},
		{"config is the index", func(m *ocispec.Manifest) { m.Config.Digest = digest.FromString("x") }, errdefs.ErrDataLoss},
		{"layer outside", func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" }, errdefs.ErrInvalidArgument},
	} {
		t.Run(c.title, func(t *testing.T) {
			m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
			m.Config = describe(ocispec.MediaTypeImageConfig, []byte(f.config))
			for _, l := range f.layers {
				m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayer, []byte(l)))
			}
			c.edit(&m)
			data := toJSON(t, m)
			files := layout(t, []ocispec.Descriptor{describe(ocispec.MediaTypeImageManifest, data)}, f)
			files[blobName(digest.FromBytes(data))] = string(data)
			if got, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{}); !errors.Is(err, c.class) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestTruncated cuts an archive at every kind of place: nothing of it may be taken for whole.
func TestTruncated(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "two")
	docker := pack(t, fileList(dockerFiles(t, map[string]fixture{"a:1": f}))...)
	oci := pack(t, fileList(layout(t, []ocispec.Descriptor{f.descriptor}, f))...)
	for name, data := range map[string][]byte{"docker": docker, "oci": oci} {
		for n := 0; n < len(data)-1024; n += 173 {
			in := newIngest(t)
			got, err := readTar(t, in, data[:n], Options{})
			if err == nil && len(got) == 1 && got[0].Image.ID == f.id {
				checkIngest(t, in, got) // only what nobody needs is missing
				continue
			}
			if !errors.Is(err, errdefs.ErrDataLoss) && !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("%s, %d of %d bytes: %+v, %v", name, n, len(data), got, err)
			}
		}
		packed := gzipped(t, data)
		for n := 20; n < len(packed); n += 31 {
			if _, err := readTar(t, newIngest(t), packed[:n], Options{}); !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("%s, %d of %d gzip bytes: %v", name, n, len(packed), err)
			}
		}
	}
}

func TestNoArchive(t *testing.T) {
	for title, c := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":         {nil, "it is empty"},
		"zeros":           {make([]byte, 1024), "it is empty"},
		"text":            {bytes.Repeat([]byte("no archive at all\n"), 100), "not a tar"},
		"short text":      {[]byte("x"), "truncated"},
		"root filesystem": {pack(t, member{name: "etc/"}, member{name: "etc/passwd", content: "x"}, member{name: "bin/sh", link: "/bin/busybox"}), "lrun import"},
	} {
		_, err := readTar(t, newIngest(t), c.data, Options{})
		if !errors.Is(err, errdefs.ErrInvalidArgument) && !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", title, err)
		}
	}
	_, err := readPath(t, newIngest(t), t.TempDir(), Options{})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "neither index.json nor manifest.json") {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestHostileEntries(t *testing.T) {
	f := simple(t, "one")
	good := slices.Clip(fileList(layout(t, []ocispec.Descriptor{f.descriptor}, f)))
	index := good[len(good)-2]
	if index.name != "index.json" {
		t.Fatal(index.name)
	}
	layerName := blobName(digest.FromString(f.layers[0]))
	without := make([]member, 0, len(good))
	for _, m := range good {
		if m.name != layerName {
			without = append(without, m)
		}
	}
	without = slices.Clip(without)
	for _, c := range []struct {
		title   string
		members []member
		class   error
		says    string
	}{
		{"good", good, nil, ""},
		{"..", append(good, member{name: "../evil", content: "x"}), errdefs.ErrInvalidArgument, `"../evil": it leads out`},
		{".. within", append(good, member{name: "a/../../evil", content: "x"}), errdefs.ErrInvalidArgument, "leads out"},
		{"absolute", append(good, member{name: "/etc/passwd", content: "x"}), errdefs.ErrInvalidArgument, "leads out"},
		{"link out that nobody follows", append(good, member{name: "a", link: "/etc/passwd"}), nil, ""},
		{"blob links out", append(without, member{name: layerName, link: "../../../../etc/passwd"}), errdefs.ErrInvalidArgument, "leads out"},
		{"blob links absolutely", append(without, member{name: layerName, link: "/etc/passwd"}), errdefs.ErrInvalidArgument, "leads out"},
		{"blob links to nothing", append(without, member{name: layerName, link: "x"}), errdefs.ErrDataLoss, "not in the archive"},
		{"blob links to itself", append(without, member{name: layerName, link: "../sha256/" + layerName[len("blobs/sha256/"):]}), errdefs.ErrInvalidArgument, "too many links"},
		{"hard link out", append(without, member{name: layerName, link: "../x", hard: true}), errdefs.ErrInvalidArgument, "leads out"},
		{"blob links to a copy", append(without, member{name: layerName, link: "../../copy"}, member{name: "copy", content: f.layers[0]}), nil, ""},
		{"an entry twice", append(good, good...), nil, ""},
		{"another index", append(good, member{name: "./index.json", content: "{}"}), errdefs.ErrInvalidArgument, "twice"},
		{"a blob and a link", append(good, member{name: layerName, link: "index.json"}), errdefs.ErrInvalidArgument, "twice"},
		{"index is a link to itself", append(good[:len(good)-2:len(good)-2], member{name: "index.json", link: "index.json"}), errdefs.ErrInvalidArgument, "too many links"},
		{"huge index", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: index.content + strings.Repeat(" ", image.MaxDocument)}), errdefs.ErrInvalidArgument, "more than 4194304"},
		{"index is a list", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: "[]"}), errdefs.ErrInvalidArgument, "index.json"},
		{"index has another shape", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: `{"manifests":[{"digest":1}]}`}), errdefs.ErrInvalidArgument, "index.json"},
		{"index of another version", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: strings.Replace(index.content, `"schemaVersion":2`, `"schemaVersion":3`, 1)}), errdefs.ErrNotImplemented, "schemaVersion 3 is not supported; lrun knows 2"},
		{"index of no version", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: strings.Replace(index.content, `"schemaVersion":2,`, ``, 1)}), errdefs.ErrNotImplemented, "index.json: "},
		{"index with a bad digest", append(good[:len(good)-2:len(good)-2], member{name: "index.json", content: `{"schemaVersion":2,"manifests":[{"digest":"sha256:../x","size":1}]}`}), errdefs.ErrInvalidArgument, `"sha256:../x"`},
	} {
		t.Run(c.title, func(t *testing.T) {
			in := newIngest(t)
			got, err := readTar(t, in, pack(t, c.members...), Options{})
			if !errors.Is(err, c.class) || c.class != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %+v, %v; want %v with %q", got, err, c.class, c.says)
			}
			if c.class == nil {
				checkIngest(t, in, got)
			}
		})
	}
}

func TestHugeManifest(t *testing.T) {
	f := simple(t, "one")
	large := f.blobs[blobName(f.manifest)] + strings.Repeat(" ", image.MaxDocument)
	files := layout(t, []ocispec.Descriptor{describe(ocispec.MediaTypeImageManifest, []byte(large))}, f)
	files[blobName(digest.FromString(large))] = large
	_, tarErr := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
	_, dirErr := readPath(t, newIngest(t), unpack(t, fileList(files)...), Options{})
	for form, err := range map[string]error{"tar": tarErr, "directory": dirErr} {
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), fmt.Sprint(image.MaxDocument)) {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestReadStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(pack(t, member{name: "a", content: strings.Repeat("x", 1<<20)})[:1<<19]), stopping{cancel})
	in := newIngest(t)
	if _, err := Read(ctx, FromReader(r, "stream"), in, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if d := in.Digests(); len(d) != 0 {
		t.Errorf("left %v", d)
	}
}

// stopping never ends, and cancels at the first read.
type stopping struct{ cancel context.CancelFunc }

func (s stopping) Read(p []byte) (int, error) {
	s.cancel()
	clear(p)
	return len(p), nil
}

// TestReadKeepsWhatWasThere: Read discards what no image needs of its own blobs, not others.
func TestReadKeepsWhatWasThere(t *testing.T) {
	in := newIngest(t)
	before, _, err := in.WriteUnknown(t.Context(), -1, strings.NewReader("before"))
	if err != nil {
		t.Fatal(err)
	}
	f := simple(t, "one")
	if _, err := readTar(t, in, pack(t, fileList(layout(t, []ocispec.Descriptor{f.descriptor}, f))...), Options{}); err != nil {
		t.Fatal(err)
	}
	if got := string(content(t, in, before)); got != "before" {
		t.Errorf("got %q", got)
	}
}
