package tree

import (
	"errors"
	"os"
	"testing"

	"github.com/lrun-dev/lrun/internal/flock"
)

func TestReap(t *testing.T) {
	dir := t.TempDir()
	if err := Reap(t.Context(), dir+"/none", dir+"/aside"); err != nil {
		t.Errorf("what is gone: %v", err)
	}
	if err := os.MkdirAll(dir+"/x/y", 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := flock.Exclusive(dir + "/x")
	if err != nil {
		t.Fatal(err)
	}
	if err := Reap(t.Context(), dir+"/x", dir+"/aside"); err != nil {
		t.Errorf("what is locked: %v", err)
	}
	if _, err := os.Stat(dir + "/x/y"); err != nil {
		t.Errorf("what is locked: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := Reap(t.Context(), dir+"/x", dir+"/aside"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/x", "/aside"} {
		if _, err := os.Stat(dir + name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
