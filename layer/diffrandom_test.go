package layer_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// step is one random change; most of them work out only sometimes, which is no error.
type step struct {
	what, path, other string
	number            int
}

func (s step) String() string { return s.what + " " + s.path + " " + s.other }

var changes = map[string]func(path, other string, n int) error{
	"mkdir": func(path, _ string, n int) error { return os.Mkdir(path, os.FileMode(0o700|n)) },
	"write": func(path, _ string, n int) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(strings.Repeat("x", n*1000))
		return err
	},
	"remove": func(path, _ string, _ int) error { return removeAll(path) },
	"rename": func(path, other string, _ int) error { return os.Rename(path, other) },
	"swap": func(path, other string, _ int) error {
		return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
	},
	"link":    func(path, other string, _ int) error { return os.Link(path, other) },
	"symlink": func(path, other string, _ int) error { return os.Symlink("../"+filepath.Base(other), path) },
	"chmod":   func(path, _ string, n int) error { return os.Chmod(path, os.FileMode(0o600|n)) },
	"chown":   func(path, _ string, n int) error { return os.Lchown(path, n, 4_000_000_000+n) },
	"xattr":   func(path, _ string, n int) error { return unix.Lsetxattr(path, "user.a", []byte{byte(n)}, 0) },
	"cap": func(path, _ string, _ int) error {
		return unix.Lsetxattr(path, "security.capability", []byte(capV2), 0)
	},
	"trusted": func(path, _ string, n int) error { return unix.Lsetxattr(path, "trusted.t", []byte{byte(n)}, 0) },
	"noxattr": func(path, _ string, _ int) error { return unix.Lremovexattr(path, "user.a") },
	"touch":   func(path, _ string, n int) error { return os.Chtimes(path, time.Unix(1, 0), time.Unix(int64(n), 5)) },
	"mkfifo":  func(path, _ string, _ int) error { return unix.Mkfifo(path, 0o600) },
	"mknod": func(path, _ string, n int) error { // a device that no driver answers to
		return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(60, uint32(n))))
	},
	"copy up": func(path, _ string, _ int) error {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err == nil {
			err = f.Close()
		}
		return err
	},
	"in secret": func(path, _ string, n int) error { // with the size and the times as they were
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{byte(n)}, st.Size/2); err != nil {
			return err
		}
		return os.Chtimes(path, time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix()))
	},
	"replace": func(path, _ string, n int) error {
		if err := removeAll(path); err != nil {
			return err
		}
		return os.Mkdir(path, os.FileMode(0o700|n))
	},
	"sparse": func(path, _ string, n int) error {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Truncate(int64(n) * 100_000); err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("data"), int64(n)*50_000)
		return err
	},
}

// removeAll is os.RemoveAll, which waits for ever when the parent is a FIFO.
func removeAll(path string) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return err
	}
	return os.RemoveAll(path)
}

// randomSteps are changes in a few names, so that many of them meet.
func randomSteps(most int) *rapid.Generator[[]step] {
	names := []string{"a", "b", "c"}
	path := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "path"), "/")
	})
	kinds := make([]string, 0, len(changes))
	for kind := range changes {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	kinds = append(kinds, "mkdir", "mkdir", "write", "write")
	one := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(kinds).Draw(t, "what"), path.Draw(t, "path"), path.Draw(t, "other"), rapid.IntRange(0, 7).Draw(t, "n")}
	})
	return rapid.SliceOfN(one, most/2, most)
}

// plenty makes a tree that has something for every step.
func plenty(root string) {
	for _, a := range []string{"a", "b", "c"} {
		for i, b := range []string{"a", "b", "c"} {
			_ = os.MkdirAll(filepath.Join(root, a, b), 0o755)
			for j, c := range []string{"a", "b", "c"} {
				path := filepath.Join(root, a, b, c)
				_ = os.WriteFile(path, []byte(strings.Repeat(c, i*j*1000+1)), 0o644)
				_ = os.Link(path, filepath.Join(root, a, b, "link of "+c))
			}
		}
	}
}

// do does the steps that work out.
func do(steps []step) func(root string) {
	return func(root string) {
		for _, s := range steps {
			_ = changes[s.what](filepath.Join(root, s.path), filepath.Join(root, s.other), s.number)
		}
	}
}

// TestDiffOfRandomChanges does random changes to random trees through a mounted overlay, and to copies: what the diff
// says, applied to what the tree was made from, gives the tree.
func TestDiffOfRandomChanges(t *testing.T) {
	testutil.RequireRoot(t)
	t.Setenv("TMPDIR", "/dev/shm") // thousands of small files, each unmounted and removed again
	rapid.Check(t, func(rt *rapid.T) {
		parents := []func(string){plenty}
		for range rapid.IntRange(0, 2).Draw(rt, "parents") {
			parents = append(parents, do(randomSteps(20).Draw(rt, "below")))
		}
		steps := randomSteps(20).Draw(rt, "change")
		ok := t.Run("", func(t *testing.T) {
			for name, c := range map[string]changed{
				"overlayfs": onOverlayfs(t, parents, do(steps)),
				"copies":    onCopies(t, onOverlayfs(t, parents, do(nil)).below, do(steps)),
			} {
				c.roundTrip(t)
				want, got := obviousChanges(t, c.below, c.root), changesOf(t, c.source, noOptions)
				if diff := lt.Diff(got, want); diff != "" || !slices.Equal(got, want) {
					t.Errorf("%s: changes %q, want %q", name, got, want)
				}
			}
		})
		if !ok {
			rt.Fatal("see above")
		}
	})
}
