package rootfs_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/rootfs"
)

// TestAddLayers makes the layers of a built-in image, which is in no image store.
func TestAddLayers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im, layers := hello(t, "lrun 1")
		var tars [][]byte
		for i, open := range layers {
			b, err := io.ReadAll(open())
			if err != nil {
				t.Fatal(err)
			}
			tars = append(tars, b)
			layers[i] = func() io.Reader { return open() }
		}
		if err := w.AddLayers(t.Context(), builtin.Hello, im, layers); err != nil {
			t.Fatal(err)
		}
		w.agree(t, im, tars)
		// It survives a sweep, and costs nothing the next time.
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		untouched := func() io.Reader { t.Error("unpacked again"); return strings.NewReader("") }
		if err := w.AddLayers(t.Context(), builtin.Hello, im, []func() io.Reader{untouched, untouched, untouched}); err != nil {
			t.Fatal(err)
		}
		if records, err := w.Images.List(t.Context()); err != nil || len(records) > 0 {
			t.Errorf("it is listed: %+v, %v", records, err)
		}
		// Another lrun's takes its place, but not from under a container.
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); err != nil {
			t.Fatal(err)
		}
		second, secondLayers := hello(t, "lrun 2")
		if err := w.AddLayers(t.Context(), builtin.Hello, second, secondLayers); err != nil {
			t.Fatal(err)
		}
		if _, err := w.view(t, "c2", im); err != nil {
			t.Errorf("the layers of a container are gone: %v", err)
		}
		if err := w.Release(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		third, thirdLayers := hello(t, "lrun 3")
		if err := w.AddLayers(t.Context(), builtin.Hello, third, thirdLayers); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range third.ChainIDs() {
			names = append(names, c.String())
		}
		slices.Sort(names)
		if got := w.chains(t); !slices.Equal(got, names) {
			t.Errorf("snapshots %q, want those of the last one: %q", got, names)
		}
	})
}

func TestAddLayersThatFailsLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.mustAdd(t, spec{layers: [][]byte{base}})
		before := w.files(t)
		im, layers := hello(t, "lrun 1")
		good := layers[2]
		layers[2] = func() io.Reader { return strings.NewReader("not the layer") }
		if err := w.AddLayers(t.Context(), builtin.Hello, im, layers); !errdefs.IsDataLoss(err) && err == nil {
			t.Errorf("got %v", err)
		}
		w.unchanged(t, before)
		layers[2] = good
		if err := w.AddLayers(t.Context(), builtin.Hello, im, layers[:2]); !errdefs.IsInvalidArgument(err) {
			t.Errorf("two layers of three: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.AddLayers(ctx, builtin.Hello, im, layers); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		w.unchanged(t, before)
	})
}
