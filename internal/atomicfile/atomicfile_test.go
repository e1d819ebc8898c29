package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

func TestWrite(t *testing.T) {
	for _, s := range []Sync{Volatile, Durable} {
		t.Run(fmt.Sprintf("sync=%t", s), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			for _, want := range []string{"one", "", "a longer one"} {
				if err := Write(path, []byte(want), 0o640, s); err != nil {
					t.Fatal(err)
				}
				checkFile(t, path, want, 0o640)
			}
			checkNoTemp(t, filepath.Dir(path))
		})
	}
}

func TestWriteModeIgnoresUmask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("x"), 0o666, Volatile); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, "x", 0o666)
}

func TestWriteFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "d") // a directory cannot be replaced by a file
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(taken, []byte("x"), 0o600, Durable); err == nil {
		t.Error("a file replaced a directory")
	}
	checkNoTemp(t, dir)
	if err := Write(filepath.Join(dir, "no", "f"), nil, 0o600, Durable); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v, want fs.ErrNotExist", err)
	}
}

func TestWriteIsNeverSeenHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<10)}
	if err := Write(path, contents[0], 0o600, Volatile); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, c := range contents {
		writers.Go(func() {
			for range 50 {
				if err := Write(path, c, 0o600, Volatile); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("read a mixture of %d bytes", len(got))
		}
	}
	writers.Wait()
}

func TestCreateNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Create(path, []byte("first"), 0o600, Durable); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("second"), 0o600, Durable); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want fs.ErrExist", err)
	}
	checkFile(t, path, "first", 0o600)
	checkNoTemp(t, dir)
}

