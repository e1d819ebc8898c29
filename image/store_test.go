package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/internal/gc"
)

func TestStoreKeepsRecords(t *testing.T) {
	s, blobs := testStore(t)
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("a new store has %v, %v", list, err)
	}
	dangling := record(t, "", "b")
	dangling.RepoDigest, dangling.Repository = "", "docker.io/library/gone"
	foreign := record(t, "quay.io/x/y@"+sha256, "c")
	foreign.Manifest.Annotations = map[string]string{"org.example": "kept"}
	want := []Record{record(t, "busybox:1", "a"), dangling, foreign}
	if err := s.Put(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir, blobs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.List(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("List = %+v, %v\nwant %+v", got, err, want)
	}
}

func TestStoreIsALayout(t *testing.T) {
	s, _ := testStore(t)
	rec := record(t, "busybox", "a")
	if err := s.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got := string(read("oci-layout")); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout = %s", got)
	}
	var index ocispec.Index
	if err := json.Unmarshal(read("index.json"), &index); err != nil {
		t.Fatal(err)
	}
	d := index.Manifests[0]
	if index.SchemaVersion != 2 || d.MediaType != ocispec.MediaTypeImageManifest || d.Digest != rec.Manifest.Digest || d.Platform.OS != "linux" {
		t.Errorf("index.json = %+v", index)
	}
	for annotation, want := range map[string]string{
		"org.opencontainers.image.ref.name": "docker.io/library/busybox:latest",
		"io.containerd.image.name":          "docker.io/library/busybox:latest",
		"dev.lrun.image.id":                 rec.Image.String(),
		"dev.lrun.image.created":            "2024-05-06T07:08:09.00000001Z",
		"dev.lrun.image.size":               "8589934592",
		"dev.lrun.repo.digest":              rec.RepoDigest.String(),
	} {
		if d.Annotations[annotation] != want {
			t.Errorf("annotation %s = %q, want %q", annotation, d.Annotations[annotation], want)
		}
	}
}

