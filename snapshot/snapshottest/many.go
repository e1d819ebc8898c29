package snapshottest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/snapshot"
)

// childEnv names the store that a child of the suite works on until it is killed.
const childEnv = "LRUN_SNAPSHOTTEST_DIR"

func testGoroutines(s *suite) {
	s.layer("base", "", write("f", "base"))
	before := s.hash("base")
	var all sync.WaitGroup
	for g := range 20 {
		all.Go(func() {
			for i := range 3 {
				if err := work(s, s.Store, fmt.Sprintf("%d.%d", g, i)); err != nil {
					s.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.ok(s.Sweep(s.Context()))
	if s.hash("base") != before {
		s.Error("the shared layer changed")
	}
	s.whole()
}

// work makes a committed snapshot whose file says that it is complete, looks at it from above, and
// removes one of two.
func work(t testing.TB, store *snapshot.Store, name string) error {
	ctx := t.Context()
	key := "k" + name
	if _, err := store.Prepare(ctx, key, "base", snapshot.WithVolatile()); err != nil {
		return err
	}
	var writeErr error
	err := withMount(t, store, key, func(dir string) { writeErr = write("complete", name)(dir) })
	if err != nil || writeErr != nil {
		return fmt.Errorf("mount %s: %w, %w", key, err, writeErr)
	}
	if err := store.Commit(ctx, name, key, snapshot.WithSynced()); err != nil {
		return err
	}
	if _, err := store.View(ctx, key, name, snapshot.WithVolatile()); err != nil {
		return err
	}
	var got []byte
	err = withMount(t, store, key, func(dir string) { got, writeErr = os.ReadFile(dir + "/complete") })
	if err != nil || writeErr != nil || string(got) != name {
		return fmt.Errorf("mount the view of %s: %q, %w, %w", name, got, err, writeErr)
	}
	if err := store.Remove(ctx, key); err != nil {
		return err
	}
	if strings.HasSuffix(name, "1") {
		return store.Remove(ctx, name)
	}
	return nil
}

// whole checks that every committed snapshot is complete, that all bytes belong to one, and that
// nothing is on its way.
func (s *suite) whole() {
	s.Helper()
	ids := map[string]bool{}
	s.ok(s.Walk(s.Context(), func(i snapshot.Info) error {
		ids[i.ID] = true
		path, err := s.Path(s.Context(), i.Key)
		if i.Kind != snapshot.Committed || i.Key == "base" {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(path, "complete"))
		if string(b) != i.Key {
			s.Errorf("%q is not complete: %q, %v", i.Key, b, err)
		}
		return nil
	}))
	for _, id := range s.entries("data") {
		if !ids[id] {
			s.Errorf("bytes of nobody: %s", id)
		}
	}
	if n := len(s.entries("data")); n != len(ids) {
		s.Errorf("%d records of bytes, %d directories", len(ids), n)
	}
	if left := s.entries("staging"); len(left) > 0 {
		s.Errorf("on its way: %q", left)
	}
}

// testProcesses kills processes at work, again and again, in the middle of whatever they do.
func testProcesses(s *suite) {
	s.layer("base", "", write("f", "base"))
	before := s.hash("base")
	for range 4 {
		var children []*exec.Cmd
		for range 3 {
			children = append(children, s.spawn())
		}
		for _, c := range children {
			time.Sleep(100 * time.Millisecond)
			s.ok(c.Process.Kill())
			_ = c.Wait() // killed: an error is all that it can return
		}
		s.ok(s.Walk(s.Context(), func(snapshot.Info) error { return nil }))
	}
	s.ok(s.Sweep(s.Context()))
	s.whole()
	if n := len(s.entries("records")); n < 3 {
		s.Errorf("the children made no more than %d snapshots", n)
	}
	if s.hash("base") != before {
		s.Error("the shared layer changed")
	}
	var keys []string
	s.ok(s.Walk(s.Context(), func(i snapshot.Info) error {
		if i.Kind == snapshot.Committed {
			keys = append(keys, i.Key)
			return nil
		}
		keys = append([]string{i.Key}, keys...)
		return nil
	}))
	for _, key := range keys {
		if key != "base" {
			s.ok(s.Remove(s.Context(), key))
		}
	}
}

// spawn starts a child that works until it is killed.
func (s *suite) spawn() *exec.Cmd {
	s.Helper()
	top, _, _ := strings.Cut(s.Name(), "/")
	c := exec.Command(os.Args[0], "-test.run=^"+top+"$")
	c.Env = append(os.Environ(), childEnv+"="+s.dir)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	s.ok(c.Start())
	return c
}

// child works until it is killed.
func child(t *testing.T, store *snapshot.Store) {
	for i := 0; ; i++ {
		if err := work(t, store, fmt.Sprintf("%d.%d", os.Getpid(), i)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if err := store.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
