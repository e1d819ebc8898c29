package snapshottest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/snapshot"
)

func testRules(s *suite) {
	ctx := s.Context()
	s.layer("1", "", write("f", "x"))
	s.layer("2", "1")
	s.prepare("active", "2")
	_, err := s.View(ctx, "view", "2")
	s.ok(err)
	prepare := func(key, parent string) error { _, err := s.Prepare(ctx, key, parent); return err }
	for _, tt := range []struct {
		name string
		err  error
		is   error
	}{
		{"key of an active one", prepare("active", "1"), errdefs.ErrAlreadyExists},
		{"key of a view", prepare("view", "1"), errdefs.ErrAlreadyExists},
		{"key of a committed one", prepare("1", "1"), errdefs.ErrAlreadyExists},
		{"no such parent", prepare("x", "none"), errdefs.ErrNotFound},
		{"active parent", prepare("x", "active"), errdefs.ErrInvalidArgument},
		{"view as parent", prepare("x", "view"), errdefs.ErrInvalidArgument},
		{"commit to a name that is taken", s.Commit(ctx, "1", "active"), errdefs.ErrAlreadyExists},
		{"commit a view", s.Commit(ctx, "x", "view"), errdefs.ErrFailedPrecondition},
		{"commit what is committed", s.Commit(ctx, "x", "1"), errdefs.ErrFailedPrecondition},
		{"commit nothing", s.Commit(ctx, "x", "none"), errdefs.ErrNotFound},
		{"remove a parent", s.Remove(ctx, "1"), errdefs.ErrFailedPrecondition},
		{"remove the parent of active ones and views", s.Remove(ctx, "2"), errdefs.ErrFailedPrecondition},
		{"remove nothing", s.Remove(ctx, "none"), errdefs.ErrNotFound},
	} {
		if !errors.Is(tt.err, tt.is) {
			s.Errorf("%s: %v, want %v", tt.name, tt.err, tt.is)
		}
	}
	s.shows("active", map[string]string{"f": "x"})
	s.ok(s.Commit(ctx, "3", "active"))
	s.prepare("active", "3") // the key is free again
	for _, key := range []string{"active", "view", "3", "2", "1"} {
		s.ok(s.Remove(ctx, key))
	}
	for _, sub := range []string{"records", "data", "staging"} {
		if left := s.entries(sub); len(left) > 0 {
			s.Errorf("%s holds %q", sub, left)
		}
	}
}

func testLabels(s *suite) {
	ctx := s.Context()
	labels := map[string]string{"dev.lrun.x": "y", "empty": ""}
	_, err := s.Prepare(ctx, "active", "", snapshot.WithLabels(labels))
	s.ok(err)
	if i, err := s.Stat(ctx, "active"); err != nil || !maps.Equal(i.Labels, labels) || i.Kind != snapshot.Active {
		s.Errorf("active: %+v, %v", i, err)
	}
	s.ok(s.Commit(ctx, "name", "active", snapshot.WithLabels(map[string]string{"other": "z"}), snapshot.WithSize(9)))
	if i, err := s.Stat(ctx, "name"); err != nil || !maps.Equal(i.Labels, map[string]string{"other": "z"}) || i.Size != 9 {
		s.Errorf("committed: %+v, %v", i, err)
	}
	_, err = s.View(ctx, "view", "name")
	s.ok(err)
	kinds := map[string]snapshot.Kind{}
	s.ok(s.Walk(ctx, func(i snapshot.Info) error { kinds[i.Key] = i.Kind; return nil }))
	if !maps.Equal(kinds, map[string]snapshot.Kind{"name": snapshot.Committed, "view": snapshot.View}) {
		s.Errorf("walk: %v", kinds)
	}
}

func testUsage(s *suite) {
	ctx := s.Context()
	const size = 1 << 20
	s.layer("1", "", write("big", strings.Repeat("x", size)))
	s.prepare("active", "1")
	empty, err := s.Usage(ctx, "active")
	s.ok(err)
	s.change("active", write("more", strings.Repeat("y", size)), link("more", "again"), write("none", ""))
	full, err := s.Usage(ctx, "active")
	s.ok(err)
	if grown := full.Size - empty.Size; grown < size || grown > size+64<<10 || full.Inodes-empty.Inodes != 2 {
		s.Errorf("usage grew from %+v to %+v", empty, full)
	}
	_, err = s.View(ctx, "view", "1")
	s.ok(err)
	if u, err := s.Usage(ctx, "view"); u.Size != 0 || err != nil {
		s.Errorf("a view takes %+v, %v", u, err)
	}
}