func TestPut(t *testing.T) {
	for _, c := range []struct {
		title string
		put   []string // name=author
		want  string
	}{
		{"two names of one image", []string{"a=1", "b=1"}, "a:latest=1 b:latest=1"},
		{"the same again", []string{"a=1", "a=1"}, "a:latest=1"},
		{"a tag moves and leaves its image dangling", []string{"a=1", "b=2", "a=3"}, "a:latest=3 b:latest=2 =1"},
		{"a tag moves from an image with another name", []string{"a=1", "b=1", "a=2"}, "a:latest=2 b:latest=1"},
		{"a dangling image gets a name", []string{"=1", "=2", "a=1"}, "=2 a:latest=1"},
		{"an image with a name comes without", []string{"a=1", "=1"}, "a:latest=1"},
		{"dangling twice", []string{"=1", "=1"}, "=1"},
		{"a tag moves there and back", []string{"a=1", "a=2", "a=1"}, "a:latest=1 =2"},
	} {
		t.Run(c.title, func(t *testing.T) {
			for _, together := range []bool{true, false} {
				s, _ := testStore(t)
				var recs []Record
				for _, p := range c.put {
					name, author, _ := strings.Cut(p, "=")
					recs = append(recs, record(t, name, author))
				}
				if together {
					if err := s.Put(t.Context(), recs...); err != nil {
						t.Fatal(err)
					}
				}
				for _, r := range recs {
					if together {
						break
					}
					if err := s.Put(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				if got := names(t, s, "1", "2", "3"); got != c.want {
					t.Errorf("together %v: got %s, want %s", together, got, c.want)
				}
			}
		})
	}
}

func TestPutRefuses(t *testing.T) {
	s, _ := testStore(t)
	good := record(t, "a", "1")
	for title, spoil := range map[string]func(*Record){
		"no id":          func(r *Record) { r.Image = "" },
		"bad id":         func(r *Record) { r.Image = "sha256:../../x" },
		"no manifest":    func(r *Record) { r.Manifest = ocispec.Descriptor{} },
		"bad digest":     func(r *Record) { r.RepoDigest = "x" },
		"nothing but id": func(r *Record) { r.Ref = r.Ref.Repository() },
	} {
		bad := good
		spoil(&bad)
		if err := s.Put(t.Context(), good, bad); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", title, err)
		}
		if got := names(t, s, "1"); got != "" {
			t.Errorf("%s: half of a Put is there: %s", title, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a context that is done: %v", err)
	}
}

func TestTag(t *testing.T) {
	s, _ := testStore(t)
	one, two, dangling := record(t, "one", "1"), record(t, "two", "2"), record(t, "", "3")
	if err := s.Put(t.Context(), one, two, dangling); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rec    Record
		name   string
		digest digest.Digest
		want   string
	}{
		{one, "one:v1", one.RepoDigest, "one:latest=1 two:latest=2 =3 one:v1=1"},
		{one, "other", "", "one:latest=1 two:latest=2 =3 one:v1=1 other:latest=1"},
		{one, "two", "", "one:latest=1 two:latest=1 =3 one:v1=1 other:latest=1 =2"},
		{dangling, "three", "", "one:latest=1 two:latest=1 one:v1=1 other:latest=1 =2 three:latest=3"},
	} {
		r, err := ParseReference(c.name)
		if err == nil {
			err = s.Tag(t.Context(), c.rec, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, s, "1", "2", "3"); got != c.want {
			t.Errorf("after tag %s: %s, want %s", c.name, got, c.want)
		}
		if got, err := s.Resolve(t.Context(), c.name); err != nil || got.RepoDigest != c.digest {
			t.Errorf("Resolve(%s) = %+v, %v; want digest %q", c.name, got, err, c.digest)
		}
	}
	if err := s.Tag(t.Context(), one, ref(t, "x@"+sha256)); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("tag with a digest: %v", err)
	}
	if err := s.Tag(t.Context(), record(t, "", "4"), ref(t, "x")); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("tag of what is not there: %v", err)
	}
}

func TestUntagAndDrop(t *testing.T) {
	s, _ := testStore(t)
	if err := s.Put(t.Context(), record(t, "a", "1"), record(t, "b", "1"), record(t, "c", "2")); err != nil {
		t.Fatal(err)
	}
	had, err := s.Untag(t.Context(), ref(t, "a").Repository())
	if err != nil || had.Ref.Familiar() != "a:latest" || names(t, s, "1", "2") != "b:latest=1 c:latest=2" {
		t.Errorf("Untag = %+v, %v; left %s", had, err, names(t, s, "1", "2"))
	}
	if _, err := s.Untag(t.Context(), ref(t, "b")); err != nil || names(t, s, "1", "2") != "c:latest=2 =1" {
		t.Errorf("the last name: %v; left %s", err, names(t, s, "1", "2"))
	}
	if err := s.Drop(t.Context(), had.Image); err != nil || names(t, s, "1", "2") != "c:latest=2" {
		t.Errorf("Drop: %v; left %s", err, names(t, s, "1", "2"))
	}
	if err := s.Drop(t.Context(), had.Image); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("Drop again: %v", err)
	}
	for _, r := range []Reference{ref(t, "a"), {}} {
		if _, err := s.Untag(t.Context(), r); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("Untag(%s): %v", r, err)
		}
	}
}

func TestOtherToolsEntriesStay(t *testing.T) {
	s, _ := testStore(t)
	const foreign = `{"mediaType":"application/x","digest":"sha256:` + hex64 + `","size":3,"future":{"a":[1]},"annotations":{"org.opencontainers.image.ref.name":"v1 Beta"}}`
	data := []byte(`{"schemaVersion":2,"future":true,"annotations":{"k":"v"},"manifests":[` + foreign + `]}`)
	if err := os.WriteFile(s.indexPath(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), record(t, "a", "1")); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s, "1"); got != "a:latest=1" {
		t.Errorf("listed: %s", got)
	}
	if err := s.Drop(t.Context(), record(t, "a", "1").Image); err != nil {
		t.Fatal(err)
	}
	var got, want any
	after, err := os.ReadFile(s.indexPath())
	if err == nil {
		err = errors.Join(json.Unmarshal(after, &got), json.Unmarshal(data, &want))
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("index.json = %s, %v\nwant %s", after, err, data)
	}
}

