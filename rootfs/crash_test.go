package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/mount"
)

// TestKillWhileAdding kills a process that adds an image at moments spread over all that it does.
// After one sweep the image is there whole or not at all, and what else is there is whole.
func TestKillWhileAdding(t *testing.T) {
	const points = 24
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, spec{layers: small[2].layers, refs: []string{"keep"}})
		before := w.files(t)
		want := oracle(t, large.layers)

		started := time.Now()
		if err := w.start(t, "add", "0").Wait(); err != nil {
			t.Fatal(err)
		}
		duration := time.Since(started)
		if _, err := w.Remove(t.Context(), "large", true, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Remove(t.Context(), "big:1", true, nil); err != nil {
			t.Fatal(err)
		}
		w.unchanged(t, before)

		killed := 0
		for i := range points {
			at := duration * time.Duration(i) / points
			at += time.Duration(rand.Int64N(int64(duration/points) + 1))
			err := w.start(t, "add", fmt.Sprint(at.Nanoseconds())).Wait()
			if err != nil {
				killed++
			}
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatalf("killed after %v: %v", at, err)
			}
			im, err := w.find(t.Context(), "large")
			if errdefs.IsNotFound(err) {
				w.unchanged(t, before)
			} else if err != nil {
				t.Fatalf("killed after %v: %v", at, err)
			} else {
				got, err := w.view(t, "check", im)
				if diff := layertest.Diff(got, want); err != nil || diff != "" {
					t.Errorf("killed after %v, the image is there and damaged: %v\n%s", at, err, diff)
				}
				for _, name := range large.refs {
					if _, err := w.Remove(t.Context(), name, false, nil); err != nil {
						t.Error(err)
					}
				}
				w.unchanged(t, before)
			}
			if t.Failed() {
				t.Fatalf("killed after %v of %v", at, duration)
			}
		}
		t.Logf("%d of %d processes were killed, over %v", killed, points, duration)
		if killed < points/4 {
			t.Errorf("only %d of %d processes were killed", killed, points)
		}
		w.agree(t, keep, small[2].layers)
		w.whole(t)
	})
}

// TestManyProcessesAtOnce add, run, remove and sweep the same images. Nobody sees half of anything,
// and in the end everything can be removed.
func TestManyProcessesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		var g sync.WaitGroup
		for i := range 3 {
			cmd := w.start(t, "churn", fmt.Sprint(i+1))
			g.Go(func() {
				if err := cmd.Wait(); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			})
			other := mustOpen(t, w.root, w.driver)
			g.Go(func() {
				if err := other.churn(t.Context(), rand.New(rand.NewPCG(uint64(i), 1)), time.Second); err != nil {
					t.Errorf("goroutine %d: %v", i, err)
				}
			})
		}
		g.Wait()
		w.whole(t)
		records, err := w.Images.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if _, err := w.Remove(t.Context(), r.Image.String(), true, nil); err != nil && !errdefs.IsNotFound(err) {
				t.Error(err)
			}
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		left := slices.DeleteFunc(w.files(t), func(line string) bool {
			return strings.HasPrefix(line, "format.json") || strings.HasPrefix(line, "images/index.json") || strings.HasPrefix(line, "images/oci-layout")
		})
		if len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestFullFileSystem adds an image that does not fit, at many sizes of the file system.
