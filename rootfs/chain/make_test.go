package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// TestFailureLeavesNothing has the work fail in every step.
func TestFailureLeavesNothing(t *testing.T) {
	layers := func(t *testing.T) [][]byte {
		return [][]byte{layertest.Tar(rootDir(0o755), file("a", "a")), layertest.Tar(file("d/b", "b")), layertest.Tar(file("d/c", "c"))}
	}
	replace := func(src chain.Source, layer int, blob []byte) chain.Source {
		open := src.Open
		src.Open = func(i int) (io.ReadCloser, error) {
			if i == layer {
				return io.NopCloser(bytes.NewReader(blob)), nil
			}
			return open(i)
		}
		return src
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		change func(t *testing.T, task *chain.Task, cancel func())
		is     func(error) bool
		says   string
	}{
		"wrong bytes": {func(t *testing.T, task *chain.Task, _ func()) {
			task.Sources[0] = replace(task.Sources[0], 2, layertest.Tar(file("d/c", "evil")))
		}, errdefs.IsDataLoss, "layer 3 of 3 (blob sha256:"},
		"wrong bytes at the bottom": {func(t *testing.T, task *chain.Task, _ func()) {
			task.Sources[0] = replace(task.Sources[0], 0, layertest.Tar(file("a", "evil")))
		}, errdefs.IsDataLoss, "expected DiffID sha256:"},
		"damaged compression": {func(t *testing.T, task *chain.Task, _ func()) {
			task.Sources[0] = replace(task.Sources[0], 1, []byte("\x1f\x8b\x08\x00garbage, garbage, garbage"))
		}, errdefs.IsDataLoss, "layer 2 of 3"},
		"a name that leaves the layer": {func(t *testing.T, task *chain.Task, _ func()) {
			evil := layertest.Tar(layertest.Symlink("d", "/tmp"), layertest.Link("d/x", "../../../../etc/passwd"))
			task.Sources[0] = source(t, layertest.Tar(file("a", "a")), evil)
		}, func(err error) bool { return err != nil }, "layer 2 of 2"},
		"a parent that is a file below": {func(t *testing.T, task *chain.Task, _ func()) {
			task.Sources[0] = source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("a/b", "b")))
		}, func(err error) bool { return err != nil }, "layer 2 of 2"},
		"a blob that is missing": {func(_ *testing.T, task *chain.Task, _ func()) {
			task.Sources[0].Open = func(int) (io.ReadCloser, error) { return nil, errdefs.ErrNotFound.WithMessage("no blob") }
		}, errdefs.IsNotFound, "no blob"},
		"Sync fails": {func(_ *testing.T, task *chain.Task, _ func()) {
			task.Sync = func() error { return broken }
		}, func(err error) bool { return errors.Is(err, broken) }, "broken"},
		"Finish fails": {func(_ *testing.T, task *chain.Task, _ func()) {
			task.Finish = func(context.Context) error { return broken }
		}, func(err error) bool { return errors.Is(err, broken) }, "broken"},
		"cancelled while unpacking": {func(_ *testing.T, task *chain.Task, cancel func()) {
			open := task.Sources[0].Open
			task.Sources[0].Open = func(i int) (io.ReadCloser, error) {
				if i == 2 {
					cancel()
				}
				return open(i)
			}
		}, func(err error) bool { return errors.Is(err, context.Canceled) }, "canceled"},
		"cancelled at the end": {func(_ *testing.T, task *chain.Task, cancel func()) {
			task.Finish = func(ctx context.Context) error { cancel(); return ctx.Err() }
		}, func(err error) bool { return errors.Is(err, context.Canceled) }, "canceled"},
		"more layers than the kernel stacks": {func(t *testing.T, task *chain.Task, _ func()) {
			task.Sources = append(task.Sources, source(t, slices.Repeat([][]byte{layertest.Tar()}, 501)...))
		}, errdefs.IsInvalidArgument, "500"},
		"a DiffID that is a path": {func(_ *testing.T, task *chain.Task, _ func()) {
			task.Sources[0].Image.Config.RootFS.DiffIDs[1] = "sha256:../../../../tmp/x"
		}, errdefs.IsInvalidArgument, "sha256:../"},
		"a DiffID that is none": {func(_ *testing.T, task *chain.Task, _ func()) {
			task.Sources[0].Image.Config.RootFS.DiffIDs[1] = "none"
		}, errdefs.IsInvalidArgument, `DiffID "none"`},
		"fewer DiffIDs than layers": {func(_ *testing.T, task *chain.Task, _ func()) {
			ids := &task.Sources[0].Image.Config.RootFS.DiffIDs
			*ids = (*ids)[:2]
		}, errdefs.IsInvalidArgument, "2 DiffIDs and 3 layers"},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s store) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				task := s.task(source(t, layers(t)...))
				c.change(t, &task, cancel)
				err := s.maker.Make(ctx, task)
				if !c.is(err) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %q, want one that says %q", err, c.says)
				}
				s.isEmpty(t)
				// And it did no harm.
				s.check(t, source(t, layers(t)...))
			})
		})
	}
}

