package overlay

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// TestReadersOfALowerFile: who has a lower file open, or watches it, when it is copied up sees what is written to it by its name, but
// not in a mapping that was made before, and not by another name that the file had. That is the kernel's doing, and what README says.
func TestReadersOfALowerFile(t *testing.T) {
	for _, c := range []struct {
		written      string
		read, mapped string
		watched      bool
	}{
		{"file", "new", "old", true},
		{"other", "old", "old", false},
	} {
		t.Run(c.written, func(t *testing.T) {
			testutil.RequireRoot(t)
			testutil.LeakCheck(t)
			s := newStack(t, "a")
			write(t, filepath.Join(s.lowers["a"], "file"), "old")
			err := os.Link(filepath.Join(s.lowers["a"], "file"), filepath.Join(s.lowers["a"], "other"))
			target := s.mount(t, Options{Method: methods(t)[0]}, "a")
			defer s.unmount(t)
			f, err2 := os.Open(filepath.Join(target, "file"))
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			mapping, err := unix.Mmap(int(f.Fd()), 0, 3, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Munmap(mapping) }() // a test cannot do more
			mapped := string(mapping)                   // its page is there now
			watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(watch)
			if _, err := unix.InotifyAddWatch(watch, filepath.Join(target, "file"), unix.IN_MODIFY); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(target, c.written), "new")
			content := make([]byte, 3)
			if _, err := f.ReadAt(content, 0); err != nil {
				t.Fatal(err)
			}
			events, watchErr := unix.Read(watch, make([]byte, 4096))
			if string(content) != c.read || mapped != "old" || string(mapping) != c.mapped || (events > 0) != c.watched {
				t.Errorf("read %q, mapped %q, %d bytes of events (%v), want %+v", content, mapping, events, watchErr, c)
			}
		})
	}
}
