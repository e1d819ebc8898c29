package builtin_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
)

// extract unpacks a layer of Hello the obvious way. With apart, whiteouts become overlayfs's.
func extract(t *testing.T, dir string, r io.Reader, apart bool) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		parent, base := filepath.Split(h.Name)
		removed, isWhiteout := strings.CutPrefix(base, ".wh.")
		switch {
		case isWhiteout && apart:
			err = unix.Mknod(filepath.Join(dir, parent, removed), unix.S_IFCHR, 0)
		case isWhiteout:
			err = root.Remove(parent + removed)
		case h.Typeflag == tar.TypeDir:
			if err = root.Mkdir(strings.TrimSuffix(h.Name, "/"), 0o755); errors.Is(err, os.ErrExist) {
				err = nil
			}
		default:
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				err = root.WriteFile(h.Name, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copied returns a directory as the vfs driver makes it: all layers in one.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	_, layers := hello(t, executable(t, strings.Repeat("lrun", 25_000)))
	for _, open := range layers {
		extract(t, dir, open(), false)
	}
	return dir
}

// merged returns an overlay of the layers, and the directory of its upperdir.
func merged(t *testing.T, m mount.Mount) (root, upper string) {
	t.Helper()
	testutil.LeakCheck(t)
	dir := t.TempDir()
	_, layers := hello(t, executable(t, strings.Repeat("lrun", 25_000)))
	var lowers []string
	for _, name := range []string{"1", "2", "3", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, open := range layers {
		lower := filepath.Join(dir, fmt.Sprint(i+1))
		extract(t, lower, open(), true)
		lowers = append([]string{lower}, lowers...)
	}
	upper, root = filepath.Join(dir, "upper"), filepath.Join(dir, "merged")
	made, err := overlay.Mount(lowers, upper, filepath.Join(dir, "work"), overlay.Options{Method: overlay.Probe(dir).Method})
	if err != nil {
		t.Fatal(err)
	}
	made.ReadOnly = m.ReadOnly
	if err := made.At(root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mount.Unmount(root); err != nil {
			t.Error(err)
		}
	})
	return root, upper
}

// run runs the program, with what differs from machine to machine replaced.
func run(t *testing.T, root string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := builtin.Main(&out, root)
	text := regexp.MustCompile(`process \d+ on the host ".*", as user \d+`).ReplaceAllString(out.String(), `process 1 on the host "4f9c2a71b0de", as user 0`)
	return text, err
}

// same compares what a user sees.
func same(t *testing.T, got, want string) {
	t.Helper()
	if got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got:\n%s\nwant:%s", got, want)
	}
	for line := range strings.Lines(got) {
		if len(line) > 100 {
			t.Errorf("line is too long for a terminal: %q", line)
		}
		if strings.HasSuffix(line, " \n") {
			t.Errorf("line ends in a space: %q", line)
		}
	}
}

const inOverlay = `
Hello from inside a container!

This is process 1 on the host "4f9c2a71b0de", as user 0. Its root directory is an overlayfs
of three read-only layers and, above them, an upperdir that is this container's alone:

  FILE                   FROM       WHAT HAPPENED
  /lrun                  layer 1    lrun itself, the program that prints this (0.1 MB)
  /hello/base.txt        layer 1    as layer 1 wrote it
  /hello/greeting.txt    layer 2    layer 2 overwrites the one of layer 1
  /hello/yesterday.txt   gone       layer 1 has it, layer 3 whites it out
  /hello/layers.json     layer 3    the table that these lines are checked against
  /hello/written.txt     upperdir   written by this program just now

Every file was read back and is, byte for byte, what its layer wrote.
`

func TestMainTellsOfTheOverlay(t *testing.T) {
	testutil.RequireRoot(t)
	root, upper := merged(t, mount.Mount{})
	for range 2 { // a container may be started again
		got, err := run(t, root)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, inOverlay)
	}
	if _, err := os.Stat(filepath.Join(upper, builtin.WrittenPath)); err != nil {
		t.Error(err)
	}
}

func TestMainTellsOfTheCopy(t *testing.T) {
	root := copied(t)
	got, err := run(t, root)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, `
Hello from inside a container!

This is process 1 on the host "4f9c2a71b0de", as user 0. Its root directory is a copy
of three read-only layers, made by the vfs driver for this container alone:

  FILE                   FROM      WHAT HAPPENED
  /lrun                  layer 1   lrun itself, the program that prints this (0.1 MB)
  /hello/base.txt        layer 1   as layer 1 wrote it
  /hello/greeting.txt    layer 2   layer 2 overwrites the one of layer 1
  /hello/yesterday.txt   gone      layer 1 has it, layer 3 whites it out
  /hello/layers.json     layer 3   the table that these lines are checked against
  /hello/written.txt     copy      written by this program just now

Every file was read back and is, byte for byte, what its layer wrote.
`)
	if b, err := os.ReadFile(filepath.Join(root, builtin.WrittenPath)); err != nil || !strings.Contains(string(b), builtin.Hello) {
		t.Errorf("written: %q, %v", b, err)
	}
}

func TestMainInAReadOnlyContainer(t *testing.T) {
	testutil.RequireRoot(t)
	root, upper := merged(t, mount.Mount{ReadOnly: true})
	got, err := run(t, root)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/hello/written.txt     nowhere   not written: this container's root directory is read-only\n"; !strings.Contains(got, want) {
		t.Errorf("no line %q in:\n%s", want, got)
	}
	if left, err := os.ReadDir(upper); err != nil || len(left) > 0 {
		t.Errorf("in the upperdir: %v, %v", left, err)
	}
}

func TestMainSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(root string) error
		file   string
	}{
		"a file has other bytes": {func(root string) error {
			return os.WriteFile(filepath.Join(root, "hello/greeting.txt"), []byte("Good night.\n"), 0o644)
		}, "/hello/greeting.txt"},
		"a file is missing": {func(root string) error { return os.Remove(filepath.Join(root, "hello/base.txt")) }, "/hello/base.txt"},
		"a whiteout was lost": {func(root string) error {
			return os.WriteFile(filepath.Join(root, "hello/yesterday.txt"), nil, 0o644)
		}, "/hello/yesterday.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			root := copied(t)
			if err := c.change(root); err != nil {
				t.Fatal(err)
			}
			got, err := run(t, root)
			if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.file, "/")) {
				t.Errorf("got %v, want one about %s", err, c.file)
			}
			if strings.Count(got, "NOT AS THE LAYERS SAY") != 1 || strings.Contains(got, "byte for byte") {
				t.Errorf("the output hides it:\n%s", got)
			}
			if !strings.Contains(got, builtin.WrittenPath) {
				t.Errorf("the output is cut off:\n%s", got)
			}
		})
	}
}

func TestMainElsewhere(t *testing.T) {
	var out bytes.Buffer
	if err := builtin.Main(&out, t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), builtin.Hello) {
		t.Errorf("in an empty directory: %v", err)
	}
	if err := builtin.Main(&out, filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a root: %v", err)
	}
	root := copied(t)
	if err := os.WriteFile(filepath.Join(root, "hello/layers.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := builtin.Main(&out, root); !errdefs.IsDataLoss(err) {
		t.Errorf("with half a table: %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed all the same: %s", &out)
	}
}

// closedPipe is a reader that went away.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestMainReportsThatNobodyReads(t *testing.T) {
	if err := builtin.Main(closedPipe{}, copied(t)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