// TestRetract says what a failed task asks to be removed: children first.
func TestRetract(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		src := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")), layertest.Tar(file("c", "c")))
		s.make(t, source(t, layertest.Tar(file("a", "a"))))
		var asked []string
		task := s.task(src)
		task.Finish = func(context.Context) error { return errors.New("no") }
		retract := task.Retract
		task.Retract = func(ctx context.Context, names []string) error {
			asked = slices.Clone(names)
			return retract(ctx, names)
		}
		if err := s.maker.Make(t.Context(), task); err == nil {
			t.Fatal("no error")
		}
		chains := src.Image.ChainIDs()
		if want := []string{chains[2].String(), chains[1].String()}; !slices.Equal(asked, want) {
			t.Errorf("asked to remove %q, want %q", asked, want)
		}
	})
}

// TestWhatGoesMeanwhileIsMadeAgain removes what an image counts on, while it is unpacked and after, and makes it again or not.
func TestWhatGoesMeanwhileIsMadeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		base, plain, more := layertest.Tar(rootDir(0o755), file("a", "a")), layertest.Tar(rootDir(0o711), file("b", "b")), layertest.Tar(file("c", "c"))
		for name, before := range map[string]chain.Source{
			"the layers below": source(t, base), "a layer to share": source(t, plain),
		} {
			for _, c := range []struct {
				when        string
				late, again bool
				fails       error // of the first attempt, as a raw error of the files that are gone
			}{
				{when: "while it is unpacked"},
				{when: "before it is published", late: true},
				{when: "before it is published, with an error", late: true, fails: fs.ErrNotExist},
				{when: "while it is unpacked, and it is there again", again: true},
				{when: "before it is published, and it is there again", late: true, again: true},
			} {
				// A layer of vfs holds those below it, and one to be shared is locked, so that nobody makes it again.
				if s.driver == "vfs" && c.fails != nil || c.again && name == "a layer to share" {
					continue
				}
				t.Run(name+", "+c.when, func(t *testing.T) {
					s := open(t, t.TempDir(), s.driver)
					s.make(t, before)
					remove := sync.OnceValue(func() error {
						if err := s.snapshots.Remove(context.Background(), top(before)); err != nil && !errdefs.IsFailedPrecondition(err) {
							t.Error(err)
						}
						if c.again {
							s.make(t, before)
						}
						return c.fails
					})
					src, opened := counted(source(t, base, plain, more))
					unpack := src.Open
					src.Open = func(layer int) (io.ReadCloser, error) {
						if layer == 2 && !c.late {
							_ = remove()
						}
						return unpack(layer)
					}
					task, tried := s.task(src), false
					task.Sync = func() error {
						if tried {
							return nil
						}
						tried = true
						return remove()
					}
					if err := s.maker.Make(t.Context(), task); err != nil {
						t.Fatal(err)
					}
					if n := opened[2].Load(); n != 2 && s.driver != "vfs" {
						t.Errorf("the topmost layer was unpacked %d times, want 2", n)
					}
					s.agree(t, src)
				})
			}
		}
	})
}

