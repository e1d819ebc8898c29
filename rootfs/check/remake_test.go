package check_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs/check"
)

func free() error { return nil }

// list is lt.List without whiteouts, whose times are those of their making.
func list(t testing.TB, root string) []string {
	return slices.DeleteFunc(lt.List(t, root), func(line string) bool { return strings.HasSuffix(line, "device 0:0") })
}

// A layer that is unpacked again is as it was, whether it depends on those below it or not, and so are those above.
func TestRemake(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		_, err := s.snapshots.Prepare(t.Context(), "container", s.key(2))
		must(t, err)
		for layer := range 3 {
			before := list(t, s.file(t, layer, ""))
			fs := s.file(t, layer, "")
			must(t, os.RemoveAll(filepath.Join(fs, "etc")))
			must(t, os.WriteFile(filepath.Join(fs, "more"), nil, 0o600))
			must(t, os.WriteFile(filepath.Join(s.data(t, layer), "manifest"), nil, 0o600))
			if _, sum := s.check(t, check.Options{}); sum.Damaged == 0 {
				t.Fatal("no damage is seen")
			}
			must(t, s.maker.Remake(t.Context(), s.source(), layer, free))
			if diff := lt.Diff(list(t, s.file(t, layer, "")), before); diff != "" {
				t.Errorf("layer %d is not what it was:\n%s", layer, diff)
			}
		}
		if lines, sum := s.check(t, check.Options{Deep: true}); len(lines) > 0 || sum.Layers != 3 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}

// What stands in the way leaves all as it is, and nothing behind.
func TestRemakeRefused(t *testing.T) {
	inUse := errors.New("a container runs on it")
	tests := []struct {
		name   string
		damage func(t *testing.T, s *store)
		free   func() error
		is     func(error) bool
	}{
		{"a container runs", func(*testing.T, *store) {}, func() error { return inUse }, func(err error) bool { return errors.Is(err, inUse) }},
		{"no blob", func(t *testing.T, s *store) { must(t, os.Remove(s.blobOf(s.image.Layers[1].Digest))) }, free, errdefs.IsNotFound},
		{"a blob of other bytes", func(t *testing.T, s *store) {
			other, err := os.ReadFile(s.blobOf(s.image.Layers[0].Digest))
			must(t, err)
			rewrite(t, s.blobOf(s.image.Layers[1].Digest), func([]byte) []byte { return other })
		}, free, errdefs.IsDataLoss},
		{"a blob cut off", func(t *testing.T, s *store) { rewrite(t, s.blobOf(s.image.Layers[1].Digest), half) }, free, errdefs.IsDataLoss},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *store) {
				must(t, os.WriteFile(s.file(t, 1, "tmp/more"), nil, 0o600))
				tt.damage(t, s)
				before := lt.List(t, s.data(t, 1))
				if err := s.maker.Remake(t.Context(), s.source(), 1, tt.free); !tt.is(err) {
					t.Errorf("got %v", err)
				}
				if diff := lt.Diff(lt.List(t, s.data(t, 1)), before); diff != "" {
					t.Errorf("the layer changed:\n%s", diff)
				}
				if _, sum := s.check(t, check.Options{}); sum.Leftovers > 0 {
					t.Errorf("%+v", sum)
				}
			})
		})
	}
}

// The bytes that chains share are replaced for all of them.
func TestRemakeShared(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		s.add(t, "other:1", append(layers()[:1], layers()[2])...)
		must(t, os.Chmod(s.file(t, 0, "etc/conf"), 0o600))
		must(t, s.maker.Remake(t.Context(), s.source(), 0, free))
		if lines, _ := s.check(t, check.Options{Deep: true}); len(lines) > 0 {
			t.Errorf("got %q", lines)
		}
	})
}
