package image

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/rootfs/format"
)

var update = flag.Bool("update", false, "write the golden files")

// fixture is a root with a command line that works on it.
type fixture struct {
	root, state string
	driver      string
	in          string
	out, err    bytes.Buffer
	containers  env.Containers
}

// now is when the commands of tests run.
func now() time.Time { return time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC) }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	dir := t.TempDir()
	return &fixture{root: filepath.Join(dir, "root"), state: filepath.Join(dir, "state"), driver: "vfs"}
}

// lrun runs one command line and returns its exit code; what it wrote is in out and err.
func (f *fixture) lrun(t *testing.T, args ...string) int {
	t.Helper()
	f.out.Reset()
	f.err.Reset()
	e := env.With(strings.NewReader(f.in), &f.out, &f.err)
	e.Now = now
	e.UID = func() int { return 0 }
	e.Containers = f.containers
	app := &command.App{Name: "lrun", Env: e, Groups: []command.Group{Group()}}
	global := []string{"lrun", "--root", f.root, "--state", f.state, "--driver", f.driver}
	return app.Main(t.Context(), append(global, args...))
}

// succeed runs one command line that must succeed and say nothing on standard error.
func (f *fixture) succeed(t *testing.T, args ...string) string {
	t.Helper()
	if code := f.lrun(t, args...); code != 0 || f.err.Len() > 0 {
		t.Fatalf("lrun %q: exit code %d, stderr %s", args, code, &f.err)
	}
	return f.out.String()
}

// fail runs one command line that must fail with code and say want on standard error, and nothing else.
func (f *fixture) fail(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	if got := f.lrun(t, args...); got != code || f.err.String() != want+"\n" {
		t.Errorf("lrun %q: exit code %d, want %d\ngot  %swant %s", args, got, code, &f.err, want)
	}
}

// testImage is an image to be put into the store as it is, without being unpacked.
type testImage struct {
	refs       []string
	created    time.Time
	size       int64
	digest     bool // it was pulled: it has a digest in its repository
	repository string
	config     map[string]any // the config's part "config"
	history    []ocispec.History
	layers     int
}

// put stores im and returns its ID.
func (f *fixture) put(t *testing.T, im testImage) digest.Digest {
	t.Helper()
	must(t, format.Init(f.root, atomicfile.Volatile))
	blobs, err := blob.Open(filepath.Join(f.root, "images"), filepath.Join(f.root, "ingest"))
	must(t, err)
	store, err := image.Open(filepath.Join(f.root, "images"), blobs)
	must(t, err)
	in, err := blobs.Begin()
	must(t, err)
	defer in.Close()
	ingest := func(mediaType string, v any) ocispec.Descriptor {
		data, err := json.Marshal(v)
		must(t, err)
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		must(t, in.Write(t.Context(), d, bytes.NewReader(data)))
		return d
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	var diffIDs []digest.Digest
	for i := range im.layers {
		d := ingest(ocispec.MediaTypeImageLayer, strings.Repeat("layer", i+1))
		manifest.Layers = append(manifest.Layers, d)
		diffIDs = append(diffIDs, d.Digest)
	}
	manifest.Config = ingest(ocispec.MediaTypeImageConfig, map[string]any{
		"architecture": "amd64", "os": "linux", "author": "me", "created": im.created, "config": im.config,
		"history": im.history, "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}, "docker_version": "20.10",
	})
	m := ingest(ocispec.MediaTypeImageManifest, manifest)
	must(t, in.Publish())
	rec := image.Record{Image: manifest.Config.Digest, Manifest: m, Created: im.created, Size: im.size, Repository: im.repository}
	if im.digest {
		rec.RepoDigest = m.Digest
	}
	if len(im.refs) == 0 {
		must(t, store.Put(t.Context(), rec))
	}
	for _, name := range im.refs {
		rec.Ref = parse(t, name)
		must(t, store.Put(t.Context(), rec))
	}
	return rec.Image
}

func parse(t *testing.T, name string) image.Reference {
	t.Helper()
	ref, err := image.ParseReference(name)
	must(t, err)
	return ref.WithDefaultTag()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// golden compares what a command wrote with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// gallery puts five images: two names for one, one of a registry, one that lost its tag, one that never had a name.
func gallery(t *testing.T, f *fixture) (busybox, nginx, old, nameless digest.Digest) {
	t.Helper()
	day := 24 * time.Hour
	busybox = f.put(t, testImage{
		refs: []string{"busybox", "busybox:1.36"}, created: now().Add(-14 * day), size: 4_261_550, digest: true,
		config: map[string]any{"Labels": map[string]string{"tier": "base", "public": ""}},
	})
	nginx = f.put(t, testImage{
		refs: []string{"registry.example.com:5000/web/nginx:stable"}, created: now().Add(-3 * time.Hour), size: 187_654_321,
		config: map[string]any{"Labels": map[string]string{"tier": "web"}},
	})
	old = f.put(t, testImage{repository: "docker.io/library/debian", created: now().Add(-400 * day), size: 117, digest: true})
	nameless = f.put(t, testImage{created: time.Unix(0, 0).UTC(), size: 0})
	return busybox, nginx, old, nameless
}

// noContainers lets a test say who uses what.
type users map[digest.Digest]bool

// ImageUse names a container for each image of u, which runs if u says so.
func (u users) ImageUse(context.Context) (func(digest.Digest) (string, bool), error) {
	return func(id digest.Digest) (string, bool) {
		running, used := u[id]
		if !used {
			return "", false
		}
		return "web", running
	}, nil
}

// Count says nothing.
func (users) VolumeUse(context.Context) (map[string][]string, error) { return nil, nil }
func (users) Count(context.Context) (map[string]int, error)          { return nil, nil }
func (users) Prune(context.Context, string) error                    { return nil }