// TestWhatKeepsGoingIsAnError ends what would otherwise go on for ever.
func TestWhatKeepsGoingIsAnError(t *testing.T) {
	testutil.RequireRoot(t)
	s := open(t, t.TempDir(), "overlayfs")
	base := source(t, layertest.Tar(file("a", "a")))
	src := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")))
	unpack := src.Open
	src.Open = func(layer int) (io.ReadCloser, error) {
		if layer == 1 {
			if err := s.snapshots.Remove(context.Background(), top(base)); err != nil && !errdefs.IsNotFound(err) {
				t.Error(err)
			}
		}
		return unpack(layer)
	}
	task := s.task(src)
	finish := task.Finish
	task.Finish = func(ctx context.Context) error {
		return errors.Join(finish(ctx), chain.ErrChanged)
	}
	if err := s.maker.Make(t.Context(), task); !errors.Is(err, chain.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
	s.isEmpty(t)
}

func TestProgress(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		base, next := layertest.Tar(rootDir(0o755), file("a", strings.Repeat("a", 300))), layertest.Tar(rootDir(0o755), file("b", "bb"))
		s.make(t, source(t, base))
		src := source(t, base, next, next)
		last := map[int]chain.Event{}
		var wrong []chain.Event
		task := s.task(src)
		task.Progress = func(e chain.Event) {
			if e.Image != src.Image.ID || e.Layers != 3 || e.DiffID != src.Image.Config.RootFS.DiffIDs[e.Layer] ||
				e.Blob != src.Image.Layers[e.Layer].Digest || e.Size != src.Image.Layers[e.Layer].Size || e.Read > e.Size {
				wrong = append(wrong, e)
			}
			last[e.Layer] = e
		}
		if err := s.maker.Make(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if len(wrong) > 0 {
			t.Errorf("wrong events: %+v", wrong)
		}
		want := []chain.State{chain.AlreadyExists, chain.Done, chain.Done}
		if s.driver == "overlayfs" {
			want[2] = chain.Shared
		}
		for i, state := range want {
			if last[i].State != state {
				t.Errorf("layer %d ended as %q, want %q", i, last[i].State, state)
			}
		}
		if done := last[1]; done.Read != done.Size || done.Unpacked != 2 {
			t.Errorf("layer 1: %+v, want all of it read and 2 bytes unpacked", done)
		}
		if got := s.infos(t)[src.Image.ChainIDs()[1].String()].Size; got != 2 {
			t.Errorf("size %d is recorded, want 2", got)
		}
		if got := s.infos(t)[src.Image.ChainIDs()[2].String()].Size; got != 2 {
			t.Errorf("size %d is recorded of the shared layer, want 2", got)
		}
	})
}

func TestStateString(t *testing.T) {
	for state, want := range map[chain.State]string{
		chain.AlreadyExists: "Already exists", chain.Shared: "Shared", chain.Unpacking: "Unpacking", chain.Done: "Unpacked", 99: "Unknown",
	} {
		if got := state.String(); got != want {
			t.Errorf("State(%d) is %q, want %q", int(state), got, want)
		}
	}
}

// TestFiveHundredLayers is the most that the kernel stacks.
func TestFiveHundredLayers(t *testing.T) {
	testutil.RequireRoot(t)
	s := open(t, t.TempDir(), "overlayfs")
	layers := [][]byte{layertest.Tar(rootDir(0o755), dir("d", 0o700))}
	for i := 1; i < 500; i++ {
		entries := []entry{file(fmt.Sprintf("f%d", i), "f")}
		if i%50 == 0 {
			entries = []entry{file(fmt.Sprintf("d/f%d", i), "implied"), layertest.Whiteout(fmt.Sprintf("f%d", i-1))}
		}
		layers = append(layers, layertest.Tar(entries...))
	}
	src := source(t, layers...)
	s.make(t, src)
	s.agree(t, src)
	if n := len(s.infos(t)); n != 500 {
		t.Errorf("%d snapshots", n)
	}
}

func TestPresent(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		src := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")), layertest.Tar(file("c", "c")))
		below := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")))
		for _, c := range []struct {
			make []chain.Source
			want int
		}{{nil, 0}, {[]chain.Source{below}, 2}, {[]chain.Source{src}, 3}} {
			s.make(t, c.make...)
			if got, err := s.maker.Present(t.Context(), src.Image.ChainIDs()); got != c.want || err != nil {
				t.Errorf("%d of the layers are there, %v; want %d", got, err, c.want)
			}
		}
		// An active snapshot of that name is not it.
		name := digest.FromString("active")
		if _, err := s.snapshots.Prepare(t.Context(), name.String(), ""); err != nil {
			t.Fatal(err)
		}
		if got, err := s.maker.Present(t.Context(), []digest.Digest{name}); got != 0 || err != nil {
			t.Errorf("an active snapshot counts: %d, %v", got, err)
		}
	})
}
