package archive

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// dockerFiles makes the files of a docker-archive of images, layers in directories with v1 ids as all
// but the newest Docker names them.
func dockerFiles(t testing.TB, images map[string]fixture) map[string]string {
	t.Helper()
	files := map[string]string{}
	var entries []saved
	for tag, f := range images {
		e := saved{Config: f.id.Encoded() + ".json", RepoTags: []string{tag}}
		files[e.Config] = f.config
		for i, l := range f.layers {
			name := fmt.Sprintf("%s/layer.tar", digest.FromString(fmt.Sprint(f.id, i)).Encoded())
			files[name] = l
			e.Layers = append(e.Layers, name)
		}
		entries = append(entries, e)
	}
	files["manifest.json"] = string(toJSON(t, entries))
	return files
}

func TestReadDocker(t *testing.T) {
	for _, c := range []struct {
		title     string
		compress  func(testing.TB, []byte) []byte
		mediaType string
	}{
		{"plain", nil, ocispec.MediaTypeImageLayer},
		{"gzip", gzipped, ocispec.MediaTypeImageLayerGzip},
		{"zstd", zstandard, ocispec.MediaTypeImageLayerZstd},
	} {
		t.Run(c.title, func(t *testing.T) {
			f := newFixture(t, image.HostPlatform(), c.compress, c.mediaType, "one", "two", "one")
			files := dockerFiles(t, map[string]fixture{"user/app:1": f})
			var first []image.Candidate
			for _, form := range []string{"tar", "tar again", "gzip", "directory"} {
				in := newIngest(t)
				var got []image.Candidate
				var err error
				switch data := pack(t, fileList(files)...); form {
				case "gzip":
					got, err = readTar(t, in, gzipped(t, data), Options{})
				case "directory":
					got, err = readPath(t, in, unpack(t, fileList(files)...), Options{})
				default:
					got, err = readTar(t, in, data, Options{})
				}
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				checkIngest(t, in, got)
				im := got[0].Image
				if len(got) != 1 || refs(got) != "user/app:1" || got[0].RepoDigest != "" || im.ID != f.id || string(im.RawConfig) != f.config {
					t.Errorf("%s: got %+v", form, got)
				}
				for i, l := range im.Layers {
					if l.Digest != digest.FromString(f.layers[i]) || l.MediaType != c.mediaType {
						t.Errorf("%s: layer %d is %+v", form, i, l)
					}
				}
				if first == nil {
					first = got
				}
				if !reflect.DeepEqual(got, first) {
					t.Errorf("%s: the image is not the same as before: %+v", form, got)
				}
			}
		})
	}
}

// TestDockerLinks: docker save of old wrote a layer that several images share once, and links to it.
func TestDockerLinks(t *testing.T) {
	f := simple(t, "one", "two", "three")
	manifest := toJSON(t, []saved{{Config: f.id.Encoded() + ".json", Layers: []string{"a/layer.tar", "b/layer.tar", "c/layer.tar"}}})
	in := newIngest(t)
	got, err := readTar(t, in, pack(t,
		member{name: "a/layer.tar", link: "../z/layer.tar"}, // to an entry that comes later
		member{name: "y/layer.tar", content: f.layers[1]},
		member{name: "x/layer.tar", link: "../y/layer.tar"},
		member{name: "b/layer.tar", link: "../x/./layer.tar"},
		member{name: "z/layer.tar", content: f.layers[0]},
		member{name: "w/layer.tar", content: f.layers[2]},
		member{name: "c/layer.tar", link: "w/layer.tar", hard: true},
		member{name: "./" + f.id.Encoded() + ".json", content: f.config},
		member{name: "manifest.json", content: string(manifest)},
	), Options{})
	if err != nil || got[0].Image.ID != f.id || refs(got) != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	checkIngest(t, in, got)
}

func TestDockerSeveralImages(t *testing.T) {
	one, two := simple(t, "base", "one"), simple(t, "base", "two")
	files := dockerFiles(t, map[string]fixture{"a:1": one})
	for name, text := range dockerFiles(t, map[string]fixture{"b:1": two}) {
		if name != "manifest.json" {
			files[name] = text
			continue
		}
		files[name] = strings.TrimSuffix(files[name], "]") + "," + strings.TrimPrefix(text, "[")
	}
	again := strings.Replace(files["manifest.json"], `"a:1"`, `"a:2","a:1","localhost:5000/a"`, 1)
	files["manifest.json"] = strings.TrimSuffix(files["manifest.json"], "]") + "," + strings.TrimPrefix(again, "[")
	in := newIngest(t)
	got, err := readTar(t, in, pack(t, fileList(files)...), Options{})
	if err != nil || refs(got) != "a:1,a:2,localhost:5000/a:latest b:1" {
		t.Fatalf("got %s, %v", refs(got), err)
	}
	checkIngest(t, in, got)
}

