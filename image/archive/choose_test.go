package archive

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// foreign are platforms that no test runs on.
const (
	foreignA = "linux/s390x"
	foreignB = "linux/mips64le"
)

func platform(t testing.TB, s string) image.Platform {
	t.Helper()
	if s == "" {
		return image.Platform{}
	}
	p, err := image.ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// attestation is what BuildKit writes beside an image.
func attestation(t testing.TB, of fixture) fixture {
	t.Helper()
	f := newFixture(t, image.Platform{OS: "unknown", Architecture: "unknown"}, nil, "application/vnd.in-toto+json", "attest")
	f.descriptor.Platform = &image.Platform{OS: "unknown", Architecture: "unknown"}
	f.descriptor.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.manifest.String()}
	return f
}

func TestPlatforms(t *testing.T) {
	host := "linux/" + runtime.GOARCH
	ours, a, b := forPlatform(t, host), forPlatform(t, foreignA), forPlatform(t, foreignB)
	silent := ours // the same image, but its descriptor does not say for what it is
	silent.descriptor.Platform = nil
	extra := attestation(t, ours)
	all := []fixture{ours, a, b, extra}
	tests := []struct {
		title   string
		entries func(files map[string]string) []ocispec.Descriptor
		want    string // the platform asked for
		got     string // the platforms of the images taken; else the error says all of these words
	}{
		{"index, host", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, extra.descriptor, ours.descriptor, b.descriptor)}
		}, "", host},
		{"index, chosen", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, ours.descriptor, b.descriptor)}
		}, foreignB, foreignB},
		{"index in an index in an index", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, nest(t, m, nest(t, m, ours.descriptor), b.descriptor))}
		}, "", host},
		{"index, silent", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, silent.descriptor)}
		}, "", host},
		{"index, nothing fits", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, b.descriptor, extra.descriptor)}
		}, "", "error: no image for " + host + "; there is " + foreignA + ", " + foreignB + ": choose one with --platform"},
		{"index of one, nothing fits", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor)}
		}, "", "error: there is " + foreignA},
		{"chosen is not there", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, ours.descriptor)}
		}, foreignB, "error: no image for " + foreignB + "; there is " + foreignA + ", " + host},
		{"one manifest for another platform", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.descriptor}
		}, "", foreignA},
		{"one manifest, chosen otherwise", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.descriptor}
		}, foreignB, "error: no image for " + foreignB + "; there is " + foreignA},
		{"one silent manifest, chosen otherwise", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{silent.descriptor}
		}, foreignB, "error: no image for " + foreignB + "; there is " + host},
		{"two names, two platforms", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.named(refName, "x:1"), b.named(refName, "x:2")}
		}, "", foreignA + " " + foreignB},
		{"one name, three platforms", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.named(refName, "x:1"), ours.named(refName, "x:1"), b.named(refName, "x:1"), extra.descriptor}
		}, "", host},
		{"one name, three platforms, chosen", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.named(refName, "x:1"), ours.named(refName, "x:1"), b.named(refName, "x:1")}
		}, foreignA, foreignA},
		{"no name, two platforms", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.descriptor, ours.descriptor}
		}, "", host},
		{"no name, nothing fits", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.descriptor, b.descriptor}
		}, "", "error: there is " + foreignA + ", " + foreignB},
		{"an index and a manifest", func(m map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{nest(t, m, a.descriptor, ours.descriptor), b.descriptor}
		}, "", host + " " + foreignB},
		{"two names, one without the platform", func(map[string]string) []ocispec.Descriptor {
			return []ocispec.Descriptor{a.named(refName, "x:1"), b.named(refName, "x:2")}
		}, foreignA, "error: image docker.io/library/x:2: no image for " + foreignA},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			files := map[string]string{}
			entries := tt.entries(files)
			maps.Copy(files, layout(t, entries, all...))
			in := newIngest(t)
			got, err := readTar(t, in, pack(t, fileList(files)...), Options{Platform: platform(t, tt.want)})
			if says, wrong := strings.CutPrefix(tt.got, "error: "); wrong {
				if !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want errdefs.ErrNotFound with %q", err, says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for i, c := range got {
				have = append(have, image.FormatPlatform(*c.Image.Manifest.Platform))
				if len(entries) == 1 && c.RepoDigest != entries[i].Digest {
					t.Errorf("RepoDigest = %s, want that of the entry, %s", c.RepoDigest, entries[i].Digest)
				}
			}
			if s := strings.Join(have, " "); s != tt.got {
				t.Errorf("got %s, want %s", s, tt.got)
			}
			checkIngest(t, in, got)
		})
	}
}

