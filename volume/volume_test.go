package volume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lrun-dev/lrun/volume"
)

func TestVolumesGoWithTheirContainerAndNoOther(t *testing.T) {
	s := volume.Open(filepath.Join(t.TempDir(), "volumes"))
	if err := s.RemoveOf("nobody"); err != nil {
		t.Fatalf("removing from an empty store: %v", err)
	}
	var names []string
	for _, container := range []string{"one", "two", "one"} {
		v, err := s.Create(container)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Path(v.Name), "file"), []byte(container), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, v.Name)
	}
	if err := s.RemoveOf("one"); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		_, err := os.Stat(filepath.Dir(s.Path(name)))
		if gone := os.IsNotExist(err); gone != (i != 1) {
			t.Errorf("volume %d gone: %v", i, gone)
		}
	}
}

func TestHalfRemovedVolumeIsFoundAgain(t *testing.T) {
	s := volume.Open(t.TempDir())
	v, err := s.Create("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.Path(v.Name)); err != nil { // as a kill between the two steps leaves it
		t.Fatal(err)
	}
	if err := s.RemoveOf("one"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(s.Path(v.Name))); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

func ExampleStore_Create() {
	dir, err := os.MkdirTemp("", "volumes")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s := volume.Open(dir)
	v, err := s.Create("3a5f")
	if err != nil {
		panic(err)
	}
	fmt.Println(len(v.Name), filepath.Base(s.Path(v.Name)))
	// Output: 64 _data
}
