package blob

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// long is a text that is compared in several pieces.
func long(start, end string) string { return start + strings.Repeat("0123456789abcdef", 20<<10) + end }

// kept returns a store in which blobs of contents were kept.
func kept(t *testing.T, contents ...string) *Store {
	t.Helper()
	s := testStore(t)
	in := begin(t, s)
	want := Kept{Count: len(contents)}
	for _, c := range contents {
		write(t, in, c)
		want.Size += int64(len(c))
	}
	got, err := in.Keep()
	if err != nil || got != want || len(in.Digests()) != 0 {
		t.Fatalf("kept %+v, want %+v, %v; the ingest has %v", got, want, err, in.Digests())
	}
	if err := errors.Join(in.Close(), s.Sweep()); err != nil {
		t.Fatal(err)
	}
	return s
}

// inode is the file at path, which is not there when it is nil.
func inode(path string) os.FileInfo {
	fi, _ := os.Stat(path)
	return fi
}

// TestKept: a blob that was kept is not written again, however little is known of it, and whatever else was kept.
func TestKept(t *testing.T) {
	content := long("a", "a")
	others := []string{long("a", "b"), long("b", "a"), long("a", "a") + "more", "short", ""}
	d := digest.FromString(content)
	for name, desc := range map[string]ocispec.Descriptor{
		"all known": {Digest: d, Size: int64(len(content))},
		"digest":    {Digest: d, Size: -1},
		"size":      {Size: int64(len(content))},
		"nothing":   {Size: -1},
	} {
		t.Run(name, func(t *testing.T) {
			s := kept(t, slices.Concat(others, []string{content})...)
			before := inode(s.keptPath(d))
			in := begin(t, s)
			if err := in.Write(t.Context(), desc, iotest.HalfReader(strings.NewReader(content))); err != nil {
				t.Fatal(err)
			}
			if got := text(t, in, d); got != content {
				t.Errorf("the ingest has %d bytes of other content", len(got))
			}
			if got := inode(s.keptPath(d)); got == nil {
				t.Error("a try that is cut off now would take it away")
			}
			for range 2 { // an archive may have it several times
				if err := in.Write(t.Context(), desc, strings.NewReader(content)); err != nil {
					t.Fatal(err)
				}
			}
			if got := files(t, in.dir); !slices.Equal(got, []string{fileName(d)}) {
				t.Errorf("the ingest has %v", got)
			}
			if err := in.Publish(); err != nil {
				t.Fatal(err)
			}
			if got := inode(s.keptPath(d)); got != nil {
				t.Errorf("it is still kept: %v", got)
			}
			path, err := s.Path(d)
			if after := inode(path); err != nil || !os.SameFile(before, after) || after.Mode() != 0o644 {
				t.Errorf("the store has another file: %+v, %+v, %v", before, after, err)
			}
			if got := files(t, filepath.Join(s.ingest, KeptDir)); len(got) != len(others) {
				t.Errorf("kept are %v", got)
			}
		})
	}
}

// text is the content of blob d.
func text(t *testing.T, in *Ingest, d digest.Digest) string { t.Helper(); return content(t, in, d) }

