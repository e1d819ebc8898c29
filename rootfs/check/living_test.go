package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/rootfs/check"
)

// beside checks s again and again while work goes on, and no finding may be one of wrong.
func (s *store) beside(t *testing.T, work func(i int), o check.Options, wrong func(check.Finding) bool) {
	t.Helper()
	end := time.Now().Add(3 * time.Second)
	var g sync.WaitGroup
	g.Go(func() {
		for i := 0; time.Now().Before(end); i++ {
			work(i)
		}
	})
	o.Report = func(f check.Finding) {
		if wrong(f) {
			t.Errorf("%+v", f)
		}
	}
	for time.Now().Before(end) && !t.Failed() {
		_, err := check.Check(t.Context(), s.Root, o)
		must(t, err)
	}
	g.Wait()
}

func damaged(f check.Finding) bool { return f.Severity == check.Damage }

// hooked is a context that calls do whenever somebody asks whether it has ended.
type hooked struct {
	context.Context
	do func()
}

func (h hooked) Err() error {
	h.do()
	return h.Context.Err()
}

// A blob that is gone for one look is that of an image that was removed and is there again.
func TestBlobsComeAgain(t *testing.T) {
	testutil.RequireRoot(t)
	s := newStore(t, "overlayfs")
	blob := s.blobOf(s.image.Layers[1].Digest)
	for away, ended := 1, false; !ended; away++ {
		calls := 0
		ctx := hooked{t.Context(), func() {
			switch calls++; calls {
			case away:
				must(t, os.Rename(blob, blob+"-"))
			case away + 1:
				must(t, os.Rename(blob+"-", blob))
			}
		}}
		_, err := check.Check(ctx, s.Root, check.Options{Only: []image.Record{s.record}, Report: func(f check.Finding) {
			t.Errorf("away at %d: %+v", away, f)
		}})
		must(t, err)
		if ended = calls <= away; calls == away {
			must(t, os.Rename(blob+"-", blob))
		}
	}
}

// A chain that goes and comes, with the same bytes, has no gaps.
func TestChainsComeAgain(t *testing.T) {
	testutil.RequireRoot(t)
	s := newStore(t, "overlayfs")
	var records [3]map[string]any
	for layer := range records {
		b, err := os.ReadFile(s.recordOf(layer))
		must(t, err)
		must(t, json.Unmarshal(b, &records[layer]))
	}
	dir := t.TempDir()
	s.beside(t, func(i int) {
		for layer, r := range records {
			r["created"] = time.Unix(int64(i), 0).UTC()
			b, err := json.Marshal(r)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, s.key(layer)), b, 0o600))
		}
		for layer := range records {
			must(t, os.Remove(s.recordOf(2-layer)))
		}
		for layer := range records {
			must(t, os.Rename(filepath.Join(dir, s.key(layer)), s.recordOf(layer)))
		}
	}, check.Options{}, damaged)
}

// A blob is no leftover because its image came after the look at the images.
func TestBlobsOfNewImages(t *testing.T) {
	testutil.RequireRoot(t)
	s := newStore(t, "overlayfs")
	other := open(t, s.Dir, "overlayfs")
	s.beside(t, func(i int) { other.come(t, i) }, check.Options{}, func(f check.Finding) bool {
		return damaged(f) || f.Kind == "blob"
	})
}

// come adds an image without layers, its number i, as a load does, and removes it.
func (s *store) come(t *testing.T, i int) {
	in, err := s.Blobs.Begin()
	must(t, err)
	defer in.Close()
	write := func(mediaType string, v any) ocispec.Descriptor {
		content, err := json.Marshal(v)
		must(t, err)
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		must(t, in.Write(t.Context(), d, strings.NewReader(string(content))))
		return d
	}
	at := time.Unix(int64(i), 0)
	config := write(ocispec.MediaTypeImageConfig, ocispec.Image{Created: &at, Platform: image.HostPlatform(), RootFS: ocispec.RootFS{Type: "layers"}})
	m := write(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config,
	})
	ctx := context.WithoutCancel(t.Context())
	must(t, s.maker.Locked(ctx, func() error {
		return errors.Join(in.Publish(), s.Images.Put(ctx, image.Record{Image: config.Digest, Manifest: m}))
	}))
	must(t, s.maker.Locked(ctx, func() error {
		return errors.Join(s.Images.Drop(ctx, config.Digest), s.Blobs.Remove(m.Digest), s.Blobs.Remove(config.Digest))
	}))
}
