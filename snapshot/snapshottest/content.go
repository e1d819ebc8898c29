package snapshottest

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func testChain(s *suite) {
	s.layer("1", "", write("one", "1"), write("all", "1"), mkdir("d"), write("d/x", "1"), write("d/y", "1"))
	s.layer("2", "1", write("two", "2"), write("all", "2"), remove("d/x"))
	s.layer("3", "2", write("three", "3"), write("all", "3"), remove("one"), remove("d"), mkdir("d"), write("d/z", "3"))
	s.prepare("active", "3")
	want := map[string]string{"two": "2", "three": "3", "all": "3", "d": "/", "d/z": "3"}
	s.shows("active", want)
	s.change("active", write("four", "4"), remove("two"), write("all", "4"))
	s.shows("active", map[string]string{"three": "3", "four": "4", "all": "4", "d": "/", "d/z": "3"})
	_, err := s.View(s.Context(), "view", "3")
	s.ok(err)
	s.shows("view", want)
	_, err = s.View(s.Context(), "view of one", "1")
	s.ok(err)
	s.shows("view of one", map[string]string{"one": "1", "all": "1", "d": "/", "d/x": "1", "d/y": "1"})
	s.ok(s.Commit(s.Context(), "4", "active"))
	_, err = s.Prepare(s.Context(), "durable", "4")
	s.ok(err)
	s.shows("durable", map[string]string{"three": "3", "four": "4", "all": "4", "d": "/", "d/z": "3"})
}

// testIsolation is promise 1: whatever is done above, a layer stays as it is to the last bit.
func testIsolation(s *suite) {
	s.layer("1", "", base()...)
	s.layer("2", "1", write("dir/b", "of 2"), write("new", "2"), mkdir("dir/sub2"))
	before := [2]string{s.hash("1"), s.hash("2")}
	s.prepare("active", "2")
	s.change("active", worst()...)
	s.ok(s.Commit(s.Context(), "3", "active"))
	s.prepare("above", "3")
	s.mounted("above", func(dir string) {
		entries, err := os.ReadDir(dir)
		s.ok(err)
		for _, e := range entries {
			s.do(dir, remove(e.Name()))
		}
	})
	if after := [2]string{s.hash("1"), s.hash("2")}; after != before {
		s.Errorf("layers changed: %q, were %q", after, before)
	}
	for _, key := range []string{"above", "3"} {
		s.ok(s.Remove(s.Context(), key))
	}
	if after := [2]string{s.hash("1"), s.hash("2")}; after != before {
		s.Errorf("layers changed by the removal of what was on them: %q, were %q", after, before)
	}
}

func testSiblings(s *suite) {
	s.layer("1", "", base()...)
	s.prepare("a", "1")
	s.prepare("b", "1")
	_, err := s.View(s.Context(), "v", "1")
	s.ok(err)
	var before [2]string
	for i, key := range []string{"b", "v"} {
		s.mounted(key, func(dir string) { before[i] = testutil.TreeHash(s, dir) })
	}
	s.mounted("b", func(other string) {
		s.change("a", worst()...)
		if after := testutil.TreeHash(s, other); after != before[0] {
			s.Error("a sibling that is mounted changed")
		}
	})
	for i, key := range []string{"b", "v"} {
		s.mounted(key, func(dir string) {
			if testutil.TreeHash(s, dir) != before[i] {
				s.Errorf("%s changed", key)
			}
		})
	}
}

func testView(s *suite) {
	s.layer("1", "", write("a", "1"), mkdir("d"))
	s.layer("2", "1", write("b", "2"))
	for _, parent := range []string{"1", "2", ""} {
		key := "view of " + parent
		_, err := s.View(s.Context(), key, parent)
		s.ok(err)
		s.mounted(key, func(dir string) {
			if err := os.WriteFile(dir+"/new", nil, 0o600); !errors.Is(err, unix.EROFS) {
				s.Errorf("%s: %v, want EROFS", key, err)
			}
			if err := os.Chmod(dir, 0o700); !errors.Is(err, unix.EROFS) {
				s.Errorf("%s: %v, want EROFS", key, err)
			}
		})
		if err := s.Commit(s.Context(), "x", key); err == nil {
			s.Errorf("%s was committed", key)
		}
		s.ok(s.Remove(s.Context(), key))
	}
	s.shows2("2", map[string]string{"a": "1", "b": "2", "d": "/"})
}

// shows2 is shows for a committed snapshot.
func (s *suite) shows2(name string, want map[string]string) {
	s.Helper()
	_, err := s.View(s.Context(), "look", name)
	s.ok(err)
	s.shows("look", want)
	s.ok(s.Remove(s.Context(), "look"))
}

func testEmpty(s *suite) {
	s.prepare("active", "")
	s.shows("active", nil)
	s.mounted("active", func(dir string) {
		var st unix.Stat_t
		s.ok(unix.Stat(dir, &st))
		if st.Mode != unix.S_IFDIR|0o755 || st.Uid != 0 || st.Gid != 0 {
			s.Errorf("root has mode %o, owner %d:%d", st.Mode, st.Uid, st.Gid)
		}
	})
	s.ok(s.Commit(s.Context(), "empty", "active"))
	s.layer("full", "empty", write("f", "x"))
	s.layer("empty above", "full")
	s.shows2("empty above", map[string]string{"f": "x"})
}

// testRoot: a new upperdir must not give "/" another mode, owner or time.
func testRoot(s *suite) {
	s.layer("1", "", write("f", "x"), chown(".", 11, 12), xattr(".", "user.x", "1"), chmod(".", 0o1751), mtime(".", 13, 14))
	s.layer("2", "1", write("g", "x"), mtime(".", 15, 16))
	for _, parent := range []string{"1", "2"} {
		s.prepare("on "+parent, parent)
		s.mounted("on "+parent, func(dir string) {
			var st unix.Stat_t
			s.ok(unix.Stat(dir, &st))
			if st.Mode != unix.S_IFDIR|0o1751 || st.Uid != 11 || st.Gid != 12 {
				s.Errorf("on %s: mode %o, owner %d:%d", parent, st.Mode, st.Uid, st.Gid)
			}
			if want := map[string]int64{"1": 13, "2": 15}[parent]; st.Mtim.Sec != want || st.Mtim.Nsec != want+1 {
				s.Errorf("on %s: time %v", parent, st.Mtim)
			}
			value := make([]byte, 8)
			if n, err := unix.Lgetxattr(dir, "user.x", value); err != nil || string(value[:n]) != "1" {
				s.Errorf("on %s: xattr %q, %v", parent, value[:max(n, 0)], err)
			}
		})
	}
}

// testMetadata: the tree in a child is that of the parent in every respect.
func testMetadata(s *suite) {
	s.layer("1", "", append(base(), mtime(".", 1, 2))...)
	_, err := s.View(s.Context(), "v", "1")
	s.ok(err)
	s.prepare("a", "1")
	var hashes [2]string
	for i, key := range []string{"v", "a"} {
		s.mounted(key, func(dir string) { hashes[i] = testutil.TreeHash(s, dir) })
	}
	if hashes[0] != hashes[1] || hashes[0] != s.hash("1") {
		s.Errorf("layer %s, view %s, active %s", s.hash("1"), hashes[0], hashes[1])
	}
}
