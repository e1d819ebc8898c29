package builtin_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/builtin"
)

func ExampleNames() {
	fmt.Println(builtin.Names())
	// Output: [@hello]
}

func TestIs(t *testing.T) {
	for name, want := range map[string]bool{
		"@hello": true, "@": true, "@unknown": true,
		"": false, "hello": false, "busybox@sha256:0123": false, "docker.io/library/hello": false,
	} {
		if got := builtin.Is(name); got != want {
			t.Errorf("Is(%q) = %v", name, got)
		}
	}
	for _, name := range builtin.Names() {
		if !builtin.Is(name) {
			t.Errorf("Is(%q) = false", name)
		}
		if _, err := image.ParseReference(name); err == nil {
			t.Errorf("%q is a reference: it could name another image", name)
		}
	}
}

// executable returns a file that stands for lrun.
func executable(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "lrun")
	if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func hello(t *testing.T, f *os.File) (image.Image, []func() io.Reader) {
	t.Helper()
	im, layers, err := builtin.Image(t.Context(), builtin.Hello, f)
	if err != nil {
		t.Fatal(err)
	}
	return im, layers
}

func TestImageDependsOnTheExecutableAlone(t *testing.T) {
	one, _ := hello(t, executable(t, "lrun 1"))
	same, _ := hello(t, executable(t, "lrun 1"))
	other, _ := hello(t, executable(t, "lrun 2"))
	if one.ID != same.ID || one.Manifest.Digest != same.Manifest.Digest || !slices.Equal(one.ChainIDs(), same.ChainIDs()) {
		t.Errorf("the same executable makes two images:\n%+v\n%+v", one, same)
	}
	if one.ID == other.ID || one.ChainIDs()[0] == other.ChainIDs()[0] {
		t.Errorf("two executables make one image: %+v", one)
	}
	f := executable(t, "lrun 1")
	if _, err := f.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	moved, _ := hello(t, f)
	if moved.ID != one.ID {
		t.Error("the image depends on the position of the file")
	}
	if at, _ := f.Seek(0, io.SeekCurrent); at != 3 {
		t.Errorf("the position of the file moved to %d", at)
	}
}

func TestImageRunsTheProgram(t *testing.T) {
	im, layers := hello(t, executable(t, "lrun"))
	if want := []string{"/lrun", builtin.Command}; !slices.Equal(im.Config.Config.Entrypoint, want) {
		t.Errorf("entrypoint %q, want %q", im.Config.Config.Entrypoint, want)
	}
	if len(layers) != 3 || len(im.Layers) != 3 || len(im.Config.RootFS.DiffIDs) != 3 || len(im.Config.History) != 3 {
		t.Errorf("not three layers: %d readers, %d descriptors, %d DiffIDs, %d lines of history",
			len(layers), len(im.Layers), len(im.Config.RootFS.DiffIDs), len(im.Config.History))
	}
}

// TestLayersAreWhatTheConfigSays goes over sizes that end within, before and after a block of tar.
func TestLayersAreWhatTheConfigSays(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 1024, 70_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := strings.Repeat("x", size)
			im, layers := hello(t, executable(t, content))
			for i, open := range layers {
				for range 2 { // each call starts afresh
					b, err := io.ReadAll(open())
					if err != nil {
						t.Fatal(err)
					}
					if d := digest.FromBytes(b); d != im.Config.RootFS.DiffIDs[i] || d != im.Layers[i].Digest || int64(len(b)) != im.Layers[i].Size {
						t.Errorf("layer %d has digest %s and %d bytes, the image says %s and %d", i, d, len(b), im.Config.RootFS.DiffIDs[i], im.Layers[i].Size)
					}
					if len(b)%512 != 0 || !bytes.HasSuffix(b, make([]byte, 1024)) {
						t.Errorf("layer %d (%d bytes) does not end as a tar does", i, len(b))
					}
				}
			}
			if got := entries(t, layers[0]())["lrun"]; got != content {
				t.Errorf("lrun has %d bytes, want %d", len(got), size)
			}
		})
	}
}

// entries reads a tar: the content of each name.
func entries(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[h.Name]; twice {
			t.Errorf("%q is there twice", h.Name)
		}
		found[h.Name] = string(b)
	}
}

// TestLayersNeedNoSettling holds because every layer names the parents of what it holds; the whole
// demonstration would otherwise depend on more than it wants to show.
func TestLayersNeedNoSettling(t *testing.T) {
	_, layers := hello(t, executable(t, "lrun"))
	for i, open := range layers {
		found := entries(t, open())
		for name := range found {
			if dir := path.Dir(strings.TrimSuffix(name, "/")); dir != "." {
				if _, ok := found[dir+"/"]; !ok {
					t.Errorf("layer %d: %q is there, %q is not", i, name, dir)
				}
			}
		}
	}
}

func TestLayersOverwriteAndWhiteOut(t *testing.T) {
	_, layers := hello(t, executable(t, "lrun"))
	var names [][]string
	for _, open := range layers {
		names = append(names, slices.Sorted(maps.Keys(entries(t, open()))))
	}
	for _, want := range []string{"lrun", "hello/base.txt", "hello/greeting.txt", "hello/yesterday.txt"} {
		if !slices.Contains(names[0], want) {
			t.Errorf("layer 1 has no %q: %q", want, names[0])
		}
	}
	if want := []string{"hello/", "hello/greeting.txt"}; !slices.Equal(names[1], want) {
		t.Errorf("layer 2 has %q, want %q", names[1], want)
	}
	if want := []string{"hello/", "hello/.wh.yesterday.txt", "hello/layers.json"}; !slices.Equal(names[2], want) {
		t.Errorf("layer 3 has %q, want %q", names[2], want)
	}
}

func TestImageErrors(t *testing.T) {
	f := executable(t, "lrun")
	if _, _, err := builtin.Image(t.Context(), "@goodbye", f); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), builtin.Hello) {
		t.Errorf("unknown name: %v, want not found, and the names that there are", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := builtin.Image(ctx, builtin.Hello, f); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, _, err := builtin.Image(t.Context(), builtin.Hello, dir); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a directory as executable: %v", err)
	}
	closed := executable(t, "lrun")
	closed.Close()
	if _, _, err := builtin.Image(t.Context(), builtin.Hello, closed); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed executable: %v", err)
	}
}
