package image

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

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
