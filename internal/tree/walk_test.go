package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// comb nests directories in dir; each has a directory with a file before and behind the one that leads on.
func comb(t *testing.T, dir string, levels int) {
	t.Helper()
	for i := range levels {
		apply(t, dir, directory("a", 0o755), file("a/f", "x", 0o600), directory("m", 0o755), directory("z", 0o755), file("z/f", "x", 0o600))
		if dir += "/m"; i%500 == 499 {
			t.Fatal("longer than a path")
		}
	}
}

// visited counts what walk visits, by name.
func visited(t *testing.T, dir string, also func(count map[string]int)) map[string]int {
	t.Helper()
	top, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	count := map[string]int{}
	err = walk(t.Context(), int(top.Fd()), 0, func(above int, name string, _ *unix.Stat_t) int {
		count[name]++
		if also != nil {
			also(count)
		}
		return above + 1
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestWalkFindsBack(t *testing.T) {
	dir := memory(t)
	const levels = 5 * anchors
	comb(t, dir, levels)
	if got := visited(t, dir, nil); got["a"] != levels || got["m"] != levels || got["z"] != levels || got["f"] != 2*levels {
		t.Errorf("got %v, want %d of each", got, levels)
	}
}

// TestWalkTellsAbove has in each place what was returned for the directory.
func TestWalkTellsAbove(t *testing.T) {
	dir := memory(t)
	comb(t, dir, 2*anchors)
	top, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	err = walk(t.Context(), int(top.Fd()), "", func(above, name string, st *unix.Stat_t) string {
		path := filepath.Join(above, name)
		var want unix.Stat_t
		if err := unix.Lstat(dir+"/"+path, &want); err != nil || inodeOf(&want) != inodeOf(st) {
			t.Errorf("%q: %v", path, err)
		}
		return path
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWalkOfWhatIsMoved takes a directory out of the tree while the walk is deep below it. The walk must not go on where that
// is now, and ends with what it has open.
func TestWalkOfWhatIsMoved(t *testing.T) {
	for _, at := range []int{1, anchors - 1, anchors, anchors + 1, 2 * anchors, 3*anchors - 1} {
		dir := memory(t)
		apply(t, dir, directory("in", 0o755), directory("a", 0o755), file("a/secret", "x", 0o600), directory("z", 0o755), file("z/secret", "x", 0o600))
		in := dir + "/in"
		comb(t, in, 3*anchors)
		moved := false
		got := visited(t, in, func(count map[string]int) {
			if count["m"] == 3*anchors && !moved {
				moved = true
				if err := os.Rename(in+strings.Repeat("/m", at), dir+"/out"); err != nil {
					t.Error(err)
				}
			}
		})
		if !moved || got["secret"] > 0 {
			t.Errorf("moved at %d: %v, got %v", at, moved, got)
		}
		// What is above the directory that was moved, or above the last that was held open, is seen whole.
		if whole := min(at, anchors); got["a"] < whole || got["z"] < whole {
			t.Errorf("moved at %d: got %v", at, got)
		}
	}
}

// TestFewDescriptors counts a tree that is deeper than files may be open.
func TestFewDescriptors(t *testing.T) {
	dir := memory(t)
	nest(t, dir, 2500)
	want, _ := usage(t, dir)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(files) + 2*anchors), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if got, inodes := usage(t, dir); got != want || inodes != 1+2*2500 {
		t.Errorf("got %d bytes, %d inodes, want %d bytes", got, inodes, want)
	}
	if got, err := new(Owners).Census(t.Context(), dir); err != nil || total(got) != want {
		t.Errorf("got %v, %v, want %d", got, err, want)
	}
}

// TestWalkSays names what cannot be read, and few of the directories above.
func TestWalkSays(t *testing.T) {
	dir := memory(t)
	comb(t, dir, anchors)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(files) + anchors/2 + 8), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	_, _, err = Usage(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "directories …/m/m/m/") || len(err.Error()) > 500 {
		t.Errorf("got %v", err)
	}
}