// Both ways of Create, for not every filesystem has the better one.
func TestCreateWithAndWithoutUnnamedFiles(t *testing.T) {
	for name, create := range map[string]func(string, []byte, os.FileMode, Sync) error{
		"unnamed": createUnnamed,
		"named": func(path string, data []byte, perm os.FileMode, s Sync) error {
			return publish(path, data, perm, s, linkOver)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := create(path, []byte("x"), 0o644, Durable); err != nil {
				t.Fatal(err)
			}
			checkFile(t, path, "x", 0o644)
			if err := create(path, []byte("y"), 0o600, Volatile); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want fs.ErrExist", err)
			}
			checkFile(t, path, "x", 0o644)
			checkNoTemp(t, filepath.Dir(path))
			if err := create(filepath.Join(path, "below a file"), nil, 0o600, Volatile); err == nil {
				t.Error("made a file below a file")
			}
		})
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var winners atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			err := Create(path, fmt.Append(nil, i), 0o600, Volatile)
			if err == nil {
				winners.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d winners, want 1", n)
	}
	checkNoTemp(t, dir)
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 511, 512, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		path := filepath.Join(dir, strconv.Itoa(size))
		want := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	// One whose size does not say how much it holds.
	if got, err := Read("/proc/self/status"); err != nil || !bytes.HasPrefix(got, []byte("Name:")) || !bytes.HasSuffix(got, []byte("\n")) {
		t.Errorf("got %q, %v", got, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{pipe: errdefs.ErrDataLoss, "/dev/null": errdefs.ErrDataLoss, filepath.Join(dir, "none"): fs.ErrNotExist, dir: unix.EISDIR, dir + "/0/x": unix.ENOTDIR, "a\x00b": unix.EINVAL} {
		var of *fs.PathError
		if got, err := Read(path); !errors.Is(err, want) || !errors.As(err, &of) || of.Path != path || got != nil {
			t.Errorf("%q: got %q, %v", path, got, err)
		}
	}
}

func TestJSON(t *testing.T) {
	type record struct {
		ID string `json:"id"`
		N  int    `json:"n"`
	}
	path := filepath.Join(t.TempDir(), "r.json")
	want := record{ID: "x", N: 3}
	if err := WriteJSON(path, want, 0o600, Durable); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, "{\n\t\"id\": \"x\",\n\t\"n\": 3\n}\n", 0o600)
	var got record
	if err := ReadJSON(path, &got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := WriteJSON(path, func() {}, 0o600, Volatile); err == nil {
		t.Error("a function was encoded")
	}
}

func TestReadJSONErrors(t *testing.T) {
	tests := []struct{ name, content string }{
		{"empty, as power loss leaves it", ""},
		{"zeros", "\x00\x00\x00\x00"},
		{"cut", `{"id":"x`},
		{"wrong type", `{"id":7}`},
		{"something after it", `{"id":"x"}{`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var v struct{ ID string }
			err := ReadJSON(path, &v)
			if !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("got %v, want errdefs.ErrDataLoss", err)
			}
			if err != nil && !bytes.Contains([]byte(err.Error()), []byte(path)) {
				t.Errorf("%q does not name the file", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		if err := ReadJSON(filepath.Join(t.TempDir(), "none"), new(int)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
}

func TestSync(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	closed, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var zero Sync
	for name, c := range map[string]struct {
		sync Sync
		do   bool
	}{
		"the zero value": {zero, true}, "durable": {Durable, true}, "volatile": {Volatile, false},
		"both durable": {Durable.At(Durable), true}, "in a volatile place": {Durable.At(Volatile), false}, "volatile in a durable one": {Volatile.At(Durable), false},
	} {
		t.Run(name, func(t *testing.T) {
			for what, err := range map[string]error{"directory": c.sync.Dir(none), "file system": c.sync.Filesystem(none), "file": c.sync.File(closed)} {
				if (err != nil) != c.do { // what is not there cannot be synced
					t.Errorf("%s: synced %v, %v", what, c.do, err)
				}
			}
			there := t.TempDir()
			if err := errors.Join(c.sync.Dir(there), c.sync.Filesystem(there)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStream(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	broken := errors.New("broken")
	for _, want := range []string{"first", "", "the third"} { // made, then replaced
		err := Stream(path, 0o640, Durable, func(w io.Writer) error { _, err := io.WriteString(w, want); return err })
		if err != nil {
			t.Fatal(err)
		}
		checkFile(t, path, want, 0o640)
		err = Stream(path, 0o640, Volatile, func(w io.Writer) error { _, err := io.WriteString(w, "half"); return errors.Join(err, broken) })
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		checkFile(t, path, want, 0o640)
	}
	var during []os.DirEntry
	err := Stream(filepath.Join(dir, "new"), 0o600, Volatile, func(io.Writer) (err error) { during, err = os.ReadDir(dir); return err })
	if err != nil || len(during) != 1 {
		t.Errorf("while a new file is written there are %v (%v): a kill would leave one", during, err)
	}
	write := func(io.Writer) error { return nil }
	if err := Stream(filepath.Join(dir, "no", "f"), 0o600, Durable, write); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v, want fs.ErrNotExist", err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o700), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	if err := Stream(filepath.Join(dir, "d"), 0o600, Durable, write); err == nil {
		t.Error("a file replaced a directory")
	}
	checkNoTemp(t, dir)
}

func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 { // also when it is there
		if err := MakeDir(deep, 0o700, Durable); err != nil {
			t.Fatal(err)
		}
	}
	for path := deep; path != dir; path = filepath.Dir(path) {
		if fi, err := os.Stat(path); err != nil || !fi.IsDir() || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := MakeDir(path, 0o700, Volatile); err == nil {
			t.Errorf("made a directory of %s", path)
		}
	}
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := MakeDir(filepath.Join(dir, "x", "y"), 0o700, Volatile); err == nil {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 8 {
		t.Errorf("%d of 8 at once made it", made.Load())
	}
}

func TestCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if CutOff(path) {
		t.Error("what is not there was not cut off")
	}
	for content, want := range map[string]bool{"": true, "\x00\x00": true, "{}": false, "\x00{": false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := CutOff(path); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}

func TestIsTemp(t *testing.T) {
	temp, err := writeTemp(t.TempDir(), nil, 0o600, Volatile)
	if err != nil {
		t.Fatal(err)
	}
	if !IsTemp(filepath.Base(temp)) {
		t.Errorf("%q is not known as temporary", temp)
	}
	if IsTemp("state.json") {
		t.Error("state.json taken for temporary")
	}
}

func checkFile(t *testing.T, path, want string, perm os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != perm {
		t.Errorf("%s has mode %o, want %o", path, fi.Mode().Perm(), perm)
	}
}

func checkNoTemp(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if IsTemp(e.Name()) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}
