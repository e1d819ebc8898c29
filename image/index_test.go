package image

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// TestSkopeoReadsStore asks another implementation whether the store is a valid image layout.
func TestSkopeoReadsStore(t *testing.T) {
	testutil.RequireRoot(t)
	s, blobs := testStore(t)
	im, data := testImage(t, "skopeo", "layer")
	publish(t, blobs, data...)
	rec := Record{Ref: ref(t, "user/app:1.0"), Image: im.ID, Manifest: im.Manifest, RepoDigest: im.Manifest.Digest}
	other := rec
	other.Ref = ref(t, "localhost:5000/app")
	if err := s.Put(t.Context(), rec, other); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{rec, other} {
		out, err := exec.CommandContext(t.Context(), "skopeo", "inspect", "--format", "{{.Digest}} {{.Os}}/{{.Architecture}}",
			"oci:"+s.dir+":"+r.Ref.String()).CombinedOutput()
		want := fmt.Sprintf("%s %s", im.Manifest.Digest, FormatPlatform(HostPlatform()))
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("skopeo inspect %s: %s, %v; want %s", r.Ref, out, err, want)
		}
	}
}

// TestStorePaths: the path of a root may hold what option strings and tools trip over.
func TestStorePaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a:b,c\d e`, strings.Repeat("x", 200))
	blobs, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "images"), blobs)
	if err != nil {
		t.Fatal(err)
	}
	im, data := testImage(t, "1", "layer")
	publish(t, blobs, data...)
	if err := s.Put(t.Context(), Record{Ref: ref(t, "a"), Image: im.ID, Manifest: im.Manifest}); err != nil {
		t.Fatal(err)
	}
	rec, err := s.Resolve(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), rec); err != nil || got.ID != im.ID {
		t.Errorf("Load = %+v, %v", got, err)
	}
}

// TestListWhilePut: readers take no lock, and see every index whole.
func TestListWhilePut(t *testing.T) {
	s, _ := testStore(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for last := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				list, err := s.List(t.Context())
				if err != nil || len(list) < last {
					t.Errorf("%d records after %d, %v", len(list), last, err)
					return
				}
				last = len(list)
			}
		})
	}
	for i := range 50 {
		if err := s.Put(t.Context(), record(t, fmt.Sprintf("a:%d", i), "1")); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

func BenchmarkList(b *testing.B) {
	s := hundred(b)
	for b.Loop() {
		if _, err := s.List(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// hundred returns a store with 100 images, whose blobs are nowhere: List needs none.
func hundred(t testing.TB) *Store {
	s, _ := testStore(t)
	var recs []Record
	for i := range 100 {
		recs = append(recs, record(t, fmt.Sprintf("registry.example.com/team/app-%d:v1.2.%d", i, i), fmt.Sprint(i)))
	}
	if err := s.Put(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	return s
}
