// Package snapshottest is the suite that every snapshot driver passes: containerd's rules, and what
// lrun promises beyond them.
package snapshottest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/snapshot"
)

// Opener returns the store in dir with the driver under test, as a process of its own would.
type Opener func(t testing.TB, dir string) *snapshot.Store

// Suite runs the suite as root. It calls the test binary again, with the same test, for what needs
// several processes: open must work there too.
func Suite(t *testing.T, open Opener) {
	testutil.RequireRoot(t)
	if dir := os.Getenv(childEnv); dir != "" {
		child(t, open(t, dir))
		return
	}
	testutil.LeakCheck(t)
	for name, test := range map[string]func(*suite){
		"a chain shows the content of all":            testChain,
		"a child does its worst":                      testIsolation,
		"siblings do not see each other":              testSiblings,
		"a view is read-only":                         testView,
		"an empty one":                                testEmpty,
		"the root directory is inherited":             testRoot,
		"metadata survives":                           testMetadata,
		"keys and parents":                            testRules,
		"labels, stat and walk":                       testLabels,
		"usage":                                       testUsage,
		"layers in any order":                         testRebase,
		"a layer twice":                               testAdopt,
		"volatile":                                    testVolatile,
		"what is mounted below stays":                 testMountBelow,
		"twenty goroutines":                           testGoroutines,
		"processes that are killed":                   testProcesses,
		"an odd path and an odd key are only strings": testOddKeys,
	} {
		t.Run(name, func(t *testing.T) { test(newSuite(t, open)) })
	}
}

// suite is one store under test.
type suite struct {
	*testing.T
	*snapshot.Store
	dir  string
	open Opener
}

// newSuite opens an empty store. Its path holds what option strings would have to escape, and is
// longer than fsconfig takes.
func newSuite(t *testing.T, open Opener) *suite {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `o:d,d\ `+"\n"+strings.Repeat("x", 200))
	return &suite{T: t, Store: open(t, dir), dir: dir, open: open}
}

// ok ends the test on an error.
func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// prepare makes an active snapshot that nothing syncs.
func (s *suite) prepare(key, parent string) snapshot.Info {
	s.Helper()
	info, err := s.Prepare(s.Context(), key, parent, snapshot.WithVolatile())
	s.ok(err)
	return info
}

// layer commits name, with what the steps do to a mount of its parent.
func (s *suite) layer(name, parent string, steps ...step) {
	s.Helper()
	key := "making " + name
	s.prepare(key, parent)
	s.change(key, steps...)
	s.ok(s.Commit(s.Context(), name, key, snapshot.WithSynced()))
}

// change does steps to a mount of key.
func (s *suite) change(key string, steps ...step) {
	s.Helper()
	s.mounted(key, func(dir string) { s.do(dir, steps...) })
}

// do does steps in dir.
func (s *suite) do(dir string, steps ...step) {
	s.Helper()
	for i, step := range steps {
		if err := step(dir); err != nil {
			s.Fatalf("step %d: %v", i, err)
		}
	}
}

// mounted mounts key and calls fn with a path of the mount, which is attached nowhere.
func (s *suite) mounted(key string, fn func(dir string)) {
	s.Helper()
	s.ok(withMount(s, s.Store, key, fn))
}

// withMount is mounted for who is not a suite.
func withMount(t testing.TB, store *snapshot.Store, key string, fn func(dir string)) error {
	mounts, err := store.Mounts(t.Context(), key)
	if err != nil {
		return err
	}
	if len(mounts) != 1 {
		return fmt.Errorf("%d mounts", len(mounts))
	}
	f, err := mounts[0].Open()
	if err != nil {
		return err
	}
	defer f.Close()
	fn(fmt.Sprintf("/proc/self/fd/%d/.", f.Fd()))
	return nil
}

// shows fails unless a mount of key holds exactly want: names with the content of files, and "/" for
// directories.
func (s *suite) shows(key string, want map[string]string) {
	s.Helper()
	s.mounted(key, func(dir string) {
		got := map[string]string{}
		s.ok(list(dir, got))
		for name, content := range want {
			if got[name] != content {
				s.Errorf("%s: %q is %q, want %q", key, name, got[name], content)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				s.Errorf("%s: %q is too much", key, name)
			}
		}
	})
}

// list puts what is below dir into got.
func list(dir string, got map[string]string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, filepath.Clean(dir)+"/")
		name = strings.TrimPrefix(name, dir+"/")
		switch {
		case d.IsDir():
			got[name] = "/"
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			got[name] = string(b)
			return err
		default:
			got[name] = d.Type().String()
		}
		return nil
	})
}

// hash is the hash of a committed snapshot's own bytes.
func (s *suite) hash(name string) string {
	s.Helper()
	path, err := s.Path(s.Context(), name)
	s.ok(err)
	return testutil.TreeHash(s, path)
}

// entries lists a directory of the store.
func (s *suite) entries(sub string) (names []string) {
	s.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, sub))
	s.ok(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
