package check_test

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/split"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/rootfs/dropped"
)

// onDropped runs a test on a store whose blobs of layers were dropped: the images app:1 and, on another base, other:1.
func onDropped(t *testing.T, test func(t *testing.T, s *store)) {
	onEach(t, func(t *testing.T, s *store) {
		heavy := func(n byte) lt.Entry {
			b := make([]byte, 20_000)
			_, _ = rand.NewChaCha8([32]byte{n}).Read(b)
			return lt.File("heavy"+string('0'+rune(n)), string(b))
		}
		top := lt.Tar(heavy(2), lt.File("lib/b", "b"), lt.Symlink("link", "lib"))
		s.add(t, "other:1", lt.Tar(heavy(3), lt.Dir("lib")), top)
		s.add(t, "app:1", lt.Tar(heavy(1), lt.Dir("usr"), lt.Symlink("lib", "usr")), top)
		s.drop(t)
		test(t, s)
	})
}

// drop drops all blobs but those of layers that are too small.
func (s *store) drop(t testing.TB) {
	t.Helper()
	for _, err := range s.tryDrop(t) {
		t.Errorf("a blob is not dropped: %v", err)
	}
	if s.Blobs.Has(s.image.Layers[0].Digest) || s.Blobs.Has(s.image.Layers[1].Digest) {
		t.Fatal("the blobs are there")
	}
}

// tryDrop drops all blobs and returns why some are kept.
func (s *store) tryDrop(t testing.TB) (kept []error) {
	t.Helper()
	must(t, dropped.New(s.Dir, s.Images, s.Blobs).Drop(t.Context(), s.maker.Locked, dropped.Options{Report: func(o dropped.Outcome) {
		if o.Kept != nil && !o.Small {
			kept = append(kept, o.Kept)
		}
	}}))
	return kept
}

// remake unpacks a layer again out of its blob, or what takes its place.
func (s *store) remake(t testing.TB, layer int) error {
	t.Helper()
	from := dropped.New(s.Dir, s.Images, s.Blobs)
	return s.maker.Remake(t.Context(), chain.Source{Image: s.image, Open: func(layer int) (io.ReadCloser, error) {
		return from.Open(t.Context(), s.image, layer)
	}}, layer, free)
}

func (s *store) split(t testing.TB, layer int) string {
	return filepath.Join(s.data(t, layer), split.FileName)
}

func TestDroppedIsNoDamage(t *testing.T) {
	onDropped(t, func(t *testing.T, s *store) {
		for _, deep := range []bool{false, true} {
			lines, sum := s.check(t, check.Options{Deep: deep})
			if len(lines) > 0 || sum.Blobs == 0 {
				t.Errorf("deep %v: %+v: %q", deep, sum, lines)
			}
		}
	})
}

func TestDamageOfDropped(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, s *store)
		want   string
		deep   bool // seen with Deep only
	}{
		{"no split data", func(t *testing.T, s *store) { must(t, os.Remove(s.split(t, 1))) }, "damaged blob app:1 : it is missing", false},
		{"cut off", func(t *testing.T, s *store) { rewrite(t, s.split(t, 1), half) }, "damaged blob app:1 : it was dropped, and cannot be made again: ", false},
		{"a byte", func(t *testing.T, s *store) {
			rewrite(t, s.split(t, 1), func(b []byte) []byte { b[len(b)-5] ^= 1; return b })
		}, "damaged blob app:1 : it was dropped, and cannot be made again: ", false},
		{"empty", func(t *testing.T, s *store) { rewrite(t, s.split(t, 0), empty) }, "it is cut off", false},
		{"that of another layer", func(t *testing.T, s *store) {
			b, err := os.ReadFile(s.split(t, 0))
			must(t, err)
			rewrite(t, s.split(t, 1), func([]byte) []byte { return b })
		}, "is of layer " + "sha256:", false},
		{"a file", func(t *testing.T, s *store) { rewrite(t, s.file(t, 0, "heavy1"), flip) }, `damaged blob app:1 : it was dropped, and cannot be made again: file "heavy1" of the layer is not what was unpacked`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onDropped(t, func(t *testing.T, s *store) {
				tt.damage(t, s)
				for _, deep := range []bool{false, true} {
					lines, sum := s.check(t, check.Options{Deep: deep})
					seen := strings.Contains(strings.Join(lines, "\n"), tt.want)
					if want := deep || !tt.deep; seen != want || (sum.Damaged > 0) != want {
						t.Errorf("deep %v: %d damaged, %q, want %q: %v", deep, sum.Damaged, lines, tt.want, want)
					}
				}
			})
		})
	}
}

// What is not in the bytes of files is repaired without a blob, and the layer can be made again afterwards.
func TestRemakeOfDropped(t *testing.T) {
	onDropped(t, func(t *testing.T, s *store) {
		for layer, name := range []string{"heavy1", "heavy2"} {
			must(t, os.Chmod(s.file(t, layer, name), 0o600))
			must(t, s.remake(t, layer))
		}
		lines, sum := s.check(t, check.Options{Deep: true})
		if len(lines) > 0 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}

// What is cannot be, and it is said what to do; when the blob is there again, it is repaired.
func TestRemakeOfDroppedAndDamaged(t *testing.T) {
	onDropped(t, func(t *testing.T, s *store) {
		rewrite(t, s.file(t, 0, "heavy1"), flip)
		err := s.remake(t, 0)
		if !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), "its blob was dropped") {
			t.Errorf("got %v", err)
		}
		in, err := s.Blobs.Begin()
		must(t, err)
		defer in.Close()
		must(t, in.Write(t.Context(), s.image.Layers[0], strings.NewReader(string(s.blobs[s.image.Layers[0].Digest]))))
		must(t, in.Publish())
		kept := s.tryDrop(t)
		if len(kept) != 1 || !s.Blobs.Has(s.image.Layers[0].Digest) {
			t.Errorf("the blob that a repair needs is dropped: %v", kept)
		}
		must(t, s.remake(t, 0))
		s.drop(t)
		if lines, sum := s.check(t, check.Options{Deep: true}); len(lines) > 0 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}