// TestKeptIsNot: what only begins as a blob that was kept becomes what it is.
func TestKeptIsNot(t *testing.T) {
	for _, content := range []string{
		long("a", "c"), long("c", "a"), long("a", "a")[:200<<10], long("a", "a") + "m", long("a", "a") + "more+", "", "s", "shorter", "longer",
	} {
		s := kept(t, long("a", "a"), long("a", "b"), long("b", "c"), long("a", "a")+"more", "short", "l")
		before := files(t, s.ingest)
		in := begin(t, s)
		d, n, err := in.WriteUnknown(t.Context(), -1, iotest.HalfReader(strings.NewReader(content)))
		if err != nil || n != int64(len(content)) || d != digest.FromString(content) {
			t.Errorf("%d bytes: %s, %d, %v", len(content), d, n, err)
		}
		if got := text(t, in, d); got != content {
			t.Errorf("%d bytes: the ingest has %d others", len(content), len(got))
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if after := files(t, s.ingest); !slices.Equal(before, after) {
			t.Errorf("%d bytes: kept are %v, were %v", len(content), after, before)
		}
	}
}

// TestKeptDamaged: bytes that have changed since are written anew.
func TestKeptDamaged(t *testing.T) {
	content := long("a", "a")
	d := digest.FromString(content)
	for name, damage := range map[string]func(s *Store) error{
		"changed": func(s *Store) error { return os.WriteFile(s.keptPath(d), []byte(long("a", "b")), 0o600) },
		"short":   func(s *Store) error { return os.Truncate(s.keptPath(d), 200<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			s := kept(t, content)
			in := begin(t, s)
			later := readerFunc(func() error { return damage(s) })
			if err := in.Write(t.Context(), describe(content), io.MultiReader(strings.NewReader(content[:100<<10]), later, strings.NewReader(content[100<<10:]))); err != nil {
				t.Fatal(err)
			}
			if got := text(t, in, d); got != content {
				t.Errorf("the ingest has %d other bytes", len(got))
			}
			if err := in.Publish(); err != nil {
				t.Fatal(err)
			}
			if got := files(t, filepath.Join(s.ingest, KeptDir)); len(got) != 0 {
				t.Errorf("kept are %v", got)
			}
		})
	}
}

// TestKeptGoes: what is removed while it is compared is taken all the same, and what needs room leaves it.
func TestKeptGoes(t *testing.T) {
	content := long("a", "a")
	d := digest.FromString(content)
	for name, remove := range map[string]func(s *Store) error{
		"removed": func(s *Store) error { return s.RemoveKept(d) },
		"yields":  func(s *Store) error { s.Yield(); return nil },
		"published": func(s *Store) error {
			in := begin(t, s)
			write(t, in, content)
			return errors.Join(in.Publish(), in.Close(), s.Sweep())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := kept(t, content)
			was := inode(s.keptPath(d))
			in := begin(t, s)
			later := readerFunc(func() error { return remove(s) })
			if err := in.Write(t.Context(), describe(content), io.MultiReader(strings.NewReader(content[:100<<10]), later, strings.NewReader(content[100<<10:]))); err != nil {
				t.Fatal(err)
			}
			if got := files(t, in.dir); !slices.Equal(got, []string{fileName(d)}) || !os.SameFile(was, inode(filepath.Join(in.dir, got[0]))) {
				t.Errorf("the ingest has %v, which was written again", got)
			}
		})
	}
}

// readerFunc does something when it is read, and is empty.
type readerFunc func() error

func (do readerFunc) Read([]byte) (int, error) {
	if err := do(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// TestKeptChanges: bytes that were already compared and then change are not taken for what they were.
func TestKeptChanges(t *testing.T) {
	content, other := long("a", "a"), long("a", "b")
	for name, damage := range map[string]func(path string) error{
		"changed": func(path string) error { return os.WriteFile(path, []byte(long("b", "a")), 0o600) },
		"short":   func(path string) error { return os.Truncate(path, 50<<10) },
	} {
		s := kept(t, content)
		in := begin(t, s)
		later := readerFunc(func() error { return damage(s.keptPath(digest.FromString(content))) })
		r := io.MultiReader(strings.NewReader(other[:100<<10]), later, strings.NewReader(other[100<<10:]))
		d, _, err := in.WriteUnknown(t.Context(), int64(len(other)), r)
		if err == nil || !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), "changed while it was read: remove it") {
			t.Errorf("%s: %s, %v", name, d, err)
		}
		if got := files(t, in.dir); len(got) != 0 {
			t.Errorf("%s: the ingest has %v", name, got)
		}
	}
}