func testRebase(s *suite) {
	ctx := s.Context()
	for _, key := range []string{"c", "b", "a"} {
		s.prepare(key, "")
		s.change(key, write(key, key), write("all", key))
	}
	s.ok(s.Commit(ctx, "A", "a"))
	err := s.Commit(ctx, "B", "b", snapshot.WithParent("A"))
	if errors.Is(err, errdefs.ErrNotImplemented) {
		s.shows("b", map[string]string{"b": "b", "all": "b"}) // refused, and untouched
		return
	}
	s.ok(err)
	s.ok(s.Commit(ctx, "C", "c", snapshot.WithParent("B"), snapshot.WithSynced()))
	s.shows2("C", map[string]string{"a": "a", "b": "b", "c": "c", "all": "c"})
}

// testAdopt holds trap 10 too: a layer that appears twice in a chain.
func testAdopt(s *suite) {
	ctx := s.Context()
	s.layer("1", "", write("one", "1"))
	s.layer("2", "1", write("two", "2"))
	err := s.Adopt(ctx, "1 on 2", "2", "1")
	if errors.Is(err, errdefs.ErrNotImplemented) {
		return
	}
	s.ok(err)
	s.shows2("1 on 2", map[string]string{"one": "1", "two": "2"})
	s.ok(s.Adopt(ctx, "2 alone", "", "2"))
	s.shows2("2 alone", map[string]string{"two": "2"})
	for _, name := range []string{"1 on 2", "2", "1"} {
		s.ok(s.Remove(ctx, name))
		s.ok(s.Sweep(ctx))
		s.shows2("2 alone", map[string]string{"two": "2"})
	}
}

// testVolatile holds trap 20: such a snapshot is mounted as often as one likes, and after a crash
// refused with a reason instead of EINVAL.
func testVolatile(s *suite) {
	ctx := s.Context()
	s.layer("1", "", write("f", "1"))
	s.prepare("active", "1")
	for i := range 3 {
		s.change("active", write(fmt.Sprint("g", i), "x"))
	}
	s.ok(s.Commit(ctx, "2", "active"))
	s.shows2("2", map[string]string{"f": "1", "g0": "x", "g1": "x", "g2": "x"})
	s.prepare("crashed", "1")
	s.change("crashed", write("g", "x"))
	record := filepath.Join(s.dir, "records", "crashed.json")
	b, err := os.ReadFile(record)
	s.ok(err)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	s.ok(err)
	old := strings.ReplaceAll(string(b), strings.TrimSpace(string(boot)), "an earlier one")
	s.ok(os.WriteFile(record, []byte(old), 0o600))
	if _, err := s.Mounts(ctx, "crashed"); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "remove it") {
		s.Errorf("after a crash: %v", err)
	}
	s.ok(s.Remove(ctx, "crashed"))
}

// testMountBelow holds trap 18: something is mounted in a snapshot that is removed. The name is gone,
// what is mounted stays, and the sweep ends the work when it can.
func testMountBelow(s *suite) {
	ctx := s.Context()
	s.prepare("active", "")
	s.change("active", mkdir("m"), write("f", "x"))
	path, err := s.Path(ctx, "active")
	s.ok(err)
	precious := s.TempDir()
	s.do(precious, write("precious", "x"))
	s.ok(unix.Mount(precious, path+"/m", "", unix.MS_BIND, ""))
	if err := s.Remove(ctx, "active"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		s.Errorf("remove: %v", err)
	}
	if err := s.Sweep(ctx); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		s.Errorf("sweep: %v", err)
	}
	if _, err := os.Stat(precious + "/precious"); err != nil {
		s.Errorf("what is mounted is gone: %v", err)
	}
	staging := s.entries("staging")
	if len(staging) != 1 {
		s.Fatalf("staging holds %q", staging)
	}
	s.ok(unix.Unmount(filepath.Join(s.dir, "staging", staging[0], "fs", "m"), unix.MNT_DETACH))
	s.ok(s.Sweep(ctx))
	if left := slices.Concat(s.entries("staging"), s.entries("data")); len(left) > 0 {
		s.Errorf("left: %q", left)
	}
}

func testOddKeys(s *suite) {
	ctx := s.Context()
	keys := []string{"../../escape", "/", ".", "..", "a/b", "a:b,c", "\x00\xff", "%2F", "sha256:" + strings.Repeat("0", 64), strings.Repeat("k", 1024), strings.Repeat("/", 300)}
	parent := ""
	for _, key := range keys {
		s.prepare(key+"+"[:min(1, 1024-len(key))], parent)
		if len(key) < 1024 {
			s.ok(s.Commit(ctx, key, key+"+", snapshot.WithSynced()))
			parent = key
		}
	}
	var seen []string
	s.ok(s.Walk(ctx, func(i snapshot.Info) error { seen = append(seen, i.Key); return nil }))
	slices.Sort(seen)
	slices.Sort(keys)
	if !slices.Equal(seen, keys) {
		s.Errorf("walk shows %q, want %q", seen, keys)
	}
	outside, err := os.ReadDir(filepath.Dir(s.dir))
	if err != nil || len(outside) != 1 {
		s.Errorf("outside of the store: %v, %v", outside, err)
	}
}
