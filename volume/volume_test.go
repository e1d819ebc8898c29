package volume_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/volume"
)

func open(t *testing.T) (*volume.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volumes")
	return volume.Open(dir), dir
}

func create(t *testing.T, s *volume.Store, name string, o volume.Options) {
	t.Helper()
	h, err := s.Create(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, s *volume.Store) string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, v := range list {
		words = append(words, v.Name)
	}
	return strings.Join(words, " ")
}

func nobody(string) (bool, error) { return false, nil }

func TestVolumes(t *testing.T) {
	s, dir := open(t)
	if got := names(t, s); got != "" {
		t.Errorf("an empty store has %s", got)
	}
	create(t, s, "two", volume.Options{Labels: map[string]string{"a": "b"}})
	create(t, s, "one", volume.Options{Volatile: true})
	if got := names(t, s); got != "one two" {
		t.Errorf("got %s", got)
	}
	v, err := s.Get("two")
	if err != nil || v.Labels["a"] != "b" || v.Anonymous() || s.Path(v) != filepath.Join(dir, "two", "_data") {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, err := s.Create(t.Context(), "one", volume.Options{}); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("again: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Path(v), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := s.Hold("two")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hold("two"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) != 1 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	s, _ := open(t)
	for _, name := range []string{"", "a", ".hidden", "-x", "a/b", "..", "a b", "ä1", strings.Repeat("x", 256)} {
		if _, err := s.Create(t.Context(), name, volume.Options{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := s.Get(name); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("get %q: %v", name, err)
		}
	}
}

func TestTiedVolumesGoWithTheirContainerAndNoOther(t *testing.T) {
	s, dir := open(t)
	if err := s.RemoveOf(t.Context(), "nobody", nobody); err != nil {
		t.Fatalf("of an empty store: %v", err)
	}
	for name, container := range map[string]string{"mine": "c1", "used": "c1", "kept": "c2", "free": ""} {
		create(t, s, name, volume.Options{Container: container})
	}
	if err := s.Tie("free", "c3"); err != nil {
		t.Fatal(err)
	}
	err := s.RemoveOf(t.Context(), "c1", func(name string) (bool, error) { return name == "used", nil })
	if got := names(t, s); err != nil || got != "free kept used" {
		t.Errorf("got %s, %v", got, err)
	}
	if err := errors.Join(s.Untie(t.Context(), "c2"), s.RemoveOf(t.Context(), "c2", nobody), s.RemoveOf(t.Context(), "c3", nobody)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s); got != "kept used" {
		t.Errorf("after all: %s", got)
	}
	if ties, err := filepath.Glob(dir + "/.*"); err != nil || len(ties) > 0 {
		t.Errorf("left: %q, %v", ties, err)
	}
}

// What is tied and cannot be decided about stays tied, for the next that tries.
func TestTieOutlivesAnError(t *testing.T) {
	s, _ := open(t)
	create(t, s, "mine", volume.Options{Container: "c1"})
	broken := errors.New("broken")
	if err := s.RemoveOf(t.Context(), "c1", func(string) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := s.RemoveOf(t.Context(), "c1", nobody); err != nil || names(t, s) != "" {
		t.Errorf("got %s, %v", names(t, s), err)
	}
}

func TestWhatKilledProcessesLeftGoes(t *testing.T) {
	for name, next := range map[string]func(context.Context, *volume.Store) error{
		"by the next volume": func(ctx context.Context, s *volume.Store) error {
			h, err := s.Create(ctx, "next", volume.Options{})
			if err != nil {
				return err
			}
			return h.Close()
		},
		"by the end of a container": func(ctx context.Context, s *volume.Store) error { return s.RemoveOf(ctx, "c1", nobody) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := open(t)
			for _, left := range []string{".new-next/_data", ".gone-1/_data/deep"} {
				if err := os.MkdirAll(filepath.Join(dir, left), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := next(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if left, err := filepath.Glob(dir + "/.*"); err != nil || len(left) > 0 {
				t.Errorf("left: %q, %v", left, err)
			}
		})
	}
}

func TestFill(t *testing.T) {
	s, dir := open(t)
	create(t, s, "data", volume.Options{})
	fills := 0
	fill := func(err error) error {
		h, holdErr := s.Hold("data")
		if holdErr != nil {
			t.Fatal(holdErr)
		}
		defer h.Close()
		return h.Fill(atomicfile.Durable, func(dir *os.File) error {
			fills++
			return errors.Join(os.WriteFile(filepath.Join(dir.Name(), fmt.Sprint("file", fills)), nil, 0o600), err)
		})
	}
	broken := errors.New("broken")
	if err := fill(broken); !errors.Is(err, broken) || fills != 1 {
		t.Fatalf("got %v after %d", err, fills)
	}
	// Half filled, as a kill leaves it: once more. Filled: never again.
	for range 2 {
		if err := fill(nil); err != nil || fills != 2 {
			t.Errorf("got %v after %d", err, fills)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "data", "filling")); !os.IsNotExist(err) {
		t.Errorf("the mark: %v", err)
	}
}

func TestBindOptions(t *testing.T) {
	s, _ := open(t)
	device := t.TempDir()
	create(t, s, "bound", volume.Options{Options: map[string]string{"type": "none", "o": "bind", "device": device}})
	h, err := s.Hold("bound")
	if err != nil || s.Path(h.Volume) != device {
		t.Fatalf("%s, %v", s.Path(h.Volume), err)
	}
	if err := os.WriteFile(device+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(device + "/file"); err != nil {
		t.Errorf("the device's file: %v", err)
	}
	for name, c := range map[string]struct {
		options map[string]string
		class   error
	}{
		"a filesystem": {map[string]string{"type": "nfs", "o": "addr=x", "device": ":/x"}, errdefs.ErrNotImplemented},
		"tmpfs":        {map[string]string{"type": "tmpfs", "device": "tmpfs"}, errdefs.ErrNotImplemented},
		"relative":     {map[string]string{"o": "bind", "device": "x"}, errdefs.ErrInvalidArgument},
		"no bind":      {map[string]string{"device": "/x"}, errdefs.ErrInvalidArgument},
		"read-only":    {map[string]string{"o": "bind,ro", "device": "/x"}, errdefs.ErrNotImplemented},
		"a size":       {map[string]string{"size": "1g"}, errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Create(t.Context(), "other", volume.Options{Options: c.options}); !errors.Is(err, c.class) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Many make, hold and remove one volume: each has it alone, and nobody has a lock of what is gone.
func TestManyAtOnce(t *testing.T) {
	s, dir := open(t)
	var wg sync.WaitGroup
	var inside sync.Mutex
	for range 8 {
		wg.Go(func() {
			for range 20 {
				h, err := s.Obtain(t.Context(), "data", volume.Options{Volatile: true})
				if err != nil {
					t.Error(err)
					return
				}
				if !inside.TryLock() {
					t.Error("two have it at once")
				}
				if _, err := os.Stat(s.Path(h.Volume)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Microsecond)
				inside.Unlock()
				if err := h.Remove(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestDamagedRecord(t *testing.T) {
	s, dir := open(t)
	create(t, s, "good", volume.Options{})
	create(t, s, "bad", volume.Options{})
	if err := os.WriteFile(filepath.Join(dir, "bad", "volume.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// One of a container with --rm is not synced, and no damage when a power loss has cut it off.
	volatile := volume.NewName()
	create(t, s, volatile, volume.Options{Volatile: true})
	if err := os.WriteFile(filepath.Join(dir, volatile, "volume.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(volatile); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	list, err := s.List()
	if !errors.Is(err, errdefs.ErrDataLoss) || strings.Contains(err.Error(), volatile) || len(list) != 1 || list[0].Name != "good" {
		t.Errorf("got %v, %v", list, err)
	}
}

func ExampleStore_Create() {
	dir, err := os.MkdirTemp("", "volumes")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s := volume.Open(dir)
	h, err := s.Create(context.Background(), "data", volume.Options{})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	fmt.Println(h.Name, filepath.Base(s.Path(h.Volume)))
	// Output: data _data
}

func TestTied(t *testing.T) {
	s := volume.Open(filepath.Join(t.TempDir(), "none"))
	if ids, err := s.Tied(); err != nil || len(ids) != 0 {
		t.Errorf("of no store: %q, %v", ids, err)
	}
	s = volume.Open(t.TempDir())
	for _, err := range []error{s.Tie("a-volume", "c1"), s.Tie("b", "c1"), s.Tie("b", "c2")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := s.Tied(); err != nil || !slices.Equal(ids, []string{"c1", "c1", "c2"}) {
		t.Errorf("got %q, %v", ids, err)
	}
}
