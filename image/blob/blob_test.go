package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/internal/flock"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		panic(err)
	}
	in, err := store.Begin()
	if err != nil {
		panic(err)
	}
	defer in.Close()
	d, n, err := in.WriteUnknown(context.Background(), -1, strings.NewReader("hello"))
	if err != nil {
		panic(err)
	}
	fmt.Println(n, d.Algorithm(), store.Has(d))
	if err := in.Publish(); err != nil {
		panic(err)
	}
	fmt.Println(store.Has(d))
	// Output:
	// 5 sha256 false
	// true
}

func testStore(t testing.TB) *Store {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t testing.TB, s *Store) *Ingest {
	t.Helper()
	in, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

func describe(content string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(content), Size: int64(len(content))}
}

func write(t testing.TB, in *Ingest, content string) digest.Digest {
	t.Helper()
	d := describe(content)
	if err := in.Write(t.Context(), d, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// content reads blob d from what can open it.
func content(t testing.TB, s interface {
	Open(digest.Digest) (*os.File, error)
}, d digest.Digest,
) string {
	t.Helper()
	f, err := s.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// files lists all files and directories beneath dir but the topmost.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if name, _ := filepath.Rel(dir, path); name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOpen(t *testing.T) {
	for _, dirs := range [][2]string{{"", "x"}, {"x", ""}} {
		if _, err := Open(dirs[0], dirs[1]); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Open(%q, %q): %v", dirs[0], dirs[1], err)
		}
	}
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil || len(files(t, dir)) != 0 {
		t.Errorf("Open wrote %v, %v", files(t, dir), err)
	}
}

func TestPublish(t *testing.T) {
	s := testStore(t)
	in := begin(t, s)
	one, two := write(t, in, "one"), write(t, in, "two")
	three, n, err := in.WriteUnknown(t.Context(), 5, iotest.OneByteReader(strings.NewReader("three")))
	if err != nil || three != digest.FromString("three") || n != 5 {
		t.Fatalf("WriteUnknown = %s, %d, %v", three, n, err)
	}
	if err := in.Sync(); err != nil {
		t.Fatal(err)
	}
	large := digest.SHA512.FromString("large")
	if err := in.Write(t.Context(), ocispec.Descriptor{Digest: large, Size: -1}, strings.NewReader("large")); err != nil {
		t.Fatal(err)
	}
	if s.Has(one) || content(t, in, one) != "one" {
		t.Error("a blob is in the store before Publish, or not in the ingest")
	}
	if err := in.Discard(two); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Discard(two), in.Publish()); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := s.Walk(func(d digest.Digest, size int64) error {
		got = append(got, fmt.Sprint(d, size, content(t, s, d)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprint(one, 3, "one"), fmt.Sprint(three, 5, "three"), fmt.Sprint(large, 5, "large")}
	if one > three {
		want[0], want[1] = want[1], want[0]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the store has %q, want %q", got, want)
	}
	fi, err := os.Stat(filepath.Join(s.layout, "blobs", "sha256", one.Encoded()))
	if err != nil || fi.Mode() != 0o644 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if content(t, in, one) != "one" {
		t.Error("an ingest does not open what it published")
	}
	if err := errors.Join(in.Close(), in.Close()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, s.ingest); len(left) != 0 {
		t.Errorf("Close left %v", left)
	}
}

func TestPublishHeals(t *testing.T) {
	s := testStore(t)
	in := begin(t, s)
	d := write(t, in, "content")
	if err := in.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.layout, "blobs", "sha256", d.Encoded()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, in, "content")
	if err := in.Publish(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, d); got != "content" {
		t.Errorf("a damaged blob is still %q", got)
	}
}

func TestMissing(t *testing.T) {
	s := testStore(t)
	in := begin(t, s)
	d := digest.FromString("nowhere")
	_, openErr := s.Open(d)
	_, sizeErr := s.Size(d)
	_, ingestErr := in.Open(d)
	for i, err := range []error{openErr, sizeErr, ingestErr} {
		if !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), d.String()) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := errors.Join(s.Remove(d), in.Discard(d), s.Walk(func(digest.Digest, int64) error { return errors.New("called") })); err != nil {
		t.Error(err)
	}
	for _, d := range []digest.Digest{"", "x", "sha256:", "sha256:..", "sha256:../../../../etc/passwd", digest.Digest("sha256:" + strings.Repeat("A", 64))} {
		_, openErr := s.Open(d)
		_, sizeErr := s.Size(d)
		for i, err := range []error{openErr, sizeErr, s.Remove(d)} {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("%q, %d: %v", d, i, err)
			}
		}
		if s.Has(d) {
			t.Errorf("Has(%q)", d)
		}
	}
}

func TestRemoveAndWalk(t *testing.T) {
	s := testStore(t)
	in := begin(t, s)
	one, two := write(t, in, "1"), write(t, in, "2")
	if err := in.Publish(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(s.layout, "blobs", "sha256", ".tmp-1")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(one); err != nil || s.Has(one) || !s.Has(two) {
		t.Errorf("Remove: %v", err)
	}
	stop := errors.New("stop")
	calls := 0
	if err := s.Walk(func(digest.Digest, int64) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Walk = %v after %d calls", err, calls)
	}
}

func TestSweep(t *testing.T) {
	s := testStore(t)
	if err := s.Sweep(); err != nil {
		t.Errorf("Sweep of nothing: %v", err)
	}
	living, dead := begin(t, s), begin(t, s)
	d := write(t, living, "living")
	write(t, dead, "dead")
	if err := dead.lock.Unlock(); err != nil { // as the kernel does for a process that is killed
		t.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead ingest is still there: %v", err)
	}
	if err := living.Publish(); err != nil || content(t, s, d) != "living" {
		t.Errorf("the living ingest is spoiled: %v", err)
	}
}

func TestSweepGoesOn(t *testing.T) {
	s := testStore(t)
	for _, dir := range []string{"a", "b"} {
		if err := os.MkdirAll(filepath.Join(s.ingest, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("loop", filepath.Join(s.ingest, "aa")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("aa", filepath.Join(s.ingest, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(); err == nil {
		t.Error("what cannot be swept is no error")
	}
	if left := files(t, s.ingest); !reflect.DeepEqual(left, []string{"aa", "loop"}) {
		t.Errorf("left %v", left)
	}
}

func TestBeginAgainstSweep(t *testing.T) {
	s := testStore(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.Sweep(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for i := range 300 {
		in, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := flock.TryExclusive(in.dir); !errors.Is(err, flock.ErrBusy) {
			t.Fatalf("%d: the ingest is not locked: %v", i, err)
		}
		if err := errors.Join(in.Write(t.Context(), describe("x"), bytes.NewReader([]byte("x"))), in.Publish(), in.Close()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}