func TestStoreCorrupt(t *testing.T) {
	for title, index := range map[string]string{
		"empty": "", "half": `{"manifests":[{"med`, "null": "null", "list": "[]", "manifests": `{"manifests":{}}`, "entry": `{"manifests":[1]}`, "no version": `{"manifests":[]}`,
	} {
		t.Run(title, func(t *testing.T) {
			s, _ := testStore(t)
			if err := os.WriteFile(s.indexPath(), []byte(index), 0o600); err != nil {
				t.Fatal(err)
			}
			_, listErr := s.List(t.Context())
			_, blobsErr := s.Blobs(t.Context())
			for _, err := range []error{listErr, blobsErr, s.Put(t.Context(), record(t, "a", "1"))} {
				if err == nil && index == "null" {
					continue // a list may see nothing; a change may not begin anew
				}
				if !errors.Is(err, errdefs.ErrDataLoss) {
					t.Errorf("%v is not errdefs.ErrDataLoss", err)
				}
			}
			if after, err := os.ReadFile(s.indexPath()); err != nil || string(after) != index {
				t.Errorf("index.json is now %q, %v", after, err)
			}
		})
	}
	s, _ := testStore(t)
	if err := os.Remove(s.indexPath()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context()); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("index.json is gone: %v", err)
	}
}

// An index of another form is named and left alone, whether it can be read as one of ours or not; nothing is taken for unneeded.
func TestStoreOfAnotherVersion(t *testing.T) {
	for title, index := range map[string]string{
		"like ours": `{"schemaVersion":3,"manifests":[]}`, "another shape": `{"manifests":{"a":1},"schemaVersion":3}`, "none of ours": `{"schemaVersion":3}`,
	} {
		t.Run(title, func(t *testing.T) {
			s, _ := testStore(t)
			if err := os.WriteFile(s.indexPath(), []byte(index), 0o600); err != nil {
				t.Fatal(err)
			}
			_, listErr := s.List(t.Context())
			_, blobsErr := s.Blobs(t.Context())
			_, _, sizeErr := s.IndexWithout()
			graphErr := s.Graph(t.Context(), &gc.Graph{})
			for _, err := range []error{listErr, blobsErr, sizeErr, graphErr, s.Put(t.Context(), record(t, "a", "1"))} {
				if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), `index.json": schemaVersion 3 is not supported; lrun knows 2`) {
					t.Errorf("got %v", err)
				}
			}
			if after, err := os.ReadFile(s.indexPath()); err != nil || string(after) != index {
				t.Errorf("index.json is now %q, %v", after, err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	s, blobs := testStore(t)
	im, data := testImage(t, "1", "layer", "layer", "third")
	publish(t, blobs, data...)
	rec := Record{Ref: ref(t, "a"), Image: im.ID, Manifest: im.Manifest}
	if err := s.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context(), rec)
	if err != nil || !reflect.DeepEqual(got, im) {
		t.Errorf("Load = %+v, %v\nwant %+v", got, err, im)
	}
	config := filepath.Join(s.dir, "blobs", "sha256", im.ID.Encoded())
	if err := os.WriteFile(config, bytes.Repeat([]byte(" "), int(im.Manifest.Size)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), rec); !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), im.ID.String()) {
		t.Errorf("a damaged config: %v", err)
	}
	if err := blobs.Remove(im.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), rec); !errors.Is(err, errdefs.ErrDataLoss) || errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a missing config: %v", err)
	}
	if err := s.Drop(t.Context(), im.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), rec); !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "not any more") {
		t.Errorf("an image that was removed meanwhile: %v", err)
	}
	other, data := testImage(t, "2", "layer")
	publish(t, blobs, data...)
	other.Manifest.Platform = nil
	if _, err := s.Load(t.Context(), Record{Image: im.Layers[0].Digest, Manifest: other.Manifest}); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("a record that contradicts its manifest: %v", err)
	}
}
