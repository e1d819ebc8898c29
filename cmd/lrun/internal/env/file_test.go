package env

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func say(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func newFileEnv(t *testing.T) *Env {
	e, _ := newTestEnv(t, best())
	return e
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, s := range []string{"first", "2nd"} {
		if err := newFileEnv(t).WriteFile(path, say(s)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != s {
			t.Errorf("the file has %q (%v), want %q", b, err, s)
		}
	}
	broken := errors.New("broken")
	err := newFileEnv(t).WriteFile(path, func(w io.Writer) error { return errors.Join(say("half")(w), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "2nd" {
		t.Errorf("after an error the file has %q (%v)", b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d files are left (%v)", len(entries), err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", fi.Mode(), err)
	}
}

func TestWriteFileToPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
	if err := newFileEnv(t).WriteFile(path, say("through")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "through" {
		t.Errorf("the reader got %q", s)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is a %v now (%v)", fi.Mode(), err)
	}
}

func TestWriteFileWithoutDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "f")
	err := newFileEnv(t).WriteFile(path, say("x"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path+":") {
		t.Errorf("got %v", err)
	}
}

func TestWriteFileThroughLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Symlink("f", link), newFileEnv(t).WriteFile(link, say("new"))); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
		t.Errorf("the file has %q (%v)", b, err)
	}
	if target, err := os.Readlink(link); err != nil || target != "f" {
		t.Errorf("the link leads to %q (%v)", target, err)
	}
}