func TestDockerRefuses(t *testing.T) {
	f := simple(t, "one", "two")
	config := f.id.Encoded() + ".json"
	good := saved{Config: config, RepoTags: []string{"a:1"}, Layers: []string{"1.tar", "2.tar"}}
	for _, c := range []struct {
		title string
		edit  func(e *saved, files map[string]string)
		class error
		says  string
	}{
		{"layer missing", func(_ *saved, m map[string]string) { delete(m, "2.tar") }, errdefs.ErrDataLoss, "layer 2: 2.tar is not in the archive"},
		{"config missing", func(_ *saved, m map[string]string) { delete(m, config) }, errdefs.ErrDataLoss, config + " is not in the archive"},
		{"config changed", func(_ *saved, m map[string]string) { m[config] += " " }, errdefs.ErrDataLoss, f.id.String() + " is corrupt"},
		{"config is a layer", func(e *saved, _ map[string]string) { e.Config = "1.tar" }, errdefs.ErrInvalidArgument, "1.tar is not the config"},
		{"config is the manifest", func(e *saved, _ map[string]string) { e.Config = "manifest.json" }, errdefs.ErrInvalidArgument, "not the config"},
		{"config is other JSON", func(e *saved, m map[string]string) { e.Config, m["x.json"] = "x.json", `{"a":1}` }, errdefs.ErrInvalidArgument, "not the config"},
		{"config outside", func(e *saved, _ map[string]string) { e.Config = "../../etc/passwd" }, errdefs.ErrInvalidArgument, "out of the archive"},
		{"config absolute", func(e *saved, _ map[string]string) { e.Config = "/etc/passwd" }, errdefs.ErrInvalidArgument, "out of the archive"},
		{"no config", func(e *saved, _ map[string]string) { e.Config = "" }, errdefs.ErrInvalidArgument, "image 1 names no config"},
		{"layer outside", func(e *saved, _ map[string]string) { e.Layers[1] = "a/../../b" }, errdefs.ErrInvalidArgument, "out of the archive"},
		{"a layer less", func(e *saved, _ map[string]string) { e.Layers = e.Layers[:1] }, errdefs.ErrInvalidArgument, "1 layers, but its config 2"},
		{"xz", func(_ *saved, m map[string]string) { m["2.tar"] = "\xfd7zXZ\x00\x00\x00\x00\x00" }, errdefs.ErrNotImplemented, "xz"},
		{"bad tag", func(e *saved, _ map[string]string) { e.RepoTags = []string{"A:b"} }, errdefs.ErrInvalidArgument, `"A:b"`},
		{"digest as a tag", func(e *saved, _ map[string]string) { e.RepoTags = []string{"a@" + f.id.String()} }, errdefs.ErrInvalidArgument, "has a digest"},
		{"foreign layer", func(e *saved, _ map[string]string) {
			e.LayerSources = map[string]ocispec.Descriptor{"sha256:x": {MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}}
		}, errdefs.ErrNotImplemented, "foreign"},
		{"too many layers", func(e *saved, _ map[string]string) { e.Layers = make([]string, image.MaxLayers+1) }, errdefs.ErrNotImplemented, "overlayfs stacks at most 500"},
		{"manifest.json is an object", func(_ *saved, m map[string]string) { m["manifest.json"] = "{}" }, errdefs.ErrInvalidArgument, "manifest.json"},
		{"manifest.json is empty", func(_ *saved, m map[string]string) { m["manifest.json"] = "[]" }, errdefs.ErrInvalidArgument, "lists no image"},
	} {
		t.Run(c.title, func(t *testing.T) {
			e := good
			e.Layers = append([]string(nil), good.Layers...)
			files := map[string]string{config: f.config, "1.tar": f.layers[0], "2.tar": f.layers[1]}
			files["manifest.json"] = "set below"
			c.edit(&e, files)
			if files["manifest.json"] == "set below" {
				files["manifest.json"] = string(toJSON(t, []saved{e}))
			}
			got, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want %v with %q", got, err, c.class, c.says)
			}
		})
	}
}

func TestDockerPlatform(t *testing.T) {
	f := forPlatform(t, foreignA)
	data := pack(t, fileList(dockerFiles(t, map[string]fixture{"a:1": f}))...)
	for want, ok := range map[string]bool{"": true, foreignA: true, foreignB: false} {
		_, err := readTar(t, newIngest(t), data, Options{Platform: platform(t, want)})
		if ok != (err == nil) || !ok && (!errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "there is "+foreignA)) {
			t.Errorf("platform %q: %v", want, err)
		}
	}
}

// TestKaniko: names of files that are digests, with compressed layers.
func TestKaniko(t *testing.T) {
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one")
	layer := digest.FromString(f.layers[0]).Encoded() + ".tar.gz"
	in := newIngest(t)
	got, err := readTar(t, in, pack(t,
		member{name: f.id.String(), content: f.config},
		member{name: layer, content: f.layers[0]},
		member{name: layer, content: f.layers[0]}, // some tools write a layer as often as it is named
		member{name: "manifest.json", content: string(toJSON(t, []saved{{Config: f.id.String(), RepoTags: []string{"k:1"}, Layers: []string{layer}}}))},
	), Options{})
	if err != nil || got[0].Image.ID != f.id {
		t.Fatalf("got %+v, %v", got, err)
	}
	checkIngest(t, in, got)
}