func TestFullFileSystem(t *testing.T) {
	zeros := strings.Repeat("\x01", 600<<10) // a blob of nearly nothing
	big := spec{refs: []string{"big"}, layers: [][]byte{
		base, layertest.Tar(layertest.File("a", zeros)), change, layertest.Tar(layertest.File("b", zeros)), another, layertest.Tar(layertest.File("c", zeros)),
	}}
	var many []layertest.Entry
	for i := range 300 {
		many = append(many, layertest.File(fmt.Sprint(i), ""))
	}
	inodes := spec{refs: []string{"many"}, layers: [][]byte{base, layertest.Tar(many...)}}
	for _, c := range []struct {
		options mount.Option
		image   spec
		says    string
	}{
		{mount.Option{Key: "size", Value: "700k"}, big, `MB were free before, and by what the blobs say 1\.[123] MB more are needed, with [1-9] layers not unpacked yet that have 0\.0 MB as blobs; what was unpacked is deleted`},
		{mount.Option{Key: "size", Value: "1000k"}, big, `MB were free before, and by what the blobs say 0\.9 MB more are needed, with [1-9] layers not unpacked yet that have 0\.0 MB as blobs; what was unpacked is deleted`},
		{mount.Option{Key: "size", Value: "1500k"}, big, `MB were free before, and by what the blobs say 0\.4 MB more are needed, with [1-9] layers not unpacked yet that have 0\.0 MB as blobs; what was unpacked is deleted`},
		{mount.Option{Key: "nr_inodes", Value: "150"}, inodes, "no inode left"},
		{mount.Option{Key: "nr_inodes", Value: "250"}, inodes, "no inode left"},
	} {
		t.Run(c.options.Value, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				root := t.TempDir()
				disk := mount.Mount{Type: "tmpfs", Source: "tmpfs", Options: []mount.Option{c.options}}
				if err := disk.At(root); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := mount.Unmount(root); err != nil {
						t.Error(err)
					}
				}()
				w = mustOpen(t, filepath.Join(root, "root"), w.driver)
				keep := w.mustAdd(t, small[0])
				before := w.files(t)
				_, err := w.add(t.Context(), c.image)
				if !errors.Is(err, unix.ENOSPC) {
					t.Fatalf("error %v", err)
				}
				for _, want := range []string{regexp.QuoteMeta(w.root), c.says, "--root"} {
					if !regexp.MustCompile(want).MatchString(err.Error()) {
						t.Errorf("got %q does not say %q", err, want)
					}
				}
				w.unchanged(t, before)
				w.agree(t, keep, small[0].layers)
				w.mustAdd(t, small[1])
				w.whole(t)
			})
		})
	}
}

// TestAddKeepsBlobs: of images that could not appear, at the very last, the store has nothing, and the ingest all blobs again.
func TestAddKeepsBlobs(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, small[0])
		before := w.files(t)
		in := w.begin(t)
		late := spec{refs: []string{"late"}, layers: [][]byte{another}}
		c, err := late.ingest(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		blobs := in.Digests()
		index := filepath.Join(w.root, "images", "index.json")
		bind := mount.Mount{Type: "bind", Source: index}
		if err := bind.At(index); err != nil { // which then cannot be replaced
			t.Fatal(err)
		}
		_, err = w.Add(t.Context(), in, []image.Candidate{c}, nil)
		if unmountErr := mount.Unmount(index); unmountErr != nil {
			t.Fatal(unmountErr)
		}
		if !errors.Is(err, unix.EBUSY) {
			t.Fatalf("error %v", err)
		}
		if got := in.Digests(); !slices.Equal(got, blobs) || len(got) == 0 {
			t.Errorf("the ingest has %v, had %v", got, blobs)
		}
		for _, d := range blobs {
			if w.Blobs.Has(d) {
				t.Errorf("blob %s is in the store", d)
			}
		}
		if _, err := w.Add(t.Context(), in, []image.Candidate{c}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Remove(t.Context(), "late", true, nil); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		w.unchanged(t, before)
		w.agree(t, keep, small[0].layers)
	})
}

// TestCtrlC cancels an Add at moments spread over all that it does. Nothing is left, without a sweep.
func TestCtrlC(t *testing.T) {
	const points = 12
	onEach(t, func(t *testing.T, w *world) {
		w.mustAdd(t, small[2])
		before := w.files(t)
		started := time.Now()
		if _, err := w.add(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		duration := time.Since(started)
		for i := range points {
			for _, name := range large.refs {
				if _, err := w.Remove(t.Context(), name, true, nil); err != nil && !errdefs.IsNotFound(err) {
					t.Fatal(err)
				}
			}
			w.unchanged(t, before)
			w.cancelled(t, duration*time.Duration(i)/points)
		}
	})
}

// cancelled adds large and cancels that after a while.
func (w *world) cancelled(t *testing.T, after time.Duration) {
	t.Helper()
	before := w.files(t)
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	if _, err := w.add(ctx, large); err == nil {
		w.whole(t)
		return
	} else if ctx.Err() == nil {
		t.Errorf("not cancelled: %v", err)
	}
	w.unchanged(t, before)
}