// TestYield: kept blobs give way, but for those that somebody has just taken.
func TestYield(t *testing.T) {
	s := kept(t, "one", "two")
	in := begin(t, s)
	one := write(t, in, "one")
	if more := s.Yield(); !more {
		t.Error("there is no more room")
	}
	if got := files(t, filepath.Join(s.ingest, KeptDir)); !slices.Equal(got, []string{fileName(one)}) {
		t.Errorf("kept are %v", got)
	}
	if more := s.Yield(); more {
		t.Error("a blob that is in an ingest made room")
	}
	if got, err := in.Keep(); err != nil || got != (Kept{1, 3}) {
		t.Errorf("kept again %+v, %v", got, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if got := inode(s.keptPath(one)); got == nil {
		t.Error("it is not kept any more")
	}
}

// TestYieldOfTheDead: what a killed process had taken of kept blobs does not hold them.
func TestYieldOfTheDead(t *testing.T) {
	s := kept(t, "one")
	in := begin(t, s)
	write(t, in, "one")
	if err := in.lock.Unlock(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	if more := s.Yield(); !more {
		t.Error("there is no more room")
	}
	if got := files(t, s.ingest); !slices.Equal(got, []string{KeptDir}) {
		t.Errorf("there are %v", got)
	}
}

// TestRoom: what begins as a kept blob and goes on otherwise takes the room of others, and is told first.
func TestRoom(t *testing.T) {
	testutil.RequireRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=20m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(filepath.Join(disk, "images"), filepath.Join(disk, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	one, two := strings.Repeat("1", 8<<20), strings.Repeat("2", 8<<20)
	in := begin(t, s)
	write(t, in, one)
	write(t, in, two)
	if _, err := in.Keep(); err != nil {
		t.Fatal(err)
	}
	in = begin(t, s)
	full := 0
	in.OnFull = func() { full++ }
	content := one[:7<<20] + "other" + two[:6<<20]
	d, _, err := in.WriteUnknown(t.Context(), -1, strings.NewReader(content))
	if err != nil || d != digest.FromString(content) {
		t.Fatalf("%s, %v", d, err)
	}
	if got := files(t, filepath.Join(s.ingest, KeptDir)); len(got) != 0 || full != 1 {
		t.Errorf("kept are %v, and it was told %d times", got, full)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKeptIsNoFile: what else has the name of a kept blob is in nobody's way.
func TestKeptIsNoFile(t *testing.T) {
	content := long("a", "a")
	for name, place := range map[string]func(path string) error{
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"link":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		s := kept(t, "other")
		if err := place(s.keptPath(digest.FromString(content))); err != nil {
			t.Fatal(err)
		}
		in := begin(t, s)
		d, _, err := in.WriteUnknown(t.Context(), -1, strings.NewReader(content))
		if err != nil || text(t, in, d) != content {
			t.Errorf("%s: other content, or %v", name, err)
		}
	}
}

// TestKeptSourceFails: a source that is not what was kept takes nothing away.
func TestKeptSourceFails(t *testing.T) {
	content := long("a", "a")
	s := kept(t, content)
	before := files(t, s.ingest)
	in := begin(t, s)
	for _, r := range []io.Reader{strings.NewReader(content[:1000]), strings.NewReader(content + "+"), iotest.ErrReader(errors.New("line is down"))} {
		if err := in.Write(t.Context(), describe(content), r); err == nil {
			t.Error("no error")
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if after := files(t, s.ingest); !slices.Equal(before, after) {
		t.Errorf("kept are %v, were %v", after, before)
	}
}

// TestKeptSurvivesTries: a try that ends before it has published takes nothing away, and neither does one that was killed.
func TestKeptSurvivesTries(t *testing.T) {
	s := kept(t, "one", "two")
	before := files(t, s.ingest)
	closed, killed := begin(t, s), begin(t, s)
	for _, in := range []*Ingest{closed, killed} {
		write(t, in, "one")
	}
	if err := errors.Join(closed.Close(), killed.lock.Unlock(), s.Sweep()); err != nil {
		t.Fatal(err)
	}
	if after := files(t, s.ingest); !slices.Equal(before, after) {
		t.Errorf("kept are %v, were %v", after, before)
	}
	in := begin(t, s)
	in.kept = map[digest.Digest]int64{} // as of a process that has looked before
	write(t, in, "one")
	if err := errors.Join(in.Publish(), os.Link(filepath.Join(s.layout, "blobs", "sha256", digest.FromString("one").Encoded()), s.keptPath(digest.FromString("one")))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Close(), s.Sweep()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, filepath.Join(s.ingest, KeptDir)); !slices.Equal(got, []string{fileName(digest.FromString("two"))}) {
		t.Errorf("kept are %v", got)
	}
}

// TestKeptForADay: Sweep leaves blobs that were kept for less than a day, and the graph has them.
func TestKeptForADay(t *testing.T) {
	s := kept(t, "old", "new")
	for content, age := range map[string]time.Duration{"old": 25 * time.Hour, "new": 23 * time.Hour} {
		then := time.Now().Add(-age)
		if err := os.Chtimes(s.keptPath(digest.FromString(content)), then, then); err != nil {
			t.Fatal(err)
		}
	}
	stranger := filepath.Join(s.ingest, KeptDir, "README")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var g gc.Graph
	if err := s.Graph(&g); err != nil {
		t.Fatal(err)
	}
	id := func(content string) gc.ID { return gc.ID{Kind: gc.KeptBlob, Name: digest.FromString(content).String()} }
	if lost, left := g.Lost(), g.KeptBlobs(); len(g.Nodes()) != 2 || len(lost) != 1 || lost[0].ID != id("old") || !slices.Equal(left, []gc.ID{id("new")}) {
		t.Errorf("lost are %v, kept %v of %v", lost, left, g.Nodes())
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if inode(s.keptPath(digest.FromString("old"))) != nil || inode(s.keptPath(digest.FromString("new"))) == nil || inode(stranger) == nil {
		t.Errorf("left are %v", files(t, s.ingest))
	}
	if err := errors.Join(os.Remove(stranger), s.RemoveKept(digest.FromString("new")), s.RemoveKept(digest.FromString("new"))); err != nil {
		t.Fatal(err)
	}
	if got := files(t, s.ingest); !slices.Equal(got, []string{KeptDir}) {
		t.Errorf("left are %v", got)
	}
	if err := s.RemoveKept("sha256:../../x"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("a digest that is none: %v", err)
	}
}