// TestPartialArchive: docker save of one platform writes the index of all, and the blobs of the one.
func TestPartialArchive(t *testing.T) {
	ours, other := forPlatform(t, "linux/"+runtime.GOARCH), forPlatform(t, foreignA)
	files := map[string]string{}
	index := nest(t, files, other.descriptor, ours.descriptor)
	maps.Copy(files, layout(t, []ocispec.Descriptor{index}, ours))
	data := pack(t, fileList(files)...)
	if got, err := readTar(t, newIngest(t), data, Options{}); err != nil || got[0].Image.ID != ours.id {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err := readTar(t, newIngest(t), data, Options{Platform: platform(t, foreignA)})
	if !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), other.manifest.Encoded()+" is not in the archive") {
		t.Errorf("the platform whose blobs are missing: %v", err)
	}
}

func TestArtifacts(t *testing.T) {
	ours := simple(t, "one")
	sbom := toJSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "text/x-sbom",
		"config": ocispec.DescriptorEmptyJSON, "layers": []ocispec.Descriptor{},
	})
	described := describe(ocispec.MediaTypeImageManifest, sbom)
	said := described
	said.ArtifactType = "text/x-sbom"
	for _, c := range []struct {
		title   string
		entries []ocispec.Descriptor
		class   error
	}{
		{"alone", []ocispec.Descriptor{said}, errdefs.ErrNotImplemented},
		{"alone, and it does not say so", []ocispec.Descriptor{described}, errdefs.ErrNotImplemented},
		{"with an image", []ocispec.Descriptor{said, ours.descriptor}, nil},
		{"with an image, and it does not say so", []ocispec.Descriptor{ours.named(refName, "a:1"), described}, errdefs.ErrNotImplemented},
		{"nothing", nil, errdefs.ErrInvalidArgument},
		{"only attestations", []ocispec.Descriptor{attestation(t, ours).descriptor}, errdefs.ErrInvalidArgument},
	} {
		t.Run(c.title, func(t *testing.T) {
			files := layout(t, c.entries, ours)
			files[blobName(described.Digest)] = string(sbom)
			files[blobName(ocispec.DescriptorEmptyJSON.Digest)] = "{}"
			got, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
			if !errors.Is(err, c.class) || c.class == nil && len(got) != 1 {
				t.Errorf("got %+v, %v; want %v", got, err, c.class)
			}
			if errors.Is(c.class, errdefs.ErrNotImplemented) && !strings.Contains(fmt.Sprint(err), `"text/x-sbom"`) {
				t.Errorf("%v does not name the type", err)
			}
		})
	}
}

func TestIndexOfArtifacts(t *testing.T) {
	files := map[string]string{}
	helm := toJSON(t, map[string]any{
		"schemaVersion": 2, "config": ocispec.Descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json", Digest: digest.FromString("{}"), Size: 2},
		"layers": []ocispec.Descriptor{},
	})
	files[blobName(digest.FromBytes(helm))] = string(helm)
	index := nest(t, files, describe(ocispec.MediaTypeImageManifest, helm))
	maps.Copy(files, layout(t, []ocispec.Descriptor{index}))
	_, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
	if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "helm") {
		t.Errorf("got %v", err)
	}
}

func TestNestingIsLimited(t *testing.T) {
	ours := forPlatform(t, "linux/"+runtime.GOARCH)
	for _, levels := range []int{maxDepth, maxDepth + 1} {
		files := map[string]string{}
		d := ours.descriptor
		for range levels {
			d = nest(t, files, d)
		}
		maps.Copy(files, layout(t, []ocispec.Descriptor{d}, ours))
		_, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
		if (levels > maxDepth) != errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
	// Every level names the one below many times: 30^8 paths to one manifest.
	files := map[string]string{}
	d := ours.descriptor
	for range maxDepth {
		var again []ocispec.Descriptor
		for range 30 {
			again = append(again, d)
		}
		d = nest(t, files, again...)
	}
	maps.Copy(files, layout(t, []ocispec.Descriptor{d}, ours))
	if got, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{}); err != nil || got[0].Image.ID != ours.id {
		t.Errorf("a bush of indexes: %+v, %v", got, err)
	}
	many := make([]ocispec.Descriptor, maxPlatforms+1)
	for i := range many {
		many[i] = forPlatform(t, foreignA).descriptor
	}
	files = map[string]string{}
	d = nest(t, files, many...)
	maps.Copy(files, layout(t, []ocispec.Descriptor{d}))
	if _, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("more manifests than platforms: %v", err)
	}
}
